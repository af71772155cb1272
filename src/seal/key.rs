//! The two locks' keys: the board's and the registry's, 32 random bytes each.
//!
//! Neither is ever written anywhere in plain. They lie in pages of their own (`secret`), so that moving one leaves no copy behind, and are
//! zeroized when dropped; they have no `Display`, no `Clone`, and a `Debug` that says nothing.

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

    /// `None` where these are not 32 bytes.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self::zero();
        if bytes.len() != secret.bytes().len() {
            return None;
        }
        secret.bytes_mut().copy_from_slice(bytes);
        Some(secret)
    }

    /// Byte by byte, `self` combined with `mask` by exclusive or.
    pub(super) fn masked(&self, mask: &Self) -> Self {
        let mut masked = Self::zero();
        for ((to, from), mask) in masked.bytes_mut().iter_mut().zip(self.bytes()).zip(mask.bytes()) {
            *to = from ^ mask;
        }
        masked
    }

    #[expect(clippy::expect_used, reason = "a key of zeros would be worse than a panic that cannot happen")]
    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.0.bytes().first_chunk().expect("every constructor asks for 32 bytes")
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

/// A named kind of secret key.
macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Secret);

        impl $name {
            /// A new key.
            pub fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
                Self(Secret::random(rng))
            }

            pub(super) fn of(secret: Secret) -> Self {
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
    /// The board's lock: it exists whole only while a checkpoint is sealed and while one is opened; else in shares.
    BoardKey
}
secret_key! {
    /// The registry's lock: sealed to the registry at rest, and to a researcher for the time of a lease.
    RegistryKey
}
