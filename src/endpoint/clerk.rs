//! Keeps the records of the endpoint's texts, in a thread of its own: writing waits for no disk, and no text begins before its
//! record is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use tokio::sync::mpsc::Sender;

use super::delivery::Place;
use super::problem::Problem;
use super::{Served, writer};
use crate::client::{Asked, Begun, Ended};
use crate::inference::{Completion, Finish, GenerationOptions, Step};
use crate::usage::{self, Parameters, Task};

/// Where records are kept, and what rules say of them.
pub trait Ledger: Send {
    /// Records, durably, that a text begins.
    ///
    /// # Errors
    /// [`Denied`]; nothing may be written then.
    fn begin(&mut self, asked: &Asked<'_>) -> Result<Begun, Denied>;

    /// Stores more of it, before it is shown; `tokens` are all so far.
    ///
    /// # Errors
    /// [`Denied`]; nothing more may be written then.
    fn store_text(&mut self, begun: &Begun, text: &str, tokens: usize) -> Result<(), Denied>;

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
    /// Whether the prompt is shown before it.
    pub(super) echo: bool,
    /// Has room for everything that is ever told of it: nobody here waits for a client.
    pub(super) to: Sender<(usize, Told)>,
    /// Kept until it has ended; its request keeps it until the answer was delivered.
    pub(super) place: Place,
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
    /// More of a text, to be stored.
    Wrote {
        begun: Begun,
        text: String,
        tokens: usize,
        /// Set where it cannot be stored: nothing more may be written then.
        unstored: Arc<AtomicBool>,
    },
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
    closing: &AtomicBool,
    ledger: &mut dyn Ledger,
) {
    let mut writer = Some(writer);
    while let Ok(message) = inbox.recv() {
        match (message, &writer) {
            (ToClerk::Begin(job), _) if job.to.is_closed() => drop(job),
            (ToClerk::Begin(job), Some(writer)) if !closing.load(Ordering::Relaxed) => {
                match begin(&job, served, ledger) {
                    Ok(begun) => hand_over(job, begun, writer, ledger),
                    Err(problem) => refuse(job, problem),
                }
            }
            (ToClerk::Begin(job), _) => refuse(job, Problem::stopping()),
            (ToClerk::Wrote { begun, text, tokens, unstored }, _) => {
                if ledger.store_text(&begun, &text, tokens).is_err() {
                    unstored.store(true, Ordering::Relaxed);
                }
            }
            (ToClerk::End { job, begun, ending }, _) => end(job, begun, ending, ledger),
            (ToClerk::Close, _) => writer = None,
        }
    }
}

/// Where the writer is gone, what was begun ends here: no record stays open.
fn hand_over(job: Job, begun: Begun, writer: &mpsc::Sender<writer::Recorded>, ledger: &mut dyn Ledger) {
    if let Err(mpsc::SendError(writer::Recorded { job, begun })) =
        writer.send(writer::Recorded { job, begun })
    {
        tracing::error!("no text can be written any more: the thread that wrote them has ended");
        end(job, begun, Err(Problem::writer_gone()), ledger);
    }
}

fn refuse(job: Job, problem: Problem) {
    let Job { to, index, place, .. } = job;
    drop(place);
    drop(to.try_send((index, Told::Failed(problem))));
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
    let finish: usage::Finish = match &ending {
        Ok((completion, _)) => completion.generation.finish.into(),
        Err(_) => usage::Finish::Failed,
    };
    let ended = match &ending {
        Ok((completion, _)) => {
            Ended { output: &completion.text, tokens: completion.generation.tokens.len(), finish }
        }
        // How far it came is not known: it counts in full.
        Err(_) => Ended { output: "", tokens: job.options.max_tokens, finish },
    };
    let tokens = ended.tokens as u64;
    let recorded = ledger.end(begun, &ended).map_err(into_problem);
    metrics::counter!("portcullis_completions_total", "finish" => finish.name()).increment(1);
    metrics::counter!("portcullis_completion_tokens_total").increment(tokens);
    metrics::histogram!("portcullis_completion_seconds").record(job.asked.elapsed().as_secs_f64());
    let told = match recorded.and(ending) {
        // Its client did not give up, or it would not be told: the endpoint ends.
        Ok((completion, _)) if completion.generation.finish == Finish::Cancelled => {
            Told::Failed(Problem::stopping())
        }
        Ok((completion, held)) => Told::End { completion, held },
        Err(problem) => Told::Failed(problem),
    };
    let Job { to, index, place, .. } = job;
    drop(place);
    drop(to.try_send((index, told)));
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::{Receiver, channel};

    use super::super::testing::served;
    use super::*;
    use crate::client::Recorders;

    /// Says of each record how it ended; records nothing.
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Ledger for Heard {
        fn begin(&mut self, asked: &Asked<'_>) -> Result<Begun, Denied> {
            self.0.lock().unwrap().push("begun".to_owned());
            Ok(Recorders::default().begin(asked, crate::time::Timestamp::now()).unwrap().0)
        }

        fn store_text(&mut self, _: &Begun, text: &str, tokens: usize) -> Result<(), Denied> {
            self.0.lock().unwrap().push(format!("{text} after {tokens}"));
            Ok(())
        }

        fn end(&mut self, _: Begun, ended: &Ended<'_>) -> Result<(), Denied> {
            self.0.lock().unwrap().push(format!("{} after {}", ended.finish, ended.tokens));
            Ok(())
        }
    }

    fn job() -> (Job, Receiver<(usize, Told)>) {
        let (to, inbox) = channel(8);
        let place = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap());
        let options = GenerationOptions { max_tokens: 7, ..GenerationOptions::default() };
        let (prompt, stop, asked) = (vec![1], Vec::new(), Instant::now());
        (Job { index: 0, prompt, options, stop, echo: false, to, place, asked }, inbox)
    }

    /// What is recorded, and what the client is told, of a text for which nobody is there to write it.
    fn kept(closing: bool) -> (Vec<String>, String) {
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let (clerk, at_clerk) = mpsc::channel();
        let (job, mut inbox) = job();
        clerk.send(ToClerk::Begin(job)).unwrap();
        drop(clerk);
        let writer = mpsc::channel().0;
        keep(&at_clerk, writer, &served(), &AtomicBool::new(closing), &mut Heard(Arc::clone(&heard)));
        let Some((0, Told::Failed(problem))) = inbox.blocking_recv() else { panic!("it was not refused") };
        let heard = heard.lock().unwrap().clone();
        (heard, serde_json::to_string(&problem.wire()).unwrap())
    }

    #[test]
    fn where_the_writer_is_gone_no_record_stays_open() {
        let (heard, told) = kept(false);
        assert_eq!(heard, ["begun", "failed after 7"]);
        assert!(told.contains("nothing can be written here any more"), "{told}");
    }

    #[test]
    fn nothing_begins_once_the_end_was_asked_for() {
        let (heard, told) = kept(true);
        assert!(heard.is_empty(), "{heard:?}");
        assert!(told.contains("shutting down"), "{told}");
    }
}
