//! The only threshold counter: how many *distinct public keys* of a role signed the same bytes.
//!
//! It counts keys, not key ids, envelopes or signatures: one key under two ids, or one key that signs twice, is one signer (TUF 1.0, 5.1;
//! DSSE v1, "t-of-n"). Everything that requires a board's consent uses it.

use std::collections::BTreeSet;

use super::catalogue_id::CatalogueId;
use super::known_signatures::KnownSignatures;
use crate::digest::Sha256Digest;
use crate::identity::{Signature, VerifyingKey};

/// Too few distinct keys signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{board} must sign{}", shortfall(board, *have, *need))]
pub struct ThresholdNotMet {
    /// The role whose signatures were counted.
    pub board: String,
    /// Distinct keys that signed.
    pub have: usize,
    /// Distinct keys that must sign.
    pub need: usize,
}

fn shortfall(board: &str, have: usize, need: usize) -> String {
    let its = inflect(board, "its", "their");
    match need {
        1 => "; the signature is missing".to_owned(),
        _ => format!(" with {need} distinct keys; {have} of {its} keys signed"),
    }
}

/// Chooses the form of a word that follows a role's name: `the board of tiny signs`, `the owners sign`.
pub fn inflect<'a>(role: &str, of_one: &'a str, of_several: &'a str) -> &'a str {
    if role.starts_with("the owners") { of_several } else { of_one }
}

/// A threshold is zero or exceeds the number of distinct keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{board} {} {keys} distinct key{}; {} threshold of {threshold} must be between 1 and that",
    inflect(board, "has", "have"),
    if *keys == 1 { "" } else { "s" },
    inflect(board, "its", "their")
)]
pub struct QuorumError {
    /// The role.
    pub board: String,
    /// The number of its distinct keys.
    pub keys: usize,
    /// The invalid threshold.
    pub threshold: usize,
}

/// A set of distinct keys and how many of them must sign. Invariant: 1 ≤ threshold ≤ keys.
#[derive(Debug, Clone)]
pub struct Quorum {
    board: String,
    keys: BTreeSet<VerifyingKey>,
    threshold: usize,
    catalogue: Option<CatalogueId>,
    known: Option<KnownSignatures>,
}

impl PartialEq for Quorum {
    /// Whether both ask for the same; which signatures they know already makes no difference.
    fn eq(&self, other: &Self) -> bool {
        (&self.board, &self.keys, self.threshold, self.catalogue)
            == (&other.board, &other.keys, other.threshold, other.catalogue)
    }
}

impl Eq for Quorum {}

impl Quorum {
    /// A quorum of `threshold` of `keys`; error messages call it `board`.
    ///
    /// # Errors
    /// [`QuorumError`] if the threshold is zero or exceeds the number of distinct keys.
    pub fn new(
        board: impl Into<String>,
        keys: impl IntoIterator<Item = VerifyingKey>,
        threshold: usize,
    ) -> Result<Self, QuorumError> {
        let (board, keys): (_, BTreeSet<_>) = (board.into(), keys.into_iter().collect());
        if (1..=keys.len()).contains(&threshold) {
            Ok(Self { board, keys, threshold, catalogue: None, known: None })
        } else {
            Err(QuorumError { board, keys: keys.len(), threshold })
        }
    }

    /// A quorum of one key.
    pub fn from_key(board: impl Into<String>, key: VerifyingKey) -> Self {
        Self { board: board.into(), keys: BTreeSet::from([key]), threshold: 1, catalogue: None, known: None }
    }

    /// Binds the quorum to a catalogue: only statements for that catalogue verify.
    #[must_use]
    pub fn with_catalogue(mut self, catalogue: CatalogueId) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// Remembers signatures: one that is among `known` is not verified a second time.
    #[must_use]
    pub fn with_known(mut self, known: &KnownSignatures) -> Self {
        self.known = Some(known.clone());
        self
    }

    /// Returns the catalogue that names these keys, or `None` before one is trusted.
    pub fn catalogue(&self) -> Option<CatalogueId> {
        self.catalogue
    }

    /// Returns the same keys with threshold 1.
    #[must_use]
    pub fn with_threshold_one(&self) -> Self {
        Self { board: format!("one member of {}", self.board), threshold: 1, ..self.clone() }
    }

    /// Returns the same threshold of the remaining keys.
    ///
    /// # Errors
    /// [`QuorumError`] if too few keys remain.
    pub fn exclude(&self, key: &VerifyingKey) -> Result<Self, QuorumError> {
        let others = self.keys.iter().copied().filter(|other| other != key);
        let quorum = Self::new(self.board.clone(), others, self.threshold)?;
        Ok(Self { catalogue: self.catalogue, known: self.known.clone(), ..quorum })
    }

    /// Returns the distinct keys.
    pub fn keys(&self) -> &BTreeSet<VerifyingKey> {
        &self.keys
    }

    /// Returns how many keys must sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Returns the name for messages.
    pub fn name(&self) -> &str {
        &self.board
    }

