//! Keeps the records of the endpoint's texts, in a thread of its own: writing waits for no disk, and no text begins before its
//! record is durable.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use super::problem::Problem;
use super::{Served, writer};
use crate::client::{Asked, Begun, Ended};
use crate::inference::{Completion, GenerationOptions, Step};
use crate::usage::{Parameters, Task};

/// Where records are kept, and what rules say of them.
pub trait Ledger: Send {
    /// Records, durably, that a text begins.
    ///
    /// # Errors
    /// [`Denied`]; nothing may be written then.
    fn begin(&mut self, asked: &Asked<'_>) -> Result<Begun, Denied>;

    /// Records how it ended.
    ///
    /// # Errors
    /// [`Denied`].
    fn end(&mut self, begun: Begun, ended: &Ended<'_>) -> Result<(), Denied>;
}

/// Why nothing may be written.
#[derive(Debug, Clone)]
pub struct Denied {
    /// Whether a rule forbids it; otherwise it cannot be recorded now.
    pub by_rule: bool,
    /// What the client is told.
    pub message: String,
}

/// A text that is asked for.
pub(super) struct Job {
    /// Which of its request.
    pub(super) index: usize,
    pub(super) prompt: Vec<u32>,
    pub(super) options: GenerationOptions,
    pub(super) stop: Vec<String>,
    pub(super) to: UnboundedSender<(usize, Told)>,
    /// Kept until it has ended.
    pub(super) place: Arc<OwnedSemaphorePermit>,
    pub(super) asked: Instant,
}

/// What the client is told of a text.
pub(super) enum Told {
    Prompt(Step),
    Token {
        text: String,
        step: Step,
    },
    /// It ended; so much of the end of its text was held back until now.
    End {
        completion: Completion,
        held: usize,
    },
    Failed(Problem),
}

/// What the clerk does.
pub(super) enum ToClerk {
    Begin(Job),
    End {
        job: Job,
        begun: Begun,
        ending: Result<(Completion, usize), Problem>,
    },
    /// No more will begin.
    Close,
}

/// Keeps records until everybody who has something to record is gone.
pub(super) fn keep(
    inbox: &mpsc::Receiver<ToClerk>,
    writer: mpsc::Sender<writer::Recorded>,
    served: &Served,
    ledger: &mut dyn Ledger,
) {
    let mut writer = Some(writer);
    while let Ok(message) = inbox.recv() {
        match message {
            ToClerk::Begin(job) if job.to.is_closed() => drop(job),
            ToClerk::Begin(job) => match (begin(&job, served, ledger), &writer) {
                (Ok(begun), Some(writer)) => drop(writer.send(writer::Recorded { job, begun })),
                (Ok(begun), None) => drop(ledger.end(begun, &nothing())),
                (Err(problem), _) => drop(job.to.send((job.index, Told::Failed(problem)))),
            },
            ToClerk::End { job, begun, ending } => end(job, begun, ending, ledger),
            ToClerk::Close => writer = None,
        }
    }
}

fn nothing() -> Ended<'static> {
    Ended { output: "", tokens: 0, finish: "cancelled" }
}

fn begin(job: &Job, served: &Served, ledger: &mut dyn Ledger) -> Result<Begun, Problem> {
    let sampling = &job.options.sampling;
    let asked = Asked {
        task: Task::Serve,
        prompt: &served.tokenizer.decode(&job.prompt),
        prompt_tokens: job.prompt.len(),
        max_tokens: job.options.max_tokens,
        parameters: Some(Parameters {
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            seed: sampling.seed,
        }),
        justification: None,
    };
    ledger.begin(&asked).map_err(into_problem)
}

fn into_problem(denied: Denied) -> Problem {
    if denied.by_rule { Problem::denied(denied.message) } else { Problem::unavailable(denied.message) }
}

/// Records how a text ended, then tells its client.
fn end(job: Job, begun: Begun, ending: Result<(Completion, usize), Problem>, ledger: &mut dyn Ledger) {
    let ended = match &ending {
        Ok((completion, _)) => Ended {
            output: &completion.text,
            tokens: completion.generation.tokens.len(),
            finish: completion.generation.finish.name(),
        },
        // How far it came is not known: it counts in full.
        Err(_) => Ended { output: "", tokens: job.options.max_tokens, finish: "failed" },
    };
    let (finish, tokens) = (ended.finish, ended.tokens as u64);
    let recorded = ledger.end(begun, &ended).map_err(into_problem);
    metrics::counter!("portcullis_completions_total", "finish" => finish.to_owned()).increment(1);
    metrics::counter!("portcullis_completion_tokens_total").increment(tokens);
    metrics::histogram!("portcullis_completion_seconds").record(job.asked.elapsed().as_secs_f64());
    let told = match recorded.and(ending) {
        Ok((completion, held)) => Told::End { completion, held },
        Err(problem) => Told::Failed(problem),
    };
    // The place is free before its client can ask again.
    let Job { to, index, place, .. } = job;
    drop(place);
    drop(to.send((index, told)));
}
