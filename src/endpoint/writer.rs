//! The writer: a thread that generates the endpoint's texts in one batch.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use super::Served;
use super::problem::Problem;
use super::recorder::{Job, RecorderCommand, TextEvent};
use crate::client::OpenRecord;
use crate::inference::{Batch, CompletionBuilder, Error, Event, Finish, SequenceId};

/// A text whose record is durable, so it may begin.
pub(super) struct RecordedJob {
    pub(super) job: Job,
    pub(super) record: OpenRecord,
}

/// A running text.
struct OpenText<'s> {
    job: Job,
    record: OpenRecord,
    builder: CompletionBuilder<'s>,
    tokens: usize,
    /// Set by the recorder if a piece cannot be stored.
    failed: Arc<AtomicBool>,
}

type OpenTexts<'s> = HashMap<SequenceId, OpenText<'s>>;

/// The limits of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    pub(super) texts: usize,
    pub(super) prefix_cache_bytes: u64,
}

/// Generates texts until every sender of jobs is dropped, then cancels the running ones. Sends to `ready` first whether the model can
/// generate.
pub(super) fn run(
    inbox: &mpsc::Receiver<RecordedJob>,
    recorder: &mpsc::Sender<RecorderCommand>,
    served: &Served,
    limits: BatchLimits,
    ready: mpsc::Sender<Result<(), Error>>,
) {
    let batch = Batch::new(&served.model, limits.texts).with_prefix_cache(limits.prefix_cache_bytes);
    let batch = match batch.with_speculation(served.speculation()) {
        Ok(batch) => batch,
        Err(error) => return drop(ready.send(Err(error))),
    };
    drop(ready.send(Ok(())));
    drop(ready);
    end_all_on_panic(inbox, recorder, |open| {
        Writer { batch, open, served, recorder }.run(inbox);
    });
}

/// Runs `work`. If it panics, ends the running texts and all further jobs until every sender is dropped, so that no record stays open.
fn end_all_on_panic<'s>(
    inbox: &mpsc::Receiver<RecordedJob>,
    recorder: &mpsc::Sender<RecorderCommand>,
    work: impl FnOnce(&mut OpenTexts<'s>),
) {
    let mut open = OpenTexts::new();
    // After a panic, only jobs and records are used.
    if catch_unwind(AssertUnwindSafe(|| work(&mut open))).is_ok() {
        return;
    }
    tracing::error!("generation stopped: the generation thread panicked");
    let running = open.into_values().map(|OpenText { job, record, .. }| RecordedJob { job, record });
    for RecordedJob { job, record } in running.chain(inbox.iter()) {
        drop(recorder.send(RecorderCommand::End { job, record, ending: Err(Problem::generation_crashed()) }));
    }
}

/// The batch, and the texts in it.
struct Writer<'a, 's> {
    batch: Batch<'s>,
    open: &'a mut OpenTexts<'s>,
    served: &'s Served,
    recorder: &'a mpsc::Sender<RecorderCommand>,
}

impl Writer<'_, '_> {
    fn run(&mut self, inbox: &mpsc::Receiver<RecordedJob>) {
        let mut closing = false;
        loop {
            closing |= self.begin_received(inbox);
            if self.open.is_empty() {
                if closing {
                    return;
                }
                continue;
            }
            for (&id, _) in self.open.iter().filter(|(_, text)| closing || text.job.events.is_closed()) {
                self.batch.cancel(id);
            }
            let Self { batch, open, recorder, .. } = self;
            batch.step(&mut |id, event| on_event(open, recorder, id, event));
        }
    }

    /// Begins all received jobs; waits for one if no text is running. Returns whether every sender is dropped.
    fn begin_received(&mut self, inbox: &mpsc::Receiver<RecordedJob>) -> bool {
        loop {
            let next = if self.open.is_empty() {
                inbox.recv().map_err(|_| mpsc::TryRecvError::Disconnected)
            } else {
                inbox.try_recv()
            };
            let RecordedJob { job, record } = match next {
                Ok(job) => job,
                Err(reason) => return reason == mpsc::TryRecvError::Disconnected,
            };
            match self.batch.begin(job.prompt.clone(), &job.options) {
                Ok(id) => {
                    let mut builder = CompletionBuilder::new(&self.served.tokenizer, job.stop.clone());
                    if job.echo {
                        builder.continue_prompt(&job.prompt);
                    }
                    let text = OpenText { job, record, builder, tokens: 0, failed: Arc::default() };
                    self.open.insert(id, text);
                }
                Err(error) => {
                    let ending = Err(Problem::malformed(error.to_string()));
                    drop(self.recorder.send(RecorderCommand::End { job, record, ending }));
                }
            }
        }
    }
}

