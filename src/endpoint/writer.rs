//! Writes the endpoint's texts together, in a thread of its own.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use super::Served;
use super::clerk::{Job, ToClerk, Told};
use super::problem::Problem;
use crate::client::Begun;
use crate::inference::{Batch, Completing, Error, Event, Finish, TextId};

/// A text that may begin: its record is durable.
pub(super) struct Recorded {
    pub(super) job: Job,
    pub(super) begun: Begun,
}

/// A text under way.
struct Open<'s> {
    job: Job,
    begun: Begun,
    completing: Completing<'s>,
    tokens: usize,
    /// Set by the clerk where a piece cannot be stored.
    unstored: Arc<AtomicBool>,
}

type OpenTexts<'s> = HashMap<TextId, Open<'s>>;

/// Texts at a time, and bytes for beginnings that are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) texts: usize,
    pub(super) kept_bytes: u64,
}

/// Writes until nobody is left who could ask, then cancels what is under way. `ready` learns first whether anything can be written.
pub(super) fn write(
    inbox: &mpsc::Receiver<Recorded>,
    clerk: &mpsc::Sender<ToClerk>,
    served: &Served,
    room: Room,
    ready: mpsc::Sender<Result<(), Error>>,
) {
    let batch = Batch::new(&served.model, room.texts).keeping(room.kept_bytes);
    let batch = match batch.speculating(served.speculation()) {
        Ok(batch) => batch,
        Err(error) => return drop(ready.send(Err(error))),
    };
    drop(ready.send(Ok(())));
    drop(ready);
    or_end_all(inbox, clerk, |open| write_all(inbox, clerk, (batch, open), served));
}

/// Does the work; where it panics, ends what is under way and whatever comes, until nobody is left who could ask: no record stays open.
fn or_end_all<'s>(
    inbox: &mpsc::Receiver<Recorded>,
    clerk: &mpsc::Sender<ToClerk>,
    work: impl FnOnce(&mut OpenTexts<'s>),
) {
    let mut open = OpenTexts::new();
    // Of what a panic may have left half done, only jobs and records are used below.
    if catch_unwind(AssertUnwindSafe(|| work(&mut open))).is_ok() {
        return;
    }
    tracing::error!("no text can be written any more: the thread that wrote them has panicked");
    let under_way = open.into_values().map(|Open { job, begun, .. }| Recorded { job, begun });
    for Recorded { job, begun } in under_way.chain(inbox.iter()) {
        drop(clerk.send(ToClerk::End { job, begun, ending: Err(Problem::writer_gone()) }));
    }
}

fn write_all<'s>(
    inbox: &mpsc::Receiver<Recorded>,
    clerk: &mpsc::Sender<ToClerk>,
    (mut batch, open): (Batch<'s>, &mut OpenTexts<'s>),
    served: &'s Served,
) {
    let mut closing = false;
    loop {
        closing |= take(inbox, (&mut batch, open), (served, clerk));
        if open.is_empty() {
            if closing {
                return;
            }
            continue;
        }
        for (&id, _) in open.iter().filter(|(_, text)| closing || text.job.to.is_closed()) {
            batch.cancel(id);
        }
        batch.pass(&mut |id, event| hear((open, clerk), id, event));
    }
}

/// Takes in what waits; waits itself where nothing is under way. Whether nobody is left who could ask.
fn take<'s>(
    inbox: &mpsc::Receiver<Recorded>,
    (batch, open): (&mut Batch<'s>, &mut OpenTexts<'s>),
    (served, clerk): (&'s Served, &mpsc::Sender<ToClerk>),
) -> bool {
    loop {
        let next = if open.is_empty() {
            inbox.recv().map_err(|_| mpsc::TryRecvError::Disconnected)
        } else {
            inbox.try_recv()
        };
        let Recorded { job, begun } = match next {
            Ok(recorded) => recorded,
            Err(reason) => return reason == mpsc::TryRecvError::Disconnected,
        };
        match batch.begin(job.prompt.clone(), &job.options) {
            Ok(id) => {
                let mut completing = Completing::new(&served.tokenizer, job.stop.clone());
                if job.echo {
                    completing.follow(&job.prompt);
                }
                open.insert(id, Open { job, begun, completing, tokens: 0, unstored: Arc::default() });
            }
            Err(error) => {
                let ending = Err(Problem::malformed(error.to_string()));
                drop(clerk.send(ToClerk::End { job, begun, ending }));
            }
        }
    }
}

