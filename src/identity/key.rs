//! Ed25519 public keys and signatures (RFC 8032), and the ids under which TUF and DSSE name keys.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Sha256Digest, serde_as_text};
use crate::hex;

/// A text or its bytes are not a valid key or signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum KeyError {
    /// The text is not the expected number of lower-case hexadecimal digits; `text` is cut to 80 characters.
    #[error("`{text}` is not {expected}")]
    Malformed { text: String, expected: &'static str },
    /// The bytes are not a point of the curve, not its canonical encoding, or a point of small order.
    #[error("`{text}` is not a usable Ed25519 public key")]
    Unusable { text: String },
}

/// Parses exactly `N` bytes of lower-case hexadecimal digits.
pub(super) fn from_hex<const N: usize>(text: &str, expected: &'static str) -> Result<[u8; N], KeyError> {
    hex::parse(text).ok_or_else(|| KeyError::Malformed {
        text: crate::visible::one_line(&text.chars().take(80).collect::<String>()),
        expected,
    })
}

/// Whether the y coordinate is below p = 2^255 - 19 (RFC 8032, 5.1.3). The only other non-canonical encodings have x = 0, and those
/// points have small order.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    *first < 0xed || last & 0x7f < 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// An Ed25519 public key; written as 64 lower-case hexadecimal digits.
///
/// Invariant: the canonical encoding of a point of large order, so that equal keys have equal bytes. The counting of signatures depends
/// on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Parses 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Unusable`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .ok()
            .filter(|key| is_canonical(bytes) && !key.is_weak())
            .map(Self)
            .ok_or_else(|| KeyError::Unusable { text: Sha256Digest::from_bytes(*bytes).to_string() })
    }

    pub(super) fn from_dalek(key: ed25519_dalek::VerifyingKey) -> Self {
        Self(key)
    }

    /// Returns the key's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether this key made `signature` over `message`; strict, so that all programs agree (RFC 8032, 5.1.7, cofactorless).
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }

    /// Computes the key's id: SHA-256 over the canonical JSON of its TUF form (TUF 1.0, 4.2).
    pub fn id(&self) -> KeyId {
        let json = format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{self}"}},"scheme":"ed25519"}}"#);
        KeyId(Sha256Digest::compute(json.as_bytes()))
    }
}

impl PartialOrd for VerifyingKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VerifyingKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl std::hash::Hash for VerifyingKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(self.as_bytes(), f)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&from_hex(text, "an Ed25519 public key (64 lower-case hexadecimal digits)")?)
    }
}

serde_as_text!(VerifyingKey);

/// The id of an Ed25519 key, computed from the key; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Sha256Digest);

impl KeyId {
    /// Returns the first twelve digits, for display.
    pub fn short(&self) -> String {
        self.0.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = crate::digest::DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

serde_as_text!(KeyId);

/// An Ed25519 signature, unverified; written as 128 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps 64 bytes.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Returns the 64 bytes.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        from_hex(text, "an Ed25519 signature (128 lower-case hexadecimal digits)").map(Self)
    }
}

serde_as_text!(Signature);

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, 7.1, TEST 2: public key, message, signature.
    const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    #[test]
    fn ed25519_verifies_the_rfc_8032_vector_and_nothing_else() {
        let key: VerifyingKey = KEY.parse().unwrap();
        let signature: Signature = SIGNATURE.parse().unwrap();
        assert!(key.has_signed(&[0x72], &signature));
        assert!(!key.has_signed(&[0x73], &signature));
        let mut altered = *signature.as_bytes();
        altered[0] ^= 1;
        assert!(!key.has_signed(&[0x72], &Signature::from_bytes(altered)));
    }

    #[test]
    fn a_key_has_one_encoding_and_a_large_order() {
        let with_last = |last: &str| format!("{}{last}", "ff".repeat(31));
        let refused = [
            format!("01{}", "00".repeat(31)),   // the neutral element
            "00".repeat(32),                    // order 4
            format!("ed{}7f", "ff".repeat(30)), // zero written as p
            with_last("7f"),                    // a y beyond p
            format!("02{}", "00".repeat(31)),   // no point
        ];
        for text in refused {
            assert!(matches!(text.parse::<VerifyingKey>(), Err(KeyError::Unusable { .. })), "{text}");
        }
        for text in ["", &KEY[1..], &KEY.to_uppercase(), &"é".repeat(32)] {
            assert!(matches!(text.parse::<VerifyingKey>(), Err(KeyError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn a_key_id_is_the_one_that_other_tuf_programs_compute() {
        // securesystemslib's SSlibKey id for the same key; tests/peers/statements.py recomputes it.
        let key: VerifyingKey = KEY.parse().unwrap();
        let canonical =
            format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{KEY}"}},"scheme":"ed25519"}}"#);
        assert_eq!(key.id().to_string(), Sha256Digest::compute(canonical.as_bytes()).to_string());
    }
}
