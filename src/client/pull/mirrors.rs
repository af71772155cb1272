//! Which server to ask: the first that was not set aside.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::checkpoint::fetch::BaseUrl;
use crate::digest::Sha256Digest;
use crate::progress::Progress;

/// How often a server may fail in a row before another is asked.
const STRIKES: u32 = 5;

/// A server that has chunks under their digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// A registry: `<base>/v1/chunks/<digest>`.
    Registry(BaseUrl),
    /// A plain mirror or CDN: `<base>/<digest>`.
    Plain(BaseUrl),
}

impl Mirror {
    pub(super) fn url(&self, chunk: Sha256Digest) -> reqwest::Url {
        let digest = chunk.to_string();
        match self {
            Self::Registry(base) => base.below(&["v1", "chunks", &digest]),
            Self::Plain(base) => base.below(&[&digest]),
        }
    }

    /// Whether plain http to others than this machine is what its address asks for.
    pub(super) fn base(&self) -> &BaseUrl {
        match self {
            Self::Registry(base) | Self::Plain(base) => base,
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base().fmt(f)
    }
}

/// A server that is not asked any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its address.
    pub mirror: String,
    /// Why.
    pub reason: String,
}

/// The servers of one pull.
pub(super) struct Mirrors<'a> {
    mirrors: &'a [Mirror],
    states: Mutex<Vec<State>>,
    progress: &'a dyn Progress,
}

#[derive(Debug, Clone, Default)]
struct State {
    strikes: u32,
    last: String,
    set_aside: Option<String>,
}

impl<'a> Mirrors<'a> {
    pub(super) fn new(mirrors: &'a [Mirror], progress: &'a dyn Progress) -> Self {
        Self { mirrors, states: Mutex::new(vec![State::default(); mirrors.len()]), progress }
    }

    /// The server to ask next for a chunk that those in `lacking` do not have.
    pub(super) fn choose(&self, lacking: &[usize]) -> Option<(usize, &'a Mirror)> {
        let states = self.states();
        let usable = |index: &usize| states[*index].set_aside.is_none() && !lacking.contains(index);
        (0..self.mirrors.len()).find(usable).map(|index| (index, &self.mirrors[index]))
    }

    /// Good bytes came from it.
    pub(super) fn praise(&self, index: usize) {
        self.states()[index].strikes = 0;
    }

    /// It failed; whether it is set aside now.
    pub(super) fn strike(&self, index: usize, reason: &str) -> bool {
        let mut states = self.states();
        let state = &mut states[index];
        state.strikes += 1;
        reason.clone_into(&mut state.last);
        let is_over = state.strikes >= STRIKES;
        drop(states);
        if is_over {
            self.set_aside(index, reason);
        }
        is_over
    }

    /// It is not asked any more.
    pub(super) fn set_aside(&self, index: usize, reason: &str) {
        let mut states = self.states();
        if states[index].set_aside.is_none() {
            states[index].set_aside = Some(reason.to_owned());
            drop(states);
            self.progress.note(&format!("{} is set aside: {reason}", self.mirrors[index]));
        }
    }

    /// Those that were set aside, and why.
    pub(super) fn report(&self) -> Vec<SetAside> {
        let states = self.states();
        let set_aside = self.mirrors.iter().zip(states.iter()).filter_map(|(mirror, state)| {
            Some(SetAside { mirror: mirror.to_string(), reason: state.set_aside.clone()? })
        });
        set_aside.collect()
    }

    fn states(&self) -> std::sync::MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
