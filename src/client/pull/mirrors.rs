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
            Self::Registry(base) => base.join(&["v1", "chunks", &digest]),
            Self::Plain(base) => base.join(&[&digest]),
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

/// Why a server is not asked any more.
#[derive(Debug, Clone)]
struct Aside {
    reason: String,
    /// Whether it sent what it should not, rather than nothing.
    is_wrong: bool,
}

/// The servers of one pull.
pub(super) struct Mirrors<'a> {
    mirrors: &'a [Mirror],
    /// Why each is not asked any more, if it is not.
    aside: Mutex<Vec<Option<Aside>>>,
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
        self.put_aside(index, Aside { reason: reason.to_owned(), is_wrong: false });
    }

    /// It is not asked any more, for it sent what it should not.
    pub(super) fn distrust(&self, index: usize, reason: &str) {
        self.put_aside(index, Aside { reason: reason.to_owned(), is_wrong: true });
    }

    fn put_aside(&self, index: usize, why: Aside) {
        let mut aside = self.aside();
        if aside[index].is_none() {
            let reason = why.reason.clone();
            aside[index] = Some(why);
            drop(aside);
            self.progress.note(&format!("{} is set aside: {reason}", self.mirrors[index]));
        }
    }

    /// Those that were set aside, and why.
    pub(super) fn report(&self) -> Vec<SetAside> {
        let aside = self.aside();
        let set_aside = self.mirrors.iter().zip(aside.iter()).filter_map(|(mirror, why)| {
            Some(SetAside { mirror: mirror.to_string(), reason: why.as_ref()?.reason.clone() })
        });
        set_aside.collect()
    }

    /// Whether one of them was set aside for what it sent, over whichever chunk.
    pub(super) fn any_is_wrong(&self) -> bool {
        self.aside().iter().flatten().any(|why| why.is_wrong)
    }

    fn aside(&self) -> std::sync::MutexGuard<'_, Vec<Option<Aside>>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
