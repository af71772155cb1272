//! The workers of a pull: each takes the next chunk, and stays with it until it is here and right.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::http::{Outcome, Pace, Partial, Requests};
use super::mirrors::{Mirror, Mirrors, SetAside};
use super::pace::Flow;
use super::{Error, PullOptions, Session, refused};
use crate::digest::Sha256Hasher;
use crate::seal::ChunkEntry;

/// How often in a row a server may fail over one chunk before another is asked.
const STRIKES: u32 = 5;
/// How often a chunk may come wrong from the only server there is.
const WRONG: u32 = 3;
/// How often in a row a server may say that it is too much.
const TOO_MUCH: u32 = 12;

/// How many chunks may be in flight.
#[derive(Debug, Clone, Copy)]
pub struct Parallel {
    /// At the beginning.
    pub first: usize,
    /// At the most.
    pub max: usize,
}

impl Default for Parallel {
    fn default() -> Self {
        Self { first: 4, max: 16 }
    }
}

/// What the workers share.
struct Work<'a> {
    session: &'a Session<'a>,
    queue: Mutex<VecDeque<&'a ChunkEntry>>,
    mirrors: Mirrors<'a>,
    flow: Flow,
    requests: Requests,
    pace: Pace,
}

/// Fetches the missing chunks; the servers that were set aside.
pub(super) fn fetch(
    mirrors: &[Mirror],
    session: &Session<'_>,
    missing: &[ChunkEntry],
    options: &PullOptions,
) -> Result<Vec<SetAside>, Error> {
    let max = options.parallel.max.clamp(1, 64);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(8))
        .enable_all()
        .build()
        .map_err(|error| Error::Http { reason: error.to_string() })?;
    let work = Work {
        session,
        queue: Mutex::new(missing.iter().collect()),
        mirrors: Mirrors::new(mirrors, session.progress),
        flow: Flow::new(options.parallel.first, max),
        requests: Requests::new(options.pace)?,
        pace: options.pace,
    };
    std::thread::scope(|scope| {
        // Scoped threads rather than tasks: a worker hashes and writes as it reads, and each may keep a core busy.
        let handles: Vec<_> = (0..max.min(missing.len()))
            .map(|number| (number, &work, runtime.handle().clone()))
            .map(|(number, work, handle)| scope.spawn(move || handle.block_on(work.run(number))))
            .collect();
        let results = handles.into_iter().map(|handle| match handle.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect::<Vec<_>>().into_iter().collect::<Result<Vec<()>, Error>>()
    })?;
    Ok(work.mirrors.report())
}

impl<'a> Work<'a> {
    /// Works until nothing is left to take.
    async fn run(&self, number: usize) -> Result<(), Error> {
        loop {
            while let Err(wait) = self.flow.admits(number) {
                if self.is_done() {
                    return Ok(());
                }
                tokio::time::sleep(wait.min(Duration::from_millis(200))).await;
            }
            let Some(chunk) = self.take() else { return Ok(()) };
            if let Err(error) = self.bring(chunk).await {
                // The others end after the chunk that they are at.
                self.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                return Err(error);
            }
            self.flow.came(chunk.size);
        }
    }

    fn take(&self) -> Option<&'a ChunkEntry> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn is_done(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Brings one chunk, from whichever server gives it.
    async fn bring(&self, chunk: &ChunkEntry) -> Result<(), Error> {
        let path = self.session.partial(chunk);
        let file = File::create(&path).map_err(refused("write", &path))?;
        let mut partial = Partial { file, hasher: Sha256Hasher::default(), length: 0, told: 0 };
        let mut tries = Tries::default();
        let tell = |bytes| self.session.progress.advance(bytes);
        loop {
            let Some((index, mirror)) = self.mirrors.choose(&tries.lacking) else {
                drop(fs::remove_file(&path));
                return Err(self.nobody_has(chunk, &tries));
            };
            let outcome = self.requests.fetch(mirror, chunk, &mut partial, &tell).await;
            let outcome = outcome.map_err(refused("write", &path))?;
            if let Outcome::Whole = outcome {
                let found = std::mem::take(&mut partial.hasher).finish();
                if found == chunk.sha256 {
                    return fs::rename(&path, self.session.path(chunk)).map_err(refused("rename", &path));
                }
                partial.begin_anew().map_err(refused("write", &path))?;
                let reason = format!("its chunk {} has SHA-256 {found}", chunk.sha256);
                self.distrust(index, &mut tries, &reason);
                continue;
            }
            self.heed(outcome, index, &mut partial, &mut tries).await.map_err(refused("write", &path))?;
        }
    }

