//! `portcullis bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::model::{LoadArguments, Texts};
use super::recording;
use crate::checkpoint::known;
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::cli::units;
use crate::client::Recorder;
use crate::inference::{Machine, Model, RandomWeights};
use crate::progress::Progress as _;

/// Tokens of the prompt and of the output of each sequence of a batch.
const BATCH_PROMPT: usize = 32;
const BATCH_TOKENS: usize = 64;

/// Tokens to generate before the measurement.
const WARM_UP_TOKENS: usize = 2;

/// Measure load time, prefill, decode and memory, and compare them with the limits of this machine
///
/// Without a checkpoint, measures random weights in the shape of GPT-2 124M, which are as fast as real ones.
#[derive(Debug, Args)]
pub(in crate::cli) struct Bench {
    /// A checkpoint of your vault, or the folder of an imported one
    checkpoint: Option<PathBuf>,

    /// Random weights in the shape of a known checkpoint: gpt2-124m, gpt2-355m, gpt2-774m, gpt2-1.5b
    #[arg(long, value_name = "NAME", conflicts_with = "checkpoint")]
    shape: Option<String>,

    #[command(flatten)]
    load: LoadArguments,

    /// Tokens of the prompt; by default 512, or half of a context shorter than 1024
    #[arg(long, value_name = "N")]
    prompt: Option<usize>,

    /// Tokens to generate; by default 128, or an eighth of a context shorter than 1024
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,

    /// Batch sizes to measure, with prompts of 32 tokens and 64 generated tokens each; 0 for none
    #[arg(
        long,
        value_name = "N,N,…",
        value_delimiter = ',',
        default_value = "4,8,16",
        value_parser = clap::value_parser!(u16).range(..=256)
    )]
    batch: Vec<u16>,

    /// Rounds; the result is their median
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
}

/// The work to measure, in tokens.
struct Work {
    prompt: usize,
    tokens: usize,
    rounds: usize,
    /// Batch sizes, and the generated tokens of each sequence.
    batches: Vec<usize>,
    batch_tokens: usize,
}

/// A model to measure.
struct Subject {
    name: String,
    model: Model,
    seconds: f64,
    recorder: Option<Recorder>,
}

/// The results, as `--json` prints them.
#[derive(Serialize)]
struct Findings {
    checkpoint: String,
    dtype: String,
    threads: usize,
    instructions: &'static str,
    read_gigabytes_per_second: f64,
    peak_gigaops_per_second: f64,
    load_seconds: f64,
    weight_bytes: u64,
    peak_memory_bytes: Option<u64>,
    prompt: usize,
    tokens: usize,
    prefill_tokens_per_second: f64,
    prefill_share_of_peak: f64,
    decode_tokens_per_second: f64,
    decode_share_of_bandwidth: f64,
    batches: Vec<BatchSpeed>,
}

#[derive(Serialize)]
struct BatchSpeed {
    texts: usize,
    tokens_per_second: f64,
}

impl Bench {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let bar = Bar::before(output);
        let mut subject = self.load(home, output, &bar)?;
        let work = self.work(subject.model.config().context)?;
        let prompt = prompt(&subject.model, work.prompt, 0);
        let findings = match subject.recorder.take() {
            Some(mut recorder) => {
                recording::measure(&mut recorder, || measure(&subject, &prompt, &work, &bar))?
            }
            None => measure(&subject, &prompt, &work, &bar)?,
        };
        drop(bar);
        let text = describe(&findings);
        output.result(&findings, text)
    }

    fn load(&self, home: &Home, output: Output, bar: &Bar) -> anyhow::Result<Subject> {
        if let Some(checkpoint) = &self.checkpoint {
            let loaded = self.load.load(checkpoint, Texts::Decoded, home, output, bar)?;
            return Ok(Subject {
                name: loaded.checkpoint.to_string(),
                model: loaded.model,
                seconds: loaded.seconds,
                recorder: loaded.recorder,
            });
        }
        let name = self.shape.as_deref().unwrap_or("gpt2-124m");
        let known = known::find(name).ok_or_else(|| {
            let message = format!("unknown shape `{name}`");
            Refusal::usage(message, "use gpt2-124m, gpt2-355m, gpt2-774m or gpt2-1.5b")
        })?;
        let begun = Instant::now();
        let config = known.config();
        let model = Model::load(&config, &RandomWeights::new(&config), &self.load.options(), bar)?;
        let name = format!("{} (random weights in its shape)", known.id);
        let seconds = begun.elapsed().as_secs_f64();
        Ok(Subject { name, model, seconds, recorder: None })
    }

    /// The work for a model with this context.
    fn work(&self, context: usize) -> Result<Work, Refusal> {
        let prompt = self.prompt.unwrap_or(512.min(context / 2));
        let tokens = self.tokens.unwrap_or(128.min(context / 8));
        if prompt == 0 || tokens < 2 || prompt.saturating_add(tokens) > context {
            let message =
                format!("the prompt and at least 2 generated tokens must fit the context of {context}");
            return Err(Refusal::usage(message, "change --prompt or --tokens"));
        }
        Ok(Work {
            prompt,
            tokens,
            rounds: self.rounds.into(),
            batches: self.batch.iter().map(|&texts| usize::from(texts)).filter(|&texts| texts > 0).collect(),
            batch_tokens: BATCH_TOKENS.min(context.saturating_sub(BATCH_PROMPT)).max(2),
        })
    }
}

