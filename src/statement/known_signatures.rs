//! Signatures that verified before. A registry decides on the same grants again and again, and a signature that held once holds always.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::identity::{Signature, VerifyingKey};

/// Signatures of one generation: 64 KiB or so of digests.
const MAX_KNOWN: usize = 2048;

/// Remembers up to 4,096 signatures that verified, the latest ones; never one that did not. Copies share what they know.
#[derive(Debug, Clone, Default)]
pub struct KnownSignatures(Arc<Mutex<Generations>>);

#[derive(Debug, Default)]
struct Generations {
    latest: HashSet<Sha256Digest>,
    earlier: HashSet<Sha256Digest>,
}

impl KnownSignatures {
    /// Whether `signature` is `key`'s over `message`. The first time it is verified ([`VerifyingKey::verifies`]).
    #[must_use]
    pub fn has_signed(&self, key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
        let place = place_of(key, message, signature);
        if self.generations().contains(place) {
            return true;
        }
        let verifies = key.has_signed(message, signature);
        if verifies {
            self.generations().add(place);
        }
        verifies
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn contains(&self, place: Sha256Digest) -> bool {
        self.latest.contains(&place) || self.earlier.contains(&place)
    }

    fn add(&mut self, place: Sha256Digest) {
        if self.latest.len() >= MAX_KNOWN {
            self.earlier = std::mem::take(&mut self.latest);
        }
        self.latest.insert(place);
    }
}

/// All that a verification looks at. Key and signature have fixed lengths, so no two of these read the same.
fn place_of(key: &VerifyingKey, message: &[u8], signature: &Signature) -> Sha256Digest {
    let mut hasher = Sha256Hasher::default();
    hasher.update(b"portcullis/v1/known-signature ");
    hasher.update(key.as_bytes());
    hasher.update(signature.as_bytes());
    hasher.update(message);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Signer as _, SigningKey};

    #[test]
    fn what_verified_is_known_and_nothing_else_is() {
        let known = KnownSignatures::default();
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let signature = key.sign(b"m").unwrap();
        let count = || known.generations().latest.len();
        for _ in 0..2 {
            assert!(known.has_signed(&key.verifying_key(), b"m", &signature));
            assert!(!known.has_signed(&other.verifying_key(), b"m", &signature), "another key");
            assert!(!known.has_signed(&key.verifying_key(), b"n", &signature), "other bytes");
            assert!(!known.has_signed(&key.verifying_key(), b"m", &other.sign(b"m").unwrap()));
            assert_eq!(count(), 1);
        }
    }

    #[test]
    fn only_so_many_are_kept_and_the_latest_stay() {
        let mut generations = Generations::default();
        let place = |number: usize| Sha256Digest::compute(&number.to_le_bytes());
        for number in 0..5 * MAX_KNOWN {
            generations.add(place(number));
            assert!(generations.latest.len() + generations.earlier.len() <= 2 * MAX_KNOWN);
            assert!(generations.contains(place(number.saturating_sub(MAX_KNOWN))));
        }
        assert!(!generations.contains(place(0)));
    }
}
