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
    /// Those of [`Self::list`] and [`DigestPrefix::parse`], [`ExchangeError::Ambiguous`].
    fn find(&self, kind: &'static str, prefix: &str) -> Result<Found, ExchangeError> {
        let prefix = DigestPrefix::parse(kind, prefix)?;
        let mut found = self.merged(kind)?;
        found.retain(|found| prefix.begins(found.digest));
        only(found, kind, prefix.as_str())
    }
}

/// The first digits of a statement's digest, by which people name it: 6 to 64, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestPrefix(String);

impl DigestPrefix {
    /// Reads what a person typed or pasted: in either case, with white space around it.
    ///
    /// # Errors
    /// [`ExchangeError::NoPrefix`].
    pub fn parse(kind: &'static str, typed: &str) -> Result<Self, ExchangeError> {
        let digits = typed.trim();
        if !(6..=64).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ExchangeError::NoPrefix { kind, typed: typed.chars().take(80).collect() });
        }
        Ok(Self(digits.to_ascii_lowercase()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a digest begins with them.
    pub fn begins(&self, digest: Sha256Digest) -> bool {
        digest.to_string().starts_with(&self.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_the_first_digits_of_its_digest_as_people_paste_them() {
        let digest = Sha256Digest::compute(b"a statement");
        let whole = digest.to_string();
        for typed in [&whole[..6], &whole[..12], &whole, &whole.to_uppercase(), &format!(" {whole}\n")] {
            assert!(DigestPrefix::parse("request", typed).unwrap().begins(digest), "{typed}");
        }
        assert!(!DigestPrefix::parse("request", "0000000000").unwrap().begins(digest));
        for typed in ["", "abcde", "xyzw", "3f2a%", &format!("{whole}0")] {
            let refused = DigestPrefix::parse("request", typed).unwrap_err().to_string();
            assert!(refused.contains("names no request: give 6 to 64 hexadecimal digits"), "{refused}");
        }
    }
}
