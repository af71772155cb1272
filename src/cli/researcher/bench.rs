//! `portcullis bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::model::{LoadArguments, TokenizerUse};
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

/// Prompt of each text, and tokens written behind it, if several are written at the same time.
const BATCH: (usize, usize) = (32, 64);

/// Tokens written behind the prompt before anything counts.
const WARM_UP: usize = 2;

/// Measure load, prefill, decode and memory on this machine, and compare them with its peak
///
/// Without a checkpoint, it measures random weights in the shape of GPT-2 124M.
#[derive(Debug, Args)]
pub(in crate::cli) struct Bench {
    /// A checkpoint of your vault, or the folder of an imported one
    checkpoint: Option<PathBuf>,

    /// Random weights in the shape of a known checkpoint: gpt2-124m, gpt2-355m, gpt2-774m, gpt2-1.5b
    #[arg(long, value_name = "NAME", conflicts_with = "checkpoint")]
    shape: Option<String>,

    #[command(flatten)]
    load: LoadArguments,

    /// Tokens of the prompt [default: 512, or half of a context shorter than 1024]
    #[arg(long, value_name = "N")]
    prompt: Option<usize>,

    /// Tokens to generate [default: 128, or an eighth of such a context]
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,

    /// Batch sizes to measure, with prompts of 32 tokens and 64 new tokens each; 0 for none
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "4,8,16", value_parser = clap::value_parser!(u16).range(..=256))]
    batch: Vec<u16>,

    /// Rounds, after a short warm-up; the median is reported
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
}

/// What is measured of one model, in tokens.
struct Work {
    prompt: usize,
    tokens: usize,
    rounds: usize,
    /// Texts at the same time, and the tokens of each behind its prompt.
    batches: Vec<usize>,
    batch_tokens: usize,
}

/// A model to measure, and what is known of it.
struct Measured {
    name: String,
    model: Model,
    seconds: f64,
    recorder: Option<Recorder>,
}

/// What was found, as `--json` shows it.
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
        let bar = Bar::transient(output);
        let mut measured = self.load(home, output, &bar)?;
        let work = self.work(measured.model.config().context)?;
        let prompt = prompt(&measured.model, work.prompt, 0);
        let findings = match measured.recorder.take() {
            Some(mut recorder) => {
                recording::record_measurement(&mut recorder, || measure(&measured, &prompt, &work, &bar))?
            }
            None => measure(&measured, &prompt, &work, &bar)?,
        };
        drop(bar);
        let text = describe(&findings);
        output.result(&findings, text)
    }

    fn load(&self, home: &Home, output: Output, bar: &Bar) -> anyhow::Result<Measured> {
        if let Some(checkpoint) = &self.checkpoint {
            let loaded = self.load.load(checkpoint, TokenizerUse::Decode, home, output, bar)?;
            return Ok(Measured {
                name: loaded.checkpoint.to_string(),
                model: loaded.model,
                seconds: loaded.seconds,
                recorder: loaded.recorder,
            });
        }
        let name = self.shape.as_deref().unwrap_or("gpt2-124m");
        let known = known::find(name).ok_or_else(|| {
            let message = format!("no known checkpoint has the name `{name}`");
            Refusal::usage(message, "use gpt2-124m, gpt2-355m, gpt2-774m or gpt2-1.5b")
        })?;
        let begun = Instant::now();
        let config = known.config();
        let model = Model::load(&config, &RandomWeights::of(&config), &self.load.options(), bar)?;
        let name = format!("{} (random weights in its shape)", known.id);
        let seconds = begun.elapsed().as_secs_f64();
        Ok(Measured { name, model, seconds, recorder: None })
    }

    /// What to measure of a model with this context.
    fn work(&self, context: usize) -> Result<Work, Refusal> {
        let prompt = self.prompt.unwrap_or(512.min(context / 2));
        let tokens = self.tokens.unwrap_or(128.min(context / 8));
        if prompt == 0 || tokens < 2 || prompt.saturating_add(tokens) > context {
            let message = format!("the prompt and at least 2 new tokens must fit the context of {context}");
            return Err(Refusal::usage(message, "change --prompt or --tokens"));
        }
        Ok(Work {
            prompt,
            tokens,
            rounds: self.rounds.into(),
            batches: self.batch.iter().map(|&texts| usize::from(texts)).filter(|&texts| texts > 0).collect(),
            batch_tokens: BATCH.1.min(context.saturating_sub(BATCH.0)).max(2),
        })
    }
}

fn measure(measured: &Measured, prompt: &[u32], work: &Work, bar: &Bar) -> anyhow::Result<Findings> {
    let model = &measured.model;
    model.measure(prompt, WARM_UP)?;
    let batched: usize = work.batches.iter().map(|texts| texts * work.batch_tokens).sum();
    bar.begin_tokens("measuring", (work.rounds * (work.tokens + batched)) as u64);
    let mut speeds = Vec::new();
    for _ in 0..work.rounds {
        speeds.push(model.measure(prompt, work.tokens)?);
        bar.advance(work.tokens as u64);
    }
    let (prefill, decode) = (median(&speeds, |speed| speed.prefill), median(&speeds, |speed| speed.decode));
    // Before the batches, whose caches are as large as one asks.
    let peak_memory_bytes = peak_memory();
    let mut batches = Vec::new();
    for &texts in &work.batches {
        let prompts: Vec<_> = (0..texts as u64).map(|text| self::prompt(model, BATCH.0, text)).collect();
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
        checkpoint: measured.name.clone(),
        dtype: model.precision().to_string().to_lowercase(),
        threads: machine.threads(),
        instructions: machine.instructions(),
        read_gigabytes_per_second: machine.read_bandwidth / 1e9,
        peak_gigaops_per_second: peak / 1e9,
        load_seconds: measured.seconds,
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

/// Tokens that look like no text, another for each `seed`.
fn prompt(model: &Model, count: usize, seed: u64) -> Vec<u32> {
    let vocabulary = model.config().vocabulary as u64;
    (0..count as u64).map(|i| ((i + 1 + seed * 7919) * 2_654_435_761 % vocabulary) as u32).collect()
}

fn median<T>(of: &[T], number: impl Fn(&T) -> f64) -> f64 {
    let mut numbers: Vec<f64> = of.iter().map(number).collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The most memory that this process held so far, if the system reports it.
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
    text += &memory.map_or_else(|| "\n".to_owned(), |max| format!(", at most {max} in all\n"));
    text += &format!(
        "  prefill      {:.0} tokens a second over {} ({:.0} % of the peak)\n",
        findings.prefill_tokens_per_second,
        findings.prompt,
        findings.prefill_share_of_peak * 100.0,
    );
    text += &format!("  decode       {:.1} tokens a second after them ", findings.decode_tokens_per_second);
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