    /// Returns the distinct keys of this quorum that have a valid signature over `message`. Each candidate is a key and a signature that
    /// it may have made; keys outside the quorum are ignored.
    pub fn signers<'a>(
        &self,
        message: &[u8],
        candidates: impl IntoIterator<Item = (VerifyingKey, &'a Signature)>,
    ) -> BTreeSet<VerifyingKey> {
        let mut signers = BTreeSet::new();
        for (key, signature) in candidates {
            if self.keys.contains(&key) && !signers.contains(&key) && self.verifies(&key, message, signature)
            {
                signers.insert(key);
            }
        }
        signers
    }

    fn verifies(&self, key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
        match &self.known {
            Some(known) => known.has_signed(key, message, signature),
            None => key.has_signed(message, signature),
        }
    }

    /// Returns `value`, which must have been parsed from `message`, if enough distinct keys signed `message`.
    ///
    /// # Errors
    /// [`ThresholdNotMet`].
    pub fn verify<'a, T>(
        &self,
        value: T,
        message: &[u8],
        candidates: impl IntoIterator<Item = (VerifyingKey, &'a Signature)>,
    ) -> Result<Verified<T>, ThresholdNotMet> {
        let signers = self.signers(message, candidates);
        if signers.len() < self.threshold {
            return Err(ThresholdNotMet {
                board: self.board.clone(),
                have: signers.len(),
                need: self.threshold,
            });
        }
        Ok(Verified { value, signers, digest: Sha256Digest::compute(message) })
    }
}

/// A value whose bytes a quorum signed. Only [`Quorum`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    signers: BTreeSet<VerifyingKey>,
    digest: Sha256Digest,
}

impl<T> Verified<T> {
    /// Returns the keys that signed.
    pub fn signers(&self) -> &BTreeSet<VerifyingKey> {
        &self.signers
    }

    /// Returns the SHA-256 of the signed bytes; for a statement, of its payload.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Returns the value without the proof.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Applies the proof to a part of the value.
    pub fn map<U>(self, part: impl FnOnce(T) -> U) -> Verified<U> {
        Verified { value: part(self.value), signers: self.signers, digest: self.digest }
    }

    pub(super) fn with_digest(self, digest: Sha256Digest) -> Self {
        Self { digest, ..self }
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Signer as _, SigningKey};

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn signed(seed: u8, message: &[u8]) -> (VerifyingKey, Signature) {
        (key(seed).verifying_key(), key(seed).sign(message).unwrap())
    }

    fn board() -> Quorum {
        Quorum::new("the board", (1..=3).map(|seed| key(seed).verifying_key()), 2).unwrap()
    }

    fn count(candidates: &[(VerifyingKey, Signature)]) -> usize {
        board().signers(b"m", candidates.iter().map(|(key, signature)| (*key, signature))).len()
    }

    #[test]
    fn distinct_keys_are_counted_once_each() {
        assert_eq!(count(&[signed(1, b"m"), signed(2, b"m")]), 2);
        assert_eq!(count(&[signed(1, b"m"), signed(1, b"m")]), 1, "one key twice");
        assert_eq!(count(&[signed(1, b"m"), signed(2, b"n")]), 1, "other bytes");
        assert_eq!(count(&[signed(1, b"m"), signed(4, b"m")]), 1, "a stranger");
        let stolen = (key(2).verifying_key(), signed(1, b"m").1);
        assert_eq!(count(&[signed(1, b"m"), stolen]), 1, "another's signature");
        let bad_then_good = [(key(1).verifying_key(), signed(2, b"m").1), signed(1, b"m")];
        assert_eq!(count(&bad_then_good), 1, "a worthless signature does not shadow a good one");
    }

    #[test]
    fn a_refusal_counts() {
        let (key, signature) = signed(3, b"m");
        let error = board().verify((), b"m", [(key, &signature)]).unwrap_err();
        assert_eq!(error.to_string(), "the board must sign with 2 distinct keys; 1 of its keys signed");
    }

    #[test]
    fn verbs_agree_with_the_role() {
        let met = |board: &str| ThresholdNotMet { board: board.to_owned(), have: 1, need: 2 }.to_string();
        let quorum = |board: &str| QuorumError { board: board.to_owned(), keys: 3, threshold: 4 }.to_string();
        let owners = "the owners (root)";
        insta::assert_snapshot!([met(owners), quorum(owners), quorum("the board of tiny")].join("\n"), @"
        the owners (root) must sign with 2 distinct keys; 1 of their keys signed
        the owners (root) have 3 distinct keys; their threshold of 4 must be between 1 and that
        the board of tiny has 3 distinct keys; its threshold of 4 must be between 1 and that
        ");
    }

    #[test]
    fn a_threshold_must_be_within_reach() {
        let keys = || [1, 2, 2].map(|seed| key(seed).verifying_key());
        assert_eq!(
            Quorum::new("a board", keys(), 3).unwrap_err().to_string(),
            "a board has 2 distinct keys; its threshold of 3 must be between 1 and that"
        );
        assert!(Quorum::new("a board", keys(), 0).is_err());
        assert!(Quorum::new("a board", keys(), 2).is_ok());
    }
}
