//! Digests: SHA-256 (FIPS 180-4) identifies files, statements and chunks; CRC-32C (RFC 3720, appendix B.4) identifies published tensors.
//!
//! Promise P6 rests on SHA-256. CRC-32C finds accidents, not attacks: OpenAI's 2019 TensorFlow indexes carry one for each tensor, which
//! shows that a repackaged checkpoint has the original numbers.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

use crate::hex;

/// The text of a digest is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct DigestError {
    text: String,
    expected: &'static str,
}

/// A SHA-256 digest; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// Hashes `bytes`.
    pub fn compute(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Wraps the 32 bytes of a digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the digest's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// An incremental SHA-256.
#[derive(Clone, Default)]
pub struct Sha256Hasher(sha2::Sha256);

impl Sha256Hasher {
    /// Appends `bytes` to the input.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of the whole input.
    pub fn finish(self) -> Sha256Digest {
        Sha256Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        hex::parse(text).map(Self).ok_or_else(|| DigestError {
            text: text.chars().take(80).collect(),
            expected: "a SHA-256 digest (64 lower-case hexadecimal digits)",
        })
    }
}

/// A CRC-32C (Castagnoli) checksum; written as 8 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Computes the checksum of `bytes`.
    pub fn compute(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes))
    }

    /// Returns the checksum of the input of `self` followed by `bytes`.
    #[must_use]
    pub fn append(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }

    /// Removes the mask that LevelDB and TensorFlow apply to stored checksums (`crc32c.h`).
    pub fn from_masked(masked: u32) -> Self {
        Self(masked.wrapping_sub(0xa282_ead8).rotate_left(15))
    }
}

impl fmt::Display for Crc32c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Crc32c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Crc32c {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        hex::parse(text).map(|bytes| Self(u32::from_be_bytes(bytes))).ok_or_else(|| DigestError {
            text: text.chars().take(80).collect(),
            expected: "a CRC-32C checksum (8 lower-case hexadecimal digits)",
        })
    }
}

/// Serializes a type with `Display` and deserializes it with `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

serde_as_text!(Sha256Digest);
serde_as_text!(Crc32c);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_answers_the_standard_vector() {
        // FIPS 180-4, example "abc".
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha256Digest::compute(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Sha256Digest::compute(b"abc")));
    }

    #[test]
    fn crc32c_answers_the_standard_vector() {
        // RFC 3720, B.4: 32 bytes of zeros, 32 of ones, and the check value of "123456789".
        assert_eq!(Crc32c::compute(&[0; 32]).to_string(), "8a9136aa");
        assert_eq!(Crc32c::compute(&[0xff; 32]).to_string(), "62a8ab43");
        assert_eq!(Crc32c::compute(b"1234").append(b"56789").to_string(), "e3069283");
    }

    #[test]
    fn a_masked_checksum_is_unmasked_as_tensorflow_does() {
        // model/h0/attn/c_attn/b of OpenAI's 124M index, masked and plain.
        assert_eq!(Crc32c::from_masked(0x8c27_3d74).to_string(), "294e74d2");
    }

    #[test]
    fn malformed_digests_are_refused() {
        for text in ["", "ab", &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<Sha256Digest>().is_err(), "{text}");
        }
        for text in ["", "+1234567", "E3069283", "e30692833"] {
            assert!(text.parse::<Crc32c>().is_err(), "{text}");
        }
    }
}
