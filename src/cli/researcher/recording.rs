//! Nothing runs without a record: what `run` and `score` do around a generation with a sealed checkpoint.

use super::sample::{Sample, Writer};
use crate::access::RulesInForce;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::client::{Asked, Ended, Pass, Recorder};
use crate::inference::{CompletionOptions, Score};
use crate::misuse::Hit;
use crate::name::Prose;
use crate::time::Timestamp;
use crate::usage::{Parameters, Task};

/// A recorder for what is done under a pass.
pub(super) fn recorder(
    home: &Home,
    (pass, rules): (&Pass, &RulesInForce),
    output: Output,
) -> anyhow::Result<Recorder> {
    // What was verified a moment ago, without asking the registry again.
    let catalogue = registry::known_catalogue(home, output)?;
    let auditors = catalogue.auditor_cards()?;
    let scorer = catalogue.scorer()?;
    let (_, signer) = home.signer(output)?;
    Ok(Recorder::open((&home.journal(), rand::random()), (pass, rules), &auditors, scorer, signer)?)
}

/// Writes one text, its record before and behind it.
pub(super) fn write(
    recorder: &mut Recorder,
    writer: &mut Writer<'_>,
    ((prompt, prompt_tokens), options): ((&str, usize), &CompletionOptions),
    justification: Option<&Prose>,
) -> anyhow::Result<Sample> {
    let sampling = &options.generation.sampling;
    let parameters = Parameters {
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        seed: sampling.seed,
    };
    let asked = Asked {
        task: Task::Run,
        prompt,
        prompt_tokens,
        max_tokens: options.generation.max_tokens,
        parameters: Some(parameters),
        justification: justification.cloned(),
    };
    let (begin, hits) = recorder.begin(&asked, Timestamp::now())?;
    tell(writer.output, "the prompt", &hits);
    let written = writer.write(options);
    let ended = match &written {
        Ok(sample) => {
            Ended { output: &sample.text, tokens: sample.tokens.len(), finish: sample.finish_reason }
        }
        // How far it came is not known: it counts in full.
        Err(_) => Ended { output: "", tokens: asked.max_tokens, finish: "failed" },
    };
    let hits = recorder.end(begin, &ended, Timestamp::now())?;
    tell(writer.output, "the output", &hits);
    written
}

/// Scores a text, its record before and behind it.
pub(super) fn score(
    recorder: &mut Recorder,
    (text, tokens): (&str, usize),
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
    let finish = if scored.is_ok() { "scored" } else { "failed" };
    recorder.end(begin, &Ended { output: "", tokens: 0, finish }, Timestamp::now())?;
    scored
}

/// The person reads what the auditors will.
fn tell(output: Output, what: &str, hits: &[Hit]) {
    for hit in hits {
        output.note(format_args!(
            "note: recorded: {what} meets the misuse rule `{}`: it {}",
            hit.rule, hit.reason
        ));
    }
}
