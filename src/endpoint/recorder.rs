//! The recorder: a thread that keeps the usage records of the endpoint. Generation never waits for a disk, and no text begins before its
//! record is durable (P4).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use tokio::sync::mpsc::Sender;

use super::delivery::Place;
use super::problem::Problem;
use super::{Served, writer};
use crate::client::{OpenRecord, Outcome, Prompt};
use crate::inference::{Completion, Finish, GenerationOptions, ScoredToken};
use crate::usage::{self, Parameters, Task};

/// Keeps usage records, and applies the rules of misuse.
pub(crate) trait Ledger: Send {
    /// Records durably that a text begins.
    ///
    /// # Errors
    /// [`Denial`]: the text must not be generated.
    fn begin(&mut self, prompt: &Prompt<'_>) -> Result<OpenRecord, Denial>;

    /// Stores more of a text before it is sent; `tokens` is the number of tokens so far.
    ///
    /// # Errors
    /// [`Denial`]: no more of the text may be generated.
    fn append(&mut self, record: &OpenRecord, text: &str, tokens: usize) -> Result<(), Denial>;

    /// Records the outcome of a text.
    ///
    /// # Errors
    /// [`Denial`] if the outcome cannot be recorded.
    fn end(&mut self, record: OpenRecord, outcome: &Outcome<'_>) -> Result<(), Denial>;
}

/// The refusal of a text.
#[derive(Debug, Clone)]
pub(crate) struct Denial {
    /// True if a rule forbids the text; false if it cannot be recorded now.
    pub(crate) by_rule: bool,
    /// The message to the client.
    pub(crate) message: String,
}

/// One text of a request.
pub(super) struct Job {
    /// Its index in the request.
    pub(super) index: usize,
    pub(super) prompt: Vec<u32>,
    pub(super) options: GenerationOptions,
    pub(super) stop: Vec<String>,
    /// Whether the response repeats the prompt before the text.
    pub(super) echo: bool,
    /// Has capacity for every event of the request, so no thread waits for a client.
    pub(super) events: Sender<IndexedEvent>,
    /// Held until the text has ended; the request holds it until its response is delivered.
    pub(super) place: Place,
    pub(super) received: Instant,
}

impl Job {
    /// Sends an event to the client; returns false if the client has disconnected.
    pub(super) fn send(&self, event: TextEvent) -> bool {
        self.events.try_send(IndexedEvent { index: self.index, event }).is_ok()
    }
}

/// An event, and the index of its text in the request.
pub(super) struct IndexedEvent {
    pub(super) index: usize,
    pub(super) event: TextEvent,
}

/// An event of a text, for its client.
pub(super) enum TextEvent {
    Prompt(ScoredToken),
    Token {
        text: String,
        token: ScoredToken,
    },
    End {
        completion: Completion,
        /// The number of bytes at the end of the text that were not sent yet.
        held: usize,
    },
    Failed(Problem),
}

/// A command to the recorder.
pub(super) enum RecorderCommand {
    Begin(Job),
    /// Store more of a text.
    Append {
        record: OpenRecord,
        text: String,
        tokens: usize,
        /// Set if the text cannot be stored: no more of it may be generated.
        failed: Arc<AtomicBool>,
    },
    End {
        job: Job,
        record: OpenRecord,
        ending: Result<(Completion, usize), Problem>,
    },
    /// Begin no more texts.
    Close,
}

/// Runs commands until every sender is dropped.
pub(super) fn run(
    inbox: &mpsc::Receiver<RecorderCommand>,
    writer: mpsc::Sender<writer::RecordedJob>,
    served: &Served,
    closing: &AtomicBool,
    ledger: &mut dyn Ledger,
) {
    let mut writer = Some(writer);
    while let Ok(message) = inbox.recv() {
        match (message, &writer) {
            (RecorderCommand::Begin(job), _) if job.events.is_closed() => drop(job),
            (RecorderCommand::Begin(job), Some(writer)) if !closing.load(Ordering::Relaxed) => {
                match begin(&job, served, ledger) {
                    Ok(record) => send_to_writer(job, record, writer, ledger),
                    Err(problem) => refuse(job, problem),
                }
            }
            (RecorderCommand::Begin(job), _) => refuse(job, Problem::stopping()),
            (RecorderCommand::Append { record, text, tokens, failed }, _) => {
                if ledger.append(&record, &text, tokens).is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
            }
            (RecorderCommand::End { job, record, ending }, _) => end(job, record, ending, ledger),
            (RecorderCommand::Close, _) => writer = None,
        }
    }
}

/// Sends a job to the writer. If the writer has ended, ends its record, so that no record stays open.
fn send_to_writer(
    job: Job,
    record: OpenRecord,
    writer: &mpsc::Sender<writer::RecordedJob>,
    ledger: &mut dyn Ledger,
) {
    if let Err(mpsc::SendError(writer::RecordedJob { job, record })) =
        writer.send(writer::RecordedJob { job, record })
    {
        tracing::error!("generation stopped: the generation thread has ended");
        end(job, record, Err(Problem::generation_crashed()), ledger);
    }
}

fn refuse(job: Job, problem: Problem) {
    let Job { events, index, place, .. } = job;
    drop(place);
    drop(events.try_send(IndexedEvent { index, event: TextEvent::Failed(problem) }));
}

fn begin(job: &Job, served: &Served, ledger: &mut dyn Ledger) -> Result<OpenRecord, Problem> {
    let sampling = &job.options.sampling;
    let prompt = Prompt {
        task: Task::Serve,
        text: &served.tokenizer.decode(&job.prompt),
        tokens: job.prompt.len(),
        max_tokens: job.options.max_tokens,
        parameters: Some(Parameters {
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            seed: sampling.seed,
        }),
        justification: None,
    };
    ledger.begin(&prompt).map_err(into_problem)
}

fn into_problem(denied: Denial) -> Problem {
    if denied.by_rule { Problem::denied(denied.message) } else { Problem::unavailable(denied.message) }
}

/// Records the outcome of a text, then sends its last event.
fn end(job: Job, record: OpenRecord, ending: Result<(Completion, usize), Problem>, ledger: &mut dyn Ledger) {
    let finish: usage::Finish = match &ending {
        Ok((completion, _)) => completion.generation.finish.into(),
        Err(_) => usage::Finish::Failed,
    };
    let outcome = match &ending {
        Ok((completion, _)) => {
            Outcome { output: &completion.text, tokens: completion.generation.tokens.len(), finish }
        }
        // The number of generated tokens is not known, so all requested tokens count.
        Err(_) => Outcome { output: "", tokens: job.options.max_tokens, finish },
    };
    let tokens = outcome.tokens as u64;
    let recorded = ledger.end(record, &outcome).map_err(into_problem);
    metrics::counter!("portcullis_completions_total", "finish" => finish.name()).increment(1);
    metrics::counter!("portcullis_completion_tokens_total").increment(tokens);
    metrics::histogram!("portcullis_completion_seconds").record(job.received.elapsed().as_secs_f64());
    let event = match recorded.and(ending) {
        // The endpoint shuts down; a client that disconnected does not receive this.
        Ok((completion, _)) if completion.generation.finish == Finish::Cancelled => {
            TextEvent::Failed(Problem::stopping())
        }
        Ok((completion, held)) => TextEvent::End { completion, held },
        Err(problem) => TextEvent::Failed(problem),
    };
    let Job { events, index, place, .. } = job;
    drop(place);
    drop(events.try_send(IndexedEvent { index, event }));
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::{Receiver, channel};

    use super::super::testing::served;
    use super::*;
    use crate::client::Recorders;

    /// Notes the calls; records nothing.
    struct RecordingLedger(Arc<Mutex<Vec<String>>>);

    impl Ledger for RecordingLedger {
        fn begin(&mut self, prompt: &Prompt<'_>) -> Result<OpenRecord, Denial> {
            self.0.lock().unwrap().push("begun".to_owned());
            Ok(Recorders::default().begin(prompt, crate::time::Timestamp::now()).unwrap().0)
        }

        fn append(&mut self, _: &OpenRecord, text: &str, tokens: usize) -> Result<(), Denial> {
            self.0.lock().unwrap().push(format!("{text} after {tokens}"));
            Ok(())
        }

        fn end(&mut self, _: OpenRecord, outcome: &Outcome<'_>) -> Result<(), Denial> {
            self.0.lock().unwrap().push(format!("{} after {}", outcome.finish, outcome.tokens));
            Ok(())
        }
    }

    fn job() -> (Job, Receiver<IndexedEvent>) {
        let (events, inbox) = channel(8);
        let place = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap());
        let options = GenerationOptions { max_tokens: 7, ..GenerationOptions::default() };
        let (prompt, stop, received) = (vec![1], Vec::new(), Instant::now());
        (Job { index: 0, prompt, options, stop, echo: false, events, place, received }, inbox)
    }

    /// The calls of the ledger, and the error for the client, of a text while the writer has ended.
    fn run_one(closing: bool) -> (Vec<String>, String) {
        let received = Arc::<Mutex<Vec<String>>>::default();
        let (recorder, commands) = mpsc::channel();
        let (job, mut inbox) = job();
        recorder.send(RecorderCommand::Begin(job)).unwrap();
        drop(recorder);
        let writer = mpsc::channel().0;
        run(
            &commands,
            writer,
            &served(),
            &AtomicBool::new(closing),
            &mut RecordingLedger(Arc::clone(&received)),
        );
        let Some(IndexedEvent { index: 0, event: TextEvent::Failed(problem) }) = inbox.blocking_recv() else {
            panic!("the text was not refused")
        };
        let received = received.lock().unwrap().clone();
        (received, serde_json::to_string(&problem.body()).unwrap())
    }

    #[test]
    fn no_record_stays_open_if_the_writer_has_ended() {
        let (received, event) = run_one(false);
        assert_eq!(received, ["begun", "failed after 7"]);
        assert!(event.contains("the generation thread crashed"), "{event}");
    }

    #[test]
    fn nothing_begins_during_shutdown() {
        let (received, event) = run_one(true);
        assert!(received.is_empty(), "{received:?}");
        assert!(event.contains("shutting down"), "{event}");
    }
}
