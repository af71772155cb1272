//! Nothing runs without a record: what `run` and `score` do around a generation with a sealed checkpoint.

use serde::Serialize;

use super::sample::{Sample, Writer};
use super::usage;
use crate::access::RulesInForce;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::cli::signing::{Unattended, unattended};
use crate::client::{self, Asked, Begun, Ended, Pass, Recorder, Recorders};
use crate::inference::{GenerationOptions, Sampling, Score};
use crate::misuse::{Hit, RuleId};
use crate::name::Prose;
use crate::time::Timestamp;
use crate::usage::{Finish, Journal, Parameters, Task};

/// A recorder for what is done under a pass.
pub(super) fn recorder(
    home: &Home,
    pass: &Pass,
    rules: &RulesInForce,
    output: Output,
) -> anyhow::Result<Recorder> {
    // What was verified a moment ago, without asking the registry again.
    let catalogue = registry::known_catalogue(home, output)?;
    let auditors = catalogue.auditor_cards()?;
    let scorer = catalogue.scorer()?;
    let (_, signer) = unattended(home, Unattended::Usage, output)?;
    usage::recover(home, &mut Journal::open(&home.journal(), rand::random())?, output)?;
    Ok(Recorder::open(&home.journal(), rand::random(), pass, rules, &auditors, scorer, signer)?)
}

/// The records of texts that one command writes.
pub(super) struct Records {
    recorders: Recorders,
    /// The prompt as text, which is what is kept of it.
    prompt: String,
    justification: Option<Prose>,
    /// The rules of misuse that were met so far, each once for the prompt and once for the output.
    rules_met: Vec<MatchedRule>,
}

/// A rule of misuse that a text met, for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct MatchedRule {
    /// `prompt` or `output`.
    text: &'static str,
    rule: RuleId,
    reason: String,
}

impl Records {
    /// Records of texts behind `prompt`; none if no checkpoint is sealed.
    pub(super) fn new(recorders: Recorders, prompt: String, justification: Option<Prose>) -> Self {
        Self { recorders, prompt, justification, rules_met: Vec::new() }
    }

    /// Records that a text begins.
    pub(super) fn begin(
        &mut self,
        writer: &Writer<'_>,
        options: &GenerationOptions,
    ) -> anyhow::Result<Begun> {
        let asked = Asked {
            task: Task::Run,
            prompt: &self.prompt,
            prompt_tokens: writer.prompt.len(),
            max_tokens: options.max_tokens,
            parameters: Some(parameters(&options.sampling)),
            justification: self.justification.clone(),
        };
        let (begun, hits) = self.recorders.begin(&asked, Timestamp::now())?;
        note_hits(writer.output, "the prompt", &hits);
        self.remember("prompt", &hits);
        Ok(begun)
    }

    /// Stores what is about to be shown.
    pub(super) fn wrote(&mut self, begun: &Begun, text: &str, tokens: usize) -> Result<(), client::Error> {
        self.recorders.wrote(begun, text, tokens)
    }

    /// Records how it ended.
    pub(super) fn end(&mut self, begun: Begun, sample: &Sample, output: Output) -> anyhow::Result<()> {
        let ended = Ended { output: &sample.text, tokens: sample.tokens.len(), finish: sample.finish };
        let hits = self.recorders.end(begun, &ended, Timestamp::now())?;
        note_hits(output, "the output", &hits);
        self.remember("output", &hits);
        Ok(())
    }

    /// The rules of misuse that were met.
    pub(super) fn rules_met(&self) -> &[MatchedRule] {
        &self.rules_met
    }

    fn remember(&mut self, text: &'static str, hits: &[Hit]) {
        for hit in hits {
            let met = MatchedRule { text, rule: hit.rule.clone(), reason: hit.reason.clone() };
            if !self.rules_met.contains(&met) {
                self.rules_met.push(met);
            }
        }
    }

    /// Records that it failed. How far it came is not known: it counts in full.
    pub(super) fn fail(&mut self, begun: Begun, max_tokens: usize) -> anyhow::Result<()> {
        let ended = Ended { output: "", tokens: max_tokens, finish: Finish::Failed };
        self.recorders.end(begun, &ended, Timestamp::now())?;
        Ok(())
    }
}

/// How tokens are chosen, as a record has it.
pub(super) fn parameters(sampling: &Sampling) -> Parameters {
    Parameters {
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        seed: sampling.seed,
    }
}

/// Scores a text, its record before and behind it.
pub(super) fn record_score(
    recorder: &mut Recorder,
    text: &str,
    tokens: usize,
    justification: Option<&Prose>,
    score: impl FnOnce() -> anyhow::Result<Score>,
) -> anyhow::Result<Score> {
    let asked = Asked {
        task: Task::Score,
        prompt: text,
        prompt_tokens: tokens,
        max_tokens: 0,
        parameters: None,
        justification: justification.cloned(),
    };
    let (begin, _) = recorder.begin(&asked, Timestamp::now())?;
    let scored = score();
    let finish = if scored.is_ok() { Finish::Scored } else { Finish::Failed };
    recorder.end(begin, &Ended { output: "", tokens: 0, finish }, Timestamp::now())?;
    scored
}

/// Measures with a sealed checkpoint, its record before and behind. The text is not shown, and no limit counts it.
pub(super) fn record_measurement<T>(
    recorder: &mut Recorder,
    measure: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let asked = Asked {
        task: Task::Bench,
        prompt: "",
        prompt_tokens: 0,
        max_tokens: 0,
        parameters: None,
        justification: None,
    };
    let (begin, _) = recorder.begin(&asked, Timestamp::now())?;
    let measured = measure();
    let finish = if measured.is_ok() { Finish::Length } else { Finish::Failed };
    recorder.end(begin, &Ended { output: "", tokens: 0, finish }, Timestamp::now())?;
    measured
}

/// The person reads what the auditors will.
fn note_hits(output: Output, what: &str, hits: &[Hit]) {
    for hit in hits {
        output.note(format_args!(
            "note: recorded: {what} matches the misuse rule `{}`: it {}",
            hit.rule, hit.reason
        ));
    }
}