fn hear(
    (open, clerk): (&mut OpenTexts<'_>, &mpsc::Sender<ToClerk>),
    id: TextId,
    event: Event<'_>,
) -> ControlFlow<Finish> {
    let Some(text) = open.get_mut(&id) else { return ControlFlow::Break(Finish::Cancelled) };
    let ending = match event {
        Event::Prompt(step) => {
            let told = text.job.to.try_send((text.job.index, Told::Prompt(step.clone())));
            return gone_if(told.is_err());
        }
        Event::Token(step) => {
            text.tokens += 1;
            if text.tokens == 1 {
                let seconds = text.job.asked.elapsed().as_secs_f64();
                metrics::histogram!("portcullis_first_token_seconds").record(seconds);
            }
            let (certain, stopped) = text.completing.push(step);
            let (begun, unstored) = (text.begun.clone(), Arc::clone(&text.unstored));
            let wrote = ToClerk::Wrote { begun, text: certain.clone(), tokens: text.tokens, unstored };
            if clerk.send(wrote).is_err() || text.unstored.load(Ordering::Relaxed) {
                return ControlFlow::Break(Finish::Cancelled);
            }
            let told = Told::Token { text: certain, step: step.clone() };
            let told = text.job.to.try_send((text.job.index, told));
            return if stopped { ControlFlow::Break(Finish::Stop) } else { gone_if(told.is_err()) };
        }
        Event::End(generation) => Ok(generation),
        Event::Failed(error) => {
            tracing::error!(%error, "a text failed");
            Err(Problem::failed(error.to_string()))
        }
    };
    if let Some(Open { job, begun, completing, .. }) = open.remove(&id) {
        let ending = ending.map(|generation| completing.finish(generation));
        drop(clerk.send(ToClerk::End { job, begun, ending }));
    }
    ControlFlow::Continue(())
}

/// A text that nobody waits for is not written on.
fn gone_if(gone: bool) -> ControlFlow<Finish> {
    if gone { ControlFlow::Break(Finish::Cancelled) } else { ControlFlow::Continue(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::channel;

    use super::super::testing::served;
    use super::*;
    use crate::client::{Asked, Recorders};
    use crate::inference::GenerationOptions;
    use crate::time::Timestamp;
    use crate::usage::Task;

    fn recorded(index: usize) -> Recorded {
        let place = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap());
        let (options, prompt, stop) = (GenerationOptions::default(), vec![1], Vec::new());
        let (to, asked) = (channel(8).0, Instant::now());
        let job = Job { index, prompt, options, stop, echo: false, to, place, asked };
        let (prompt, parameters, justification) = ("", None, None);
        let asked =
            Asked { task: Task::Serve, prompt, prompt_tokens: 1, max_tokens: 1, parameters, justification };
        Recorded { job, begun: Recorders::default().begin(&asked, Timestamp::now()).unwrap().0 }
    }

    #[test]
    fn where_writing_panics_no_record_stays_open() {
        let served = served();
        let (to_writer, inbox) = mpsc::channel();
        let (clerk, at_clerk) = mpsc::channel();
        to_writer.send(recorded(0)).unwrap();
        to_writer.send(recorded(1)).unwrap();
        let mut batch = Batch::new(&served.model, 2);
        or_end_all(&inbox, &clerk, |open| {
            take(&inbox, (&mut batch, open), (&served, &clerk));
            assert_eq!(open.len(), 2);
            to_writer.send(recorded(2)).unwrap();
            drop(to_writer);
            panic!("while two are under way and a third waits");
        });
        drop(clerk);
        let ended = at_clerk.iter().map(|message| match message {
            ToClerk::End { job, ending: Err(problem), .. } => {
                let told = serde_json::to_string(&problem.wire()).unwrap();
                assert!(told.contains("nothing can be written here any more"), "{told}");
                job.index
            }
            _ => panic!("it is no failed end"),
        });
        let mut ended: Vec<_> = ended.collect();
        ended.sort_unstable();
        assert_eq!(ended, [0, 1, 2]);
    }
}
