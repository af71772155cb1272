//! Where statements are kept and found: a folder that people share, or a registry.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use super::ExchangeError;
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::statement::Envelope;

/// A statement that was found, unverified.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// The digest of its payload, as computed from it.
    pub digest: Sha256Digest,
    /// The statement.
    pub envelope: Envelope,
}

/// A statement that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedIn {
    /// Where it lies.
    pub path: PathBuf,
    /// The pending request that asks for the same, in whose place this one was not kept.
    pub same_as: Option<Sha256Digest>,
}

/// A place that keeps statements. Nothing that comes from it is believed before it was verified.
pub trait Statements {
    /// Hands in a statement that `signer` signed; where it lies then. Handing it in again is harmless.
    ///
    /// # Errors
    /// [`ExchangeError::Io`], [`ExchangeError::Refused`], [`ExchangeError::Unreachable`].
    fn put(
        &self,
        kind: &'static str,
        envelope: &Envelope,
        signer: &VerifyingKey,
    ) -> Result<HandedIn, ExchangeError>;

    /// Every readable statement of a kind.
    ///
    /// # Errors
    /// [`ExchangeError::Io`], [`ExchangeError::TooMany`], [`ExchangeError::Refused`], [`ExchangeError::Unreachable`].
    fn list(&self, kind: &'static str) -> Result<Vec<Found>, ExchangeError>;

    /// The statements of a kind that are about this request or grant.
    ///
    /// # Errors
    /// Those of [`Self::list`].
    fn about(&self, kind: &'static str, subject: Sha256Digest) -> Result<Vec<Found>, ExchangeError> {
        let mut found = self.list(kind)?;
        found.retain(|found| super::index(&found.envelope).is_ok_and(|index| index.about == Some(subject)));
        Ok(found)
    }

    /// The newest statements of a kind that are about this request or grant, and perhaps older ones.
    ///
    /// # Errors
    /// Those of [`Self::list`].
    fn newest(&self, kind: &'static str, subject: Sha256Digest) -> Result<Vec<Found>, ExchangeError> {
        self.about(kind, subject)
    }

    /// The statements of a kind with one digest, their signatures merged into one envelope each.
    ///
    /// # Errors
    /// Those of [`Self::list`].
    fn merged(&self, kind: &'static str) -> Result<Vec<Found>, ExchangeError> {
        Ok(merge(self.list(kind)?))
    }

    /// The one statement of a kind whose digest begins with `prefix`, signatures merged.
    ///
    /// # Errors
    /// Those of [`Self::list`], [`ExchangeError::Ambiguous`].
    fn find(&self, kind: &'static str, prefix: &str) -> Result<Found, ExchangeError> {
        let mut found = self.merged(kind)?;
        found.retain(|found| found.digest.to_string().starts_with(prefix));
        only(found, kind, prefix)
    }
}

/// One statement a digest, its signatures merged.
pub fn merge(found: impl IntoIterator<Item = Found>) -> Vec<Found> {
    let mut merged: BTreeMap<Sha256Digest, Found> = BTreeMap::new();
    for found in found {
        match merged.entry(found.digest) {
            // Equal digests are equal payloads; of another type they were passed over before.
            Entry::Occupied(mut other) => drop(other.get_mut().envelope.merge(&found.envelope)),
            Entry::Vacant(entry) => drop(entry.insert(found)),
        }
    }
    merged.into_values().collect()
}

/// The only one.
///
/// # Errors
/// [`ExchangeError::Ambiguous`].
pub fn only(mut found: Vec<Found>, kind: &'static str, prefix: &str) -> Result<Found, ExchangeError> {
    match found.pop() {
        Some(only) if found.is_empty() => Ok(only),
        other => {
            let count = found.len() + usize::from(other.is_some());
            let prefix = prefix.chars().take(80).collect();
            Err(ExchangeError::Ambiguous { kind, prefix, count })
        }
    }
}
