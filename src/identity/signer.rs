//! Signers: a key in memory, or (`agent`) a key in an SSH agent.

use std::fmt;

use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use super::{Error, Signature, VerifyingKey};
use crate::secret::SecretBytes;

/// Signs with one Ed25519 key.
pub trait Signer: Send + Sync {
    /// Returns the public key.
    fn verifying_key(&self) -> VerifyingKey;

    /// Signs `message`.
    ///
    /// # Errors
    /// Errors of the SSH agent; a key in memory never fails.
    fn sign(&self, message: &[u8]) -> Result<Signature, Error>;
}

/// An Ed25519 secret key; its seed is in its own memory page, zeroized on drop, never printed.
pub struct SigningKey {
    seed: SecretBytes,
    verifying_key: VerifyingKey,
}

impl SigningKey {
    /// Derives the key from a 32-byte seed (RFC 8032, 5.1.5).
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifying_key = VerifyingKey::from_dalek(key.verifying_key());
        Self { seed: SecretBytes::from_slice(seed), verifying_key }
    }

    /// Returns a copy of the seed, zeroized on drop.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        copy_of(&self.seed)
    }
}

/// A short-lived copy of 32 secret bytes.
pub(super) fn copy_of(secret: &SecretBytes) -> Zeroizing<[u8; 32]> {
    let mut copy = Zeroizing::new([0; 32]);
    copy.copy_from_slice(secret.bytes());
    copy
}

impl Signer for SigningKey {
    fn verifying_key(&self) -> VerifyingKey {
        self.verifying_key
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        // The library zeroizes its copy.
        let key = ed25519_dalek::SigningKey::from_bytes(&copy_of(&self.seed));
        Ok(Signature::from_bytes(key.sign(message).to_bytes()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.verifying_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ed25519_signs_as_rfc_8032_does() {
        // 7.1, TEST 2.
        let seed = super::super::key::from_hex(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "a seed",
        );
        let key = SigningKey::from_bytes(&seed.unwrap());
        assert_eq!(
            key.sign(&[0x72]).unwrap().to_string(),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert_eq!(
            key.verifying_key().to_string(),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        let key = SigningKey::from_bytes(&[0x42; 32]);
        assert!(!format!("{key:?}").contains("4242"));
    }
}