/// Forwards an event of the batch to the recorder and the client.
fn on_event(
    open: &mut OpenTexts<'_>,
    recorder: &mpsc::Sender<RecorderCommand>,
    id: SequenceId,
    event: Event<'_>,
) -> ControlFlow<Finish> {
    let Some(text) = open.get_mut(&id) else { return ControlFlow::Break(Finish::Cancelled) };
    let ending = match event {
        Event::Prompt(token) => {
            let is_sent = text.job.send(TextEvent::Prompt(token.clone()));
            return continue_if(is_sent);
        }
        Event::Token(token) => {
            text.tokens += 1;
            if text.tokens == 1 {
                let seconds = text.job.received.elapsed().as_secs_f64();
                metrics::histogram!("portcullis_first_token_seconds").record(seconds);
            }
            let (certain, stopped) = text.builder.push(token.token);
            let (record, failed) = (text.record.clone(), Arc::clone(&text.failed));
            let append =
                RecorderCommand::Append { record, text: certain.clone(), tokens: text.tokens, failed };
            if recorder.send(append).is_err() || text.failed.load(Ordering::Relaxed) {
                return ControlFlow::Break(Finish::Cancelled);
            }
            let event = TextEvent::Token { text: certain, token: token.clone() };
            let is_sent = text.job.send(event);
            return if stopped { ControlFlow::Break(Finish::Stop) } else { continue_if(is_sent) };
        }
        Event::End(generation) => Ok(generation),
        Event::Failed(error) => {
            tracing::error!(%error, "generation failed");
            Err(Problem::failed(error.to_string()))
        }
    };
    if let Some(OpenText { job, record, builder, .. }) = open.remove(&id) {
        let ending = ending.map(|generation| builder.finish(generation));
        drop(recorder.send(RecorderCommand::End { job, record, ending }));
    }
    ControlFlow::Continue(())
}

/// Cancels a text if its event was not sent, because the client has disconnected.
fn continue_if(is_sent: bool) -> ControlFlow<Finish> {
    if is_sent { ControlFlow::Continue(()) } else { ControlFlow::Break(Finish::Cancelled) }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::channel;

    use super::super::testing::served;
    use super::*;
    use crate::client::{Prompt, Recorders};
    use crate::inference::GenerationOptions;
    use crate::time::Timestamp;
    use crate::usage::Task;

    fn recorded_job(index: usize) -> RecordedJob {
        let place = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap());
        let (options, prompt, stop) = (GenerationOptions::default(), vec![1], Vec::new());
        let (events, received) = (channel(8).0, Instant::now());
        let job = Job { index, prompt, options, stop, echo: false, events, place, received };
        let (text, parameters, justification) = ("", None, None);
        let prompt = Prompt { task: Task::Serve, text, tokens: 1, max_tokens: 1, parameters, justification };
        RecordedJob { job, record: Recorders::default().begin(&prompt, Timestamp::now()).unwrap().0 }
    }

    #[test]
    fn no_record_stays_open_if_generation_panics() {
        let served = served();
        let (to_writer, inbox) = mpsc::channel();
        let (recorder, commands) = mpsc::channel();
        to_writer.send(recorded_job(0)).unwrap();
        to_writer.send(recorded_job(1)).unwrap();
        let batch = Batch::new(&served.model, 2);
        end_all_on_panic(&inbox, &recorder, |open| {
            Writer { batch, open, served: &served, recorder: &recorder }.begin_received(&inbox);
            assert_eq!(open.len(), 2);
            to_writer.send(recorded_job(2)).unwrap();
            drop(to_writer);
            panic!("two texts are running and a third one waits");
        });
        drop(recorder);
        let ended = commands.iter().map(|message| match message {
            RecorderCommand::End { job, ending: Err(problem), .. } => {
                let event = serde_json::to_string(&problem.body()).unwrap();
                assert!(event.contains("the generation thread crashed"), "{event}");
                job.index
            }
            _ => panic!("not a failed end"),
        });
        let mut ended: Vec<_> = ended.collect();
        ended.sort_unstable();
        assert_eq!(ended, [0, 1, 2]);
    }
}
