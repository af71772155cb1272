//! Stores of statements: a folder that people share, or a registry.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use super::ExchangeError;
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::statement::Envelope;

/// A statement that was found, unverified.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
pub struct FoundStatement {
    /// File or address.
    pub path: PathBuf,
    /// The digest of the payload, computed from it.
    pub digest: Sha256Digest,
    pub envelope: Envelope,
}

/// The result of submitting a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Where the statement is stored.
    pub path: PathBuf,
    /// The pending request with the same terms, if there is one: this statement was not stored.
    pub same_as: Option<Sha256Digest>,
}

/// A store of statements. The caller verifies what it returns.
pub trait Statements {
    /// Submits a statement that `signer` signed. Submitting it again has no effect.
    ///
    /// # Errors
    /// [`ExchangeError::Io`], [`ExchangeError::Refused`], [`ExchangeError::Unreachable`].
    fn put(
        &self,
        kind: &'static str,
        envelope: &Envelope,
        signer: &VerifyingKey,
    ) -> Result<Submission, ExchangeError>;

    /// Every readable statement of a kind.
    ///
    /// # Errors
    /// [`ExchangeError::Io`], [`ExchangeError::TooMany`], [`ExchangeError::Refused`], [`ExchangeError::Unreachable`].
    fn list(&self, kind: &'static str) -> Result<Vec<FoundStatement>, ExchangeError>;

    /// The statements of a kind about a request or grant.
    ///
    /// # Errors
    /// Those of [`Self::list`].
    fn list_about(
        &self,
        kind: &'static str,
        subject: Sha256Digest,
    ) -> Result<Vec<FoundStatement>, ExchangeError> {
        let mut found = self.list(kind)?;
        found.retain(|found| super::index(&found.envelope).is_ok_and(|index| index.about == Some(subject)));
        Ok(found)
    }

    /// The newest statements of a kind about a request or grant; older ones may be included.
    ///
    /// # Errors
    /// Those of [`Self::list`].
    fn list_newest(
        &self,
        kind: &'static str,
        subject: Sha256Digest,
    ) -> Result<Vec<FoundStatement>, ExchangeError> {
        self.list_about(kind, subject)
    }

    /// The statements of a kind, the signatures of equal payloads merged into one envelope.
    ///
    /// # Errors
    /// Those of [`Self::list`].
    fn list_merged(&self, kind: &'static str) -> Result<Vec<FoundStatement>, ExchangeError> {
        Ok(merge_signatures(self.list(kind)?))
    }

    /// The one statement of a kind whose digest begins with `prefix`, signatures merged.
    ///
    /// # Errors
    /// Those of [`Self::list`] and [`DigestPrefix::parse`], [`ExchangeError::Ambiguous`].
    fn find(&self, kind: &'static str, prefix: &str) -> Result<FoundStatement, ExchangeError> {
        let prefix = DigestPrefix::parse(kind, prefix)?;
        let mut found = self.list_merged(kind)?;
        found.retain(|found| prefix.matches(found.digest));
        require_one(found, kind, prefix.as_str())
    }
}

/// The first 6 to 64 lower-case digits of a statement's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestPrefix(String);

impl DigestPrefix {
    /// Parses typed or pasted digits in either case, and trims white space.
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

    /// The digits in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the digest begins with these digits.
    pub fn matches(&self, digest: Sha256Digest) -> bool {
        digest.to_string().starts_with(&self.0)
    }
}

/// Merges the signatures of equal payloads into one statement each.
pub fn merge_signatures(found: impl IntoIterator<Item = FoundStatement>) -> Vec<FoundStatement> {
    let mut merged: BTreeMap<Sha256Digest, FoundStatement> = BTreeMap::new();
    for found in found {
        match merged.entry(found.digest) {
            // Equal digests mean equal payloads; other payload types were skipped before.
            Entry::Occupied(mut other) => drop(other.get_mut().envelope.merge(&found.envelope)),
            Entry::Vacant(entry) => drop(entry.insert(found)),
        }
    }
    merged.into_values().collect()
}

/// The only statement found.
///
/// # Errors
/// [`ExchangeError::Ambiguous`].
pub fn require_one(
    mut found: Vec<FoundStatement>,
    kind: &'static str,
    prefix: &str,
) -> Result<FoundStatement, ExchangeError> {
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
        let digest = Sha256Digest::of(b"a statement");
        let whole = digest.to_string();
        for typed in [&whole[..6], &whole[..12], &whole, &whole.to_uppercase(), &format!(" {whole}\n")] {
            assert!(DigestPrefix::parse("request", typed).unwrap().matches(digest), "{typed}");
        }
        assert!(!DigestPrefix::parse("request", "0000000000").unwrap().matches(digest));
        for typed in ["", "abcde", "xyzw", "3f2a%", &format!("{whole}0")] {
            let refused = DigestPrefix::parse("request", typed).unwrap_err().to_string();
            assert!(
                refused.contains("names no request: give the first 6 to 64 hexadecimal digits"),
                "{refused}"
            );
        }
    }
}