fn measure(subject: &Subject, prompt: &[u32], work: &Work, bar: &Bar) -> anyhow::Result<Findings> {
    let model = &subject.model;
    model.measure(prompt, WARM_UP_TOKENS)?;
    let batched: usize = work.batches.iter().map(|texts| texts * work.batch_tokens).sum();
    bar.begin_tokens("measuring", (work.rounds * (work.tokens + batched)) as u64);
    let mut speeds = Vec::new();
    for _ in 0..work.rounds {
        speeds.push(model.measure(prompt, work.tokens)?);
        bar.advance(work.tokens as u64);
    }
    let (prefill, decode) = (median(&speeds, |speed| speed.prefill), median(&speeds, |speed| speed.decode));
    // Before the batches, whose caches grow with the batch size.
    let peak_memory_bytes = peak_memory();
    let mut batches = Vec::new();
    for &texts in &work.batches {
        let prompts: Vec<_> = (0..texts as u64).map(|text| self::prompt(model, BATCH_PROMPT, text)).collect();
        let mut rates = Vec::new();
        for _ in 0..work.rounds {
            rates.push(model.measure_batch(&prompts, work.batch_tokens)?);
            bar.advance((texts * work.batch_tokens) as u64);
        }
        batches.push(BatchSpeed { texts, tokens_per_second: median(&rates, |&rate| rate) });
    }
    let threads = model.processor().map(|(threads, _)| threads);
    let machine = Machine::measure(threads)?;
    let peak = machine.peak(model.precision());
    Ok(Findings {
        checkpoint: subject.name.clone(),
        dtype: model.precision().to_string().to_lowercase(),
        threads: machine.threads(),
        instructions: machine.instructions(),
        read_gigabytes_per_second: machine.read_bandwidth / 1e9,
        peak_gigaops_per_second: peak / 1e9,
        load_seconds: subject.seconds,
        weight_bytes: model.weight_bytes(),
        peak_memory_bytes,
        prompt: prompt.len(),
        tokens: work.tokens,
        prefill_tokens_per_second: prefill,
        prefill_share_of_peak: prefill * model.operations_per_token() / peak,
        decode_tokens_per_second: decode,
        decode_share_of_bandwidth: decode * model.weight_bytes() as f64 / machine.read_bandwidth,
        batches,
    })
}

/// Pseudorandom tokens.
fn prompt(model: &Model, count: usize, seed: u64) -> Vec<u32> {
    let vocabulary = model.config().vocabulary as u64;
    (0..count as u64).map(|i| ((i + 1 + seed * 7919) * 2_654_435_761 % vocabulary) as u32).collect()
}

fn median<T>(of: &[T], number: impl Fn(&T) -> f64) -> f64 {
    let mut numbers: Vec<f64> = of.iter().map(number).collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Peak memory of this process in bytes, on Linux.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

fn describe(findings: &Findings) -> String {
    let Findings { checkpoint, dtype, threads, instructions, .. } = findings;
    let memory = findings.peak_memory_bytes.map(units::bytes);
    let mut text = format!(
        "{checkpoint}, {dtype}\n  machine      {threads} threads, {instructions}; reads {:.1} GB/s, computes {:.0} Gop/s in {dtype}\n",
        findings.read_gigabytes_per_second, findings.peak_gigaops_per_second,
    );
    text += &format!("  loaded in    {:.2} s\n", findings.load_seconds);
    text += &format!("  memory       {} of weights", units::bytes(findings.weight_bytes));
    text += &memory.map_or_else(|| "\n".to_owned(), |max| format!(", {max} in all at most\n"));
    text += &format!(
        "  prefill      {:.0} tokens a second over {} ({:.0} % of the peak)\n",
        findings.prefill_tokens_per_second,
        findings.prompt,
        findings.prefill_share_of_peak * 100.0,
    );
    text += &format!("  decode       {:.1} tokens a second behind them ", findings.decode_tokens_per_second);
    text += &match findings.decode_share_of_bandwidth {
        share if share > 1.0 => "(faster than memory is read: the weights stay in the caches)\n".to_owned(),
        share => format!("({:.0} % of the bandwidth)\n", share * 100.0),
    };
    for batch in &findings.batches {
        let together = format!("{} at a time", batch.texts);
        text += &format!("  {together:<12} {:.0} tokens a second together\n", batch.tokens_per_second);
    }
    text
}
