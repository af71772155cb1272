//! The two locks' keys: the board's and the registry's, 32 random bytes each.
//!
//! They are never stored in plaintext. They are in their own memory pages (`secret`), so that moving one leaves no copy, and are zeroized
//! on drop. They have no `Display`, no `Clone`, and a `Debug` without content.

use std::fmt;

use rand::CryptoRng;

use crate::secret::SecretBytes;

/// 32 secret bytes.
pub(super) struct Secret(SecretBytes);

impl Secret {
    pub(super) fn zero() -> Self {
        Self(SecretBytes::zeroed(32))
    }

    pub(super) fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut secret = Self::zero();
        rng.fill_bytes(secret.bytes_mut());
        secret
    }

    /// Returns `None` unless `bytes` has 32 bytes.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self::zero();
        if bytes.len() != secret.bytes().len() {
            return None;
        }
        secret.bytes_mut().copy_from_slice(bytes);
        Some(secret)
    }

    /// Returns `self` XOR `mask`.
    pub(super) fn xor(&self, mask: &Self) -> Self {
        let mut xor = Self::zero();
        for ((to, from), mask) in xor.bytes_mut().iter_mut().zip(self.bytes()).zip(mask.bytes()) {
            *to = from ^ mask;
        }
        xor
    }

    #[expect(clippy::expect_used, reason = "a zero key would be worse than a panic that cannot happen")]
    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.0.bytes().first_chunk().expect("every constructor makes 32 bytes")
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

/// Defines a type of secret key.
macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Secret);

        impl $name {
            /// Generates a key.
            pub fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
                Self(Secret::random(rng))
            }

            pub(super) fn from_secret(secret: Secret) -> Self {
                Self(secret)
            }

            pub(super) fn secret(&self) -> &Secret {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    };
}

secret_key! {
    /// The key of the board's lock. It exists as a whole only while a checkpoint is sealed or opened; otherwise only in shares.
    BoardKey
}
secret_key! {
    /// The key of the registry's lock: stored sealed to the registry, and sealed to a researcher in a lease.
    RegistryKey
}
