//! Which server to ask: the first that was not set aside.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::checkpoint::fetch::BaseUrl;
use crate::digest::Sha256Digest;
use crate::progress::Progress;

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
    /// Why each is not asked any more, if it is not.
    aside: Mutex<Vec<Option<String>>>,
    progress: &'a dyn Progress,
}

impl<'a> Mirrors<'a> {
    pub(super) fn new(mirrors: &'a [Mirror], progress: &'a dyn Progress) -> Self {
        Self { mirrors, aside: Mutex::new(vec![None; mirrors.len()]), progress }
    }

    /// The server to ask next for a chunk that those in `lacking` do not have.
    pub(super) fn choose(&self, lacking: &[usize]) -> Option<(usize, &'a Mirror)> {
        let aside = self.aside();
        let usable = |index: &usize| aside[*index].is_none() && !lacking.contains(index);
        (0..self.mirrors.len()).find(usable).map(|index| (index, &self.mirrors[index]))
    }

    /// It is not asked any more.
    pub(super) fn set_aside(&self, index: usize, reason: &str) {
        let mut aside = self.aside();
        if aside[index].is_none() {
            aside[index] = Some(reason.to_owned());
            drop(aside);
            self.progress.note(&format!("{} is set aside: {reason}", self.mirrors[index]));
        }
    }

    /// Those that were set aside, and why.
    pub(super) fn report(&self) -> Vec<SetAside> {
        let aside = self.aside();
        let set_aside = self.mirrors.iter().zip(aside.iter()).filter_map(|(mirror, reason)| {
            Some(SetAside { mirror: mirror.to_string(), reason: reason.clone()? })
        });
        set_aside.collect()
    }

    fn aside(&self) -> std::sync::MutexGuard<'_, Vec<Option<String>>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
