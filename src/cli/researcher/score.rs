//! `portcullis score`.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::model::{Loaded, ModelArguments, Texts, utf8};
use super::recording;
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::progress::{Bar, read_stdin};
use crate::cli::units;
use crate::inference::{self, Score};
use crate::name::Prose;

/// Maximum bytes of a text to score.
const MAX_TEXT: u64 = 256 << 20;

/// Score a text: how well a checkpoint predicts it, in bits per byte and perplexity
///
/// A text longer than the context is read in windows that advance by the stride; each token is scored once, with at least
/// (context - stride) tokens before it where the text has them. The first token has nothing before it and is not scored.
#[derive(Debug, Args)]
pub(in crate::cli) struct ScoreCommand {
    #[command(flatten)]
    model: ModelArguments,

    /// The text, or - to read it from standard input
    file: Option<PathBuf>,

    /// Tokens by which the window advances; by default half of the context
    #[arg(long, value_name = "N")]
    stride: Option<usize>,

    /// Justification for a text that a misuse rule questions; the auditors read it
    #[arg(long, value_name = "REASON")]
    justify: Option<Prose>,
}

impl ScoreCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let text = self.text()?;
        let bar = Bar::before(output);
        let mut loaded = self.model.load(home, output, &bar)?;
        let tokens = match (&text, &self.model.tokens) {
            (Some(text), _) => self.model.encode(&loaded.tokenizer, text),
            (None, tokens) => tokens.clone().unwrap_or_default(),
        };
        let context = loaded.model.config().context;
        let stride = self.stride.unwrap_or(context.div_ceil(2));
        if text.is_some() && tokens.len() < 2 {
            let message = "a text of fewer than two tokens cannot be scored: nothing in it is predicted";
            return Err(Refusal::usage(message, "give a longer text").into());
        }
        let score = self.score(&mut loaded, &tokens, stride, &bar)?;
        // The cost of rounding needs a score of the unrounded weights.
        let unrounded = match self.model.load.unrounded() {
            None => None,
            Some(load) => {
                let mut stored = load.load(&self.model.checkpoint, Texts::Decoded, home, output, &bar)?;
                let score = self.score(&mut stored, &tokens, stride, &bar)?;
                Some((stored.model.precision().to_string().to_lowercase(), score))
            }
        };
        drop(bar);
        let bytes = text.map(|text| text.len() as u64);
        report(&loaded, &score, unrounded, stride, bytes, output)
    }

    fn score(&self, loaded: &mut Loaded, tokens: &[u32], stride: usize, bar: &Bar) -> anyhow::Result<Score> {
        let recorder = loaded.recorder.take();
        let score = || inference::score(&loaded.model, tokens, stride, bar).map_err(anyhow::Error::from);
        match recorder {
            None => score(),
            Some(mut recorder) => {
                let read = loaded.tokenizer.decode(tokens);
                recording::score(&mut recorder, &read, tokens.len(), self.justify.as_ref(), score)
            }
        }
    }

    fn text(&self) -> anyhow::Result<Option<String>> {
        let Some(file) = &self.file else {
            return match self.model.tokens {
                Some(_) => Ok(None),
                None => Err(Refusal::usage("nothing to score", "give a text file, or --tokens").into()),
            };
        };
        if self.model.tokens.is_some() {
            return Err(Refusal::usage("both a file and --tokens are given", "give one of them").into());
        }
        let name = file.display().to_string();
        if name == "-" {
            return utf8(read_stdin(MAX_TEXT)?, "standard input").map(Some);
        }
        let named = |error| anyhow::Error::new(error).context(format!("cannot read {name}"));
        let size = fs::metadata(file).map_err(named)?.len();
        if size > MAX_TEXT {
            let message = format!("{name} has {size} bytes, more than the {MAX_TEXT} that are accepted");
            return Err(Refusal::usage(message, "score it in parts").into());
        }
        utf8(fs::read(file).map_err(named)?, &name).map(Some)
    }
}

fn report(
    loaded: &Loaded,
    score: &Score,
    unrounded: Option<(String, Score)>,
    stride: usize,
    bytes: Option<u64>,
    output: Output,
) -> anyhow::Result<()> {
    let id = &loaded.checkpoint;
    let bits_per_byte = bytes.map(|bytes| score.bits_per_byte(bytes));
    let result = json!({
        "checkpoint": id,
        "dtype": loaded.model.precision().to_string().to_lowercase(),
        "tokens": score.predicted,
        "bytes": bytes,
        "stride": stride,
        "mean_nll": score.mean(),
        "perplexity": score.perplexity(),
        "bits_per_byte": bits_per_byte,
        "unrounded": unrounded.as_ref().map(|(dtype, stored)| json!({
            "dtype": dtype,
            "perplexity": stored.perplexity(),
            "perplexity_ratio": score.perplexity() / stored.perplexity(),
        })),
        "last_logits": bytes.is_none().then_some(&score.last_logits),
    });
    let mut text = format!("{id}\n  tokens scored  {}\n", units::count(score.predicted as u64));
    if let Some(bits) = bits_per_byte {
        text += &format!("  bits per byte  {bits:.4}\n");
    }
    if score.predicted > 0 {
        text += &format!("  perplexity     {:.3}", score.perplexity());
        text += &unrounded.map_or_else(String::new, |(dtype, stored)| {
            let cost = (score.perplexity() / stored.perplexity() - 1.0) * 100.0;
            format!("; {:.3} in {dtype}: rounding costs {cost:+.2} %", stored.perplexity())
        });
        text.push('\n');
    }
    text += &format!("  stride         {stride} of a context of {}\n", loaded.model.config().context);
    output.result(&result, text)
}
