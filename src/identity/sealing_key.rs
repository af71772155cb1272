//! X25519 keys (RFC 7748) for sealing messages to a person. HPKE itself is in `seal/`.

use std::fmt;
use std::str::FromStr;

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::key::{KeyError, from_hex};
use super::signer::copy_of;
use crate::digest::serde_as_text;
use crate::hex;
use crate::secret::SecretBytes;

/// An X25519 public key; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingKey([u8; 32]);

impl SealingKey {
    /// Returns the key's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SealingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        from_hex(text, "an X25519 public key (64 lower-case hexadecimal digits)").map(Self)
    }
}

serde_as_text!(SealingKey);

/// An X25519 secret key in its own memory page; zeroized on drop, never printed.
pub struct OpeningKey(SecretBytes);

impl OpeningKey {
    /// Wraps 32 secret bytes (clamped on use, as RFC 7748 specifies).
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SecretBytes::from_slice(bytes))
    }

    /// Returns a copy of the secret bytes, zeroized on drop.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        copy_of(&self.0)
    }

    /// Computes the public key.
    pub fn sealing_key(&self) -> SealingKey {
        SealingKey(PublicKey::from(&StaticSecret::from(*copy_of(&self.0))).to_bytes())
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpeningKey(of {})", self.sealing_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_that_of_rfc_7748() {
        // RFC 7748, 6.1: Alice's private and public keys.
        let secret = from_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", "a key");
        let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        assert_eq!(OpeningKey::from_bytes(&secret.unwrap()).sealing_key().to_string(), public);
    }

    #[test]
    fn a_secret_is_not_printed() {
        let key = OpeningKey::from_bytes(&[0x42; 32]);
        assert!(!format!("{key:?}").contains("4242"));
    }
}
