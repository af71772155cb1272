//! Nothing runs without a record: the records of `run`, `score` and `bench` with a sealed checkpoint.

use serde::Serialize;

use super::sample::{Sample, Writer};
use super::usage;
use crate::access::RulesInForce;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::cli::signing::{Unattended, unattended};
use crate::client::{self, OpenRecord, Outcome, Pass, Prompt, Recorder, Recorders};
use crate::inference::{GenerationOptions, Sampling, Score};
use crate::misuse::{Hit, RuleId};
use crate::name::Prose;
use crate::time::Timestamp;
use crate::usage::{Finish, Journal, Parameters, Task};

/// A recorder for generations under a pass.
pub(super) fn recorder(
    home: &Home,
    pass: &Pass,
    rules: &RulesInForce,
    output: Output,
) -> anyhow::Result<Recorder> {
    // The gate has just verified the catalogue, so the registry is not asked again.
    let catalogue = registry::known_catalogue(home, output)?;
    let auditors = catalogue.auditor_cards()?;
    let scorer = catalogue.scorer()?;
    let (_, signer) = unattended(home, Unattended::Usage, output)?;
    usage::recover(home, &mut Journal::open(&home.journal(), rand::random())?, output)?;
    Ok(Recorder::open(&home.journal(), rand::random(), pass, rules, &auditors, scorer, signer)?)
}

/// The records of the texts of one command.
pub(super) struct Records {
    recorders: Recorders,
    /// The prompt as text, as records store it.
    prompt: String,
    justification: Option<Prose>,
    /// The rules of misuse that were met so far, each once for the prompt and once for the output.
    rules_met: Vec<RuleMet>,
}

/// A rule of misuse that a text met, for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RuleMet {
    /// `prompt` or `output`.
    text: &'static str,
    rule: RuleId,
    reason: String,
}

impl Records {
    /// The records of texts that continue `prompt`.
    pub(super) fn new(recorders: Recorders, prompt: String, justification: Option<Prose>) -> Self {
        Self { recorders, prompt, justification, rules_met: Vec::new() }
    }

    /// Records that a text begins.
    pub(super) fn begin(
        &mut self,
        writer: &Writer<'_>,
        options: &GenerationOptions,
    ) -> anyhow::Result<OpenRecord> {
        let prompt = Prompt {
            task: Task::Run,
            text: &self.prompt,
            tokens: writer.prompt.len(),
            max_tokens: options.max_tokens,
            parameters: Some(parameters(&options.sampling)),
            justification: self.justification.clone(),
        };
        let (record, hits) = self.recorders.begin(&prompt, Timestamp::now())?;
        show_hits(writer.output, "the prompt", &hits);
        self.remember("prompt", &hits);
        Ok(record)
    }

    /// Stores a piece of text before it is shown.
    pub(super) fn append(
        &mut self,
        record: &OpenRecord,
        text: &str,
        tokens: usize,
    ) -> Result<(), client::Error> {
        self.recorders.append(record, text, tokens)
    }

    /// Records the outcome of a text.
    pub(super) fn end(&mut self, record: OpenRecord, sample: &Sample, output: Output) -> anyhow::Result<()> {
        let outcome = Outcome { output: &sample.text, tokens: sample.tokens.len(), finish: sample.finish };
        let hits = self.recorders.end(record, &outcome, Timestamp::now())?;
        show_hits(output, "the output", &hits);
        self.remember("output", &hits);
        Ok(())
    }

    /// The rules of misuse that were met.
    pub(super) fn rules_met(&self) -> &[RuleMet] {
        &self.rules_met
    }

    fn remember(&mut self, text: &'static str, hits: &[Hit]) {
        for hit in hits {
            let met = RuleMet { text, rule: hit.rule.clone(), reason: hit.reason.clone() };
            if !self.rules_met.contains(&met) {
                self.rules_met.push(met);
            }
        }
    }

    /// Records that a text failed. The number of generated tokens is not known, so `max_tokens` count.
    pub(super) fn fail(&mut self, record: OpenRecord, max_tokens: usize) -> anyhow::Result<()> {
        let outcome = Outcome { output: "", tokens: max_tokens, finish: Finish::Failed };
        self.recorders.end(record, &outcome, Timestamp::now())?;
        Ok(())
    }
}

/// Sampling parameters for a record.
pub(super) fn parameters(sampling: &Sampling) -> Parameters {
    Parameters {
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        seed: sampling.seed,
    }
}

/// Scores a text with a record before and after it.
pub(super) fn score(
    recorder: &mut Recorder,
    text: &str,
    tokens: usize,
    justification: Option<&Prose>,
    score: impl FnOnce() -> anyhow::Result<Score>,
) -> anyhow::Result<Score> {
    let prompt = Prompt {
        task: Task::Score,
        text,
        tokens,
        max_tokens: 0,
        parameters: None,
        justification: justification.cloned(),
    };
    let (begin, _) = recorder.begin(&prompt, Timestamp::now())?;
    let scored = score();
    let finish = if scored.is_ok() { Finish::Scored } else { Finish::Failed };
    recorder.end(begin, &Outcome { output: "", tokens: 0, finish }, Timestamp::now())?;
    scored
}

/// Measures with a record before and after. The generated text is not shown, and no limit counts it.
pub(super) fn measure<T>(
    recorder: &mut Recorder,
    measure: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let prompt = Prompt {
        task: Task::Bench,
        text: "",
        tokens: 0,
        max_tokens: 0,
        parameters: None,
        justification: None,
    };
    let (begin, _) = recorder.begin(&prompt, Timestamp::now())?;
    let measured = measure();
    let finish = if measured.is_ok() { Finish::Length } else { Finish::Failed };
    recorder.end(begin, &Outcome { output: "", tokens: 0, finish }, Timestamp::now())?;
    measured
}

/// Shows the rules that the records name, which the auditors read.
fn show_hits(output: Output, what: &str, hits: &[Hit]) {
    for hit in hits {
        output.note(format_args!(
            "note: recorded: {what} matches the misuse rule `{}`: it {}",
            hit.rule, hit.reason
        ));
    }
}