    /// Draws the consequence of an answer that did not bring the rest of the chunk.
    async fn heed(
        &self,
        outcome: Outcome,
        index: usize,
        partial: &mut Partial,
        tries: &mut Tries,
    ) -> std::io::Result<()> {
        match outcome {
            Outcome::Whole => {}
            Outcome::Cut(reason) => {
                if partial.length >= tries.furthest + self.pace.floor {
                    // It came further than ever, and not by a trickle: what failed before is forgiven.
                    tries.furthest = partial.length;
                    tries.failed = 0;
                }
                self.strike(index, tries, &reason).await;
            }
            Outcome::MissingFile => {
                tries.lacking.push(index);
                "it does not have the chunk".clone_into(&mut tries.last);
            }
            Outcome::TooMuch { wait, reason } => {
                tries.too_much += 1;
                tries.last.clone_from(&reason);
                if tries.too_much >= TOO_MUCH {
                    self.mirrors.set_aside(index, &reason);
                    tries.too_much = 0;
                }
                let wait = wait.unwrap_or_else(|| self.wait(tries.too_much)).min(self.pace.longest_wait);
                self.flow.too_much(wait);
                tokio::time::sleep(wait).await;
            }
            Outcome::Wrong(reason) => {
                partial.begin_anew()?;
                self.distrust(index, tries, &reason);
            }
            Outcome::Anew(reason) => {
                partial.begin_anew()?;
                self.strike(index, tries, &reason).await;
            }
        }
        Ok(())
    }

    /// Counts a failure against a server, and waits; sets it aside where one chunk failed too often in a row.
    async fn strike(&self, index: usize, tries: &mut Tries, reason: &str) {
        reason.clone_into(&mut tries.last);
        tries.failed += 1;
        if tries.failed < STRIKES {
            tokio::time::sleep(self.wait(tries.failed - 1)).await;
        } else {
            self.mirrors.set_aside(index, reason);
            tries.failed = 0;
        }
    }

    /// Sets a server aside that sends what it should not; the only one gets a few more chances, for a wire can be at fault too.
    fn distrust(&self, index: usize, tries: &mut Tries, reason: &str) {
        tries.wrong += 1;
        reason.clone_into(&mut tries.last);
        let mut without = tries.lacking.clone();
        without.push(index);
        if self.mirrors.choose(&without).is_some() || tries.wrong >= WRONG {
            self.mirrors.distrust(index, reason);
        }
    }

    fn wait(&self, failed: u32) -> Duration {
        (self.pace.first_wait * 2u32.saturating_pow(failed.min(16))).min(self.pace.longest_wait)
    }

    fn nobody_has(&self, chunk: &ChunkEntry, tries: &Tries) -> Error {
        let reasons = self.mirrors.report();
        let reasons: Vec<_> =
            reasons.iter().map(|aside| format!("{}: {}", aside.mirror, aside.reason)).collect();
        let reason = if reasons.is_empty() { tries.last.clone() } else { reasons.join("; ") };
        let is_wrong = tries.wrong > 0 || self.mirrors.any_is_wrong();
        Error::NoMirror { chunk: chunk.sha256, is_wrong, reason }
    }
}

/// What happened to one chunk so far.
#[derive(Debug, Default)]
struct Tries {
    /// Servers that do not have it.
    lacking: Vec<usize>,
    furthest: u64,
    failed: u32,
    too_much: u32,
    wrong: u32,
    last: String,
}
