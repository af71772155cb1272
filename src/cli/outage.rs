//! An outage of the registry, remembered for a while: commands that can do without it then go on at once, instead of each waiting for what
//! does not answer.
//!
//! What is remembered lies in the home, in a file that only saves time: without it, or with a wrong one, commands wait or go on, and nothing
//! else changes.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::home::write_secret;
use super::output::Output;
use crate::client::remote::{Line, Patience};
use crate::time::Timestamp;

/// For how long an outage is believed to last, in seconds.
const REMEMBERED: i64 = 60;

/// What a command does if the registry does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Need {
    /// It can do nothing.
    #[default]
    Registry,
    /// It waits a while, since its user waits anyway.
    Patient,
    /// It goes on with what is known.
    Nothing,
}

/// What is known of the way to the registry, in one command.
#[derive(Debug)]
pub(super) struct Outage {
    path: PathBuf,
    /// `--offline`.
    is_wanted: bool,
    /// Why the registry did not answer in this command.
    found: Mutex<Option<String>>,
    /// The registry answered in this command.
    has_answered: AtomicBool,
    /// What was remembered is not believed in this command.
    is_doubted: AtomicBool,
    need: Need,
}

#[derive(Serialize, Deserialize)]
struct OutageRecord {
    registry: String,
    at: Timestamp,
}

/// Why the registry is not called if the command line says so.
pub(super) const OFFLINE: &str = "--offline was given";

/// What to do about a registry that does not answer, for this reason.
pub(super) fn next_step(reason: &str) -> &'static str {
    // The one who gave it knows the address and the network.
    if reason.contains(OFFLINE) {
        "leave out --offline (this needs the registry)"
    } else {
        "check the address and the network, and try again"
    }
}

impl Outage {
    pub(super) fn new(path: PathBuf, is_wanted: bool, need: Need) -> Self {
        Self {
            path,
            is_wanted,
            found: Mutex::default(),
            has_answered: AtomicBool::default(),
            is_doubted: AtomicBool::default(),
            need,
        }
    }

    /// The same for another attempt, which calls the registry whatever is remembered.
    pub(super) fn retry(&self) -> Self {
        let outage = Self::new(self.path.clone(), self.is_wanted, self.need);
        outage.is_doubted.store(true, Ordering::Relaxed);
        outage
    }

    /// Whether this command goes on without the registry.
    pub(super) fn is_tolerated(&self) -> bool {
        self.need == Need::Nothing
    }

    /// How long this command waits for the registry.
    pub(super) fn patience(&self) -> Patience {
        match self.need {
            Need::Registry => Patience::NORMAL,
            Need::Patient => Patience::LONG,
            // What was given up once, and is called again, is needed.
            Need::Nothing if self.is_doubted.load(Ordering::Relaxed) => Patience::NORMAL,
            Need::Nothing => Patience::BRIEF,
        }
    }

    /// Why `registry` is not called, if it is not.
    pub(super) fn reason(&self, registry: &str) -> Option<String> {
        if self.is_wanted {
            return Some(OFFLINE.to_owned());
        }
        if let Some(reason) = &*self.found_reason() {
            return Some(reason.clone());
        }
        if self.need != Need::Nothing || self.is_doubted.load(Ordering::Relaxed) {
            return None;
        }
        let seconds = self.remembered(registry)?;
        Some(format!("it did not answer {seconds} s ago; next attempt in {} s", REMEMBERED - seconds))
    }

    /// Whether it is for what an earlier command found that the registry is not called.
    pub(super) fn is_remembered(&self, registry: &str) -> bool {
        !self.is_wanted && self.found_reason().is_none() && self.reason(registry).is_some()
    }

    /// For this command, the registry does not answer; what was found first is the reason.
    pub(super) fn found(&self, reason: &str) {
        self.found_reason().get_or_insert_with(|| reason.to_owned());
    }

    fn found_reason(&self) -> MutexGuard<'_, Option<String>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many seconds ago there was no answer from `registry`, if that was lately.
    fn remembered(&self, registry: &str) -> Option<i64> {
        let remembered: OutageRecord = crate::json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        let seconds = Timestamp::now().seconds_since(remembered.at);
        (remembered.registry == registry && (0..REMEMBERED).contains(&seconds)).then_some(seconds)
    }

    fn remember(&self, registry: &str) {
        let remembered = OutageRecord { registry: registry.to_owned(), at: Timestamp::now() };
        // A home that takes no more files costs the next command its wait.
        if self.path.parent().is_some_and(std::path::Path::exists)
            && let Ok(bytes) = serde_json::to_vec(&remembered)
        {
            let _ = write_secret(&self.path, &bytes);
        }
    }
}

/// The line to the registry at an address.
pub(super) struct HomeLine {
    pub(super) outage: std::sync::Arc<Outage>,
    pub(super) registry: String,
    pub(super) output: Output,
}

impl Line for HomeLine {
    fn down_reason(&self) -> Option<String> {
        self.outage.reason(&self.registry)
    }

    fn report_down(&self, reason: &str) {
        self.outage.found(reason);
        self.outage.remember(&self.registry);
    }

    fn has_answered(&self) -> bool {
        self.outage.has_answered.load(Ordering::Relaxed)
    }

    fn report_up(&self) {
        self.outage.has_answered.store(true, Ordering::Relaxed);
        if self.outage.path.exists() {
            let _ = fs::remove_file(&self.outage.path);
        }
    }

    fn report_wait(&self, reason: &str) {
        self.output.note(format_args!("note: waiting for {}: {reason}", self.registry));
    }
}
