//! Writes the endpoint's texts together, in a thread of its own.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::mpsc;

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
    first: bool,
}

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
    let mut batch = match batch.speculating(served.speculation()) {
        Ok(batch) => batch,
        Err(error) => return drop(ready.send(Err(error))),
    };
    drop(ready.send(Ok(())));
    drop(ready);
    let mut open: HashMap<TextId, Open<'_>> = HashMap::new();
    let mut closing = false;
    loop {
        closing |= take(inbox, (&mut batch, &mut open), (served, clerk));
        if open.is_empty() {
            if closing {
                return;
            }
            continue;
        }
        for (&id, _) in open.iter().filter(|(_, text)| closing || text.job.to.is_closed()) {
            batch.cancel(id);
        }
        let mut ended = Vec::new();
        batch.pass(&mut |id, event| hear(&mut open, &mut ended, id, event));
        for message in ended {
            drop(clerk.send(message));
        }
    }
}

/// Takes in what waits; waits itself where nothing is under way. Whether nobody is left who could ask.
fn take<'s>(
    inbox: &mpsc::Receiver<Recorded>,
    (batch, open): (&mut Batch<'s>, &mut HashMap<TextId, Open<'s>>),
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
                open.insert(id, Open { job, begun, completing, first: true });
            }
            Err(error) => {
                let ending = Err(Problem::malformed(error.to_string()));
                drop(clerk.send(ToClerk::End { job, begun, ending }));
            }
        }
    }
}

fn hear(
    open: &mut HashMap<TextId, Open<'_>>,
    ended: &mut Vec<ToClerk>,
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
            if std::mem::take(&mut text.first) {
                let seconds = text.job.asked.elapsed().as_secs_f64();
                metrics::histogram!("portcullis_first_token_seconds").record(seconds);
            }
            let (certain, stopped) = text.completing.push(step);
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
        ended.push(ToClerk::End { job, begun, ending });
    }
    ControlFlow::Continue(())
}

/// A text that nobody waits for is not written on.
fn gone_if(gone: bool) -> ControlFlow<Finish> {
    if gone { ControlFlow::Break(Finish::Cancelled) } else { ControlFlow::Continue(()) }
}
