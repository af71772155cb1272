//! Looks for new leases in a thread of its own: a registry may take half a minute to answer, and texts do not wait for that.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use crate::time::Timestamp;

/// Seconds for which a registry is left alone between two looks.
const PAUSE: i64 = 30;
/// How often the clock is read: a machine may sleep.
const TICK: Duration = Duration::from_secs(20);

/// Looks when that is due, and when asked to.
pub(super) struct Renewal<T> {
    found: Receiver<T>,
    wake: SyncSender<()>,
}

impl<T: Send + 'static> Renewal<T> {
    /// Begins to look at `due`; each look returns when the next one is due. The thread ends once its owner is dropped.
    pub(super) fn begin(
        due: Timestamp,
        look: impl Fn() -> anyhow::Result<(T, Timestamp)> + Send + 'static,
    ) -> io::Result<Self> {
        let (tell, found) = channel();
        let (wake, woken) = sync_channel(1);
        let keep = move || {
            let mut due = due;
            let mut earliest = Timestamp::now();
            let mut asked = false;
            loop {
                match woken.recv_timeout(wait(if asked { earliest } else { due.max(earliest) })) {
                    Ok(()) => asked = true,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                let now = Timestamp::now();
                if now < earliest || !(asked || now >= due) {
                    continue;
                }
                asked = false;
                earliest = now.plus_seconds(PAUSE);
                match look() {
                    Ok((it, next)) => {
                        due = next;
                        // If the receiver is gone, the next turn ends the thread.
                        drop(tell.send(it));
                    }
                    Err(error) => tracing::warn!("no new lease: {error:#}"),
                }
            }
        };
        thread::Builder::new().name("portcullis-renewal".to_owned()).spawn(keep)?;
        Ok(Self { found, wake })
    }

    /// What was found last and not taken yet.
    pub(super) fn take_found(&self) -> Option<T> {
        self.found.try_iter().last()
    }

    /// Asks for a look soon.
    pub(super) fn hurry(&self) {
        match self.wake.try_send(()) {
            // One call is enough; if the thread is gone, nothing can be renewed, and nothing begins.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

fn wait(until: Timestamp) -> Duration {
    let seconds = u64::try_from(until.seconds_since(Timestamp::now())).unwrap_or(0);
    Duration::from_secs(seconds).min(TICK)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn next(renewal: &Renewal<u32>) -> Option<u32> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if let Some(found) = renewal.take_found() {
                return Some(found);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    #[test]
    fn it_looks_when_that_is_due_and_not_before() {
        let later = Timestamp::now().plus_seconds(3600);
        let due = Renewal::begin(Timestamp::now(), move || Ok((7, later))).unwrap();
        assert_eq!(next(&due), Some(7));
        let fresh = Renewal::begin(later, move || Ok((7, later))).unwrap();
        thread::sleep(Duration::from_millis(100));
        assert_eq!(fresh.take_found(), None);
        fresh.hurry();
        assert_eq!(next(&fresh), Some(7), "it was asked to");
    }

    #[test]
    fn a_look_that_takes_long_or_fails_holds_nobody_up() {
        let renewal = Renewal::<u32>::begin(Timestamp::now(), || {
            thread::sleep(Duration::from_secs(1));
            anyhow::bail!("the registry is out of reach")
        });
        let renewal = renewal.unwrap();
        let begun = Instant::now();
        for _ in 0..10 {
            renewal.hurry();
            assert_eq!(renewal.take_found(), None);
        }
        assert!(begun.elapsed() < Duration::from_millis(500));
    }
}
