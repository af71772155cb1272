//! Key derivation: from the two locks' keys to the key of each file (HKDF-SHA256, RFC 5869), and the commitment to the content key.
//!
//! | key | extract: salt, input | expand: info |
//! |---|---|---|
//! | content key `K` | checkpoint id, `B‖R` | `portcullis/v1/content` |
//! | file key | `portcullis/v1/file`, `K` | the file's path |
//! | commitment | none, `K` | `portcullis/v1/commitment`; the manifest holds its SHA-256 |
//!
//! The salts separate the uses of `K`, so no choice of path yields another use's key. The commitment is needed because AES-GCM does not
//! bind a ciphertext to one key: without it, a crafted chunk could decrypt to different plaintexts under two keys.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::key::{BoardKey, RegistryKey, Secret};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;

const CONTENT: &[u8] = b"portcullis/v1/content";
const FILE: &[u8] = b"portcullis/v1/file";
const COMMITMENT: &[u8] = b"portcullis/v1/commitment";

/// The key that both locks yield, from which each file's key is derived; zeroized on drop, never printed.
pub struct ContentKey(Secret);

impl ContentKey {
    /// Derives the content key of a checkpoint from both locks' keys.
    pub fn derive(board: &BoardKey, registry: &RegistryKey, checkpoint: &CheckpointId) -> Self {
        let mut input = Zeroizing::new([0; 64]);
        input[..32].copy_from_slice(board.secret().bytes());
        input[32..].copy_from_slice(registry.secret().bytes());
        Self(hkdf(Some(checkpoint.as_str().as_bytes()), &*input, CONTENT))
    }

    /// Computes the commitment for the manifest, which identifies the key without revealing it.
    pub fn commitment(&self) -> Sha256Digest {
        Sha256Digest::compute(hkdf(None, self.0.bytes(), COMMITMENT).bytes())
    }

    /// Whether `commitment` is to this key; in constant time.
    #[must_use]
    pub fn has_commitment(&self, commitment: &Sha256Digest) -> bool {
        self.commitment().as_bytes().ct_eq(commitment.as_bytes()).into()
    }

    /// Derives the key of the file at `path`.
    pub(super) fn file_key(&self, path: &str) -> Secret {
        hkdf(Some(FILE), self.0.bytes(), path.as_bytes())
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(secret)")
    }
}

/// Derives 32 bytes with HKDF-SHA256.
fn hkdf(salt: Option<&[u8]>, input: &[u8], info: &[u8]) -> Secret {
    let mut key = Secret::zero();
    expand(salt, input, info, key.bytes_mut());
    key
}

#[expect(clippy::expect_used, reason = "a zero key would be worse than a panic that cannot happen")]
fn expand(salt: Option<&[u8]>, input: &[u8], info: &[u8], output: &mut [u8]) {
    let expanded = Hkdf::<Sha256>::new(salt, input).expand(info, output);
    expanded.expect("RFC 5869 allows up to 255 times 32 bytes and no caller asks for more than one");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn sequence(from: u8, to: u8) -> Vec<u8> {
        (from..=to).collect()
    }

    #[test]
    fn hkdf_answers_the_vectors_of_rfc_5869() {
        let check = |salt: Option<&[u8]>, input: &[u8], info: &[u8], expected: &str| {
            let expected = bytes(expected);
            let mut output = vec![0; expected.len()];
            expand(salt, input, info, &mut output);
            assert_eq!(output, expected);
        };
        // A.1
        check(
            Some(&sequence(0x00, 0x0c)),
            &[0x0b; 22],
            &sequence(0xf0, 0xf9),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        );
        // A.2
        check(
            Some(&sequence(0x60, 0xaf)),
            &sequence(0x00, 0x4f),
            &sequence(0xb0, 0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        );
        // A.3
        check(
            None,
            &[0x0b; 22],
            b"",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        );
    }

    fn key(board: u8, registry: u8, checkpoint: &str) -> ContentKey {
        let secret = |byte| Secret::from_slice(&[byte; 32]).unwrap();
        let (board, registry) =
            (BoardKey::from_secret(secret(board)), RegistryKey::from_secret(secret(registry)));
        ContentKey::derive(&board, &registry, &checkpoint.parse().unwrap())
    }

    #[test]
    fn every_input_changes_every_key() {
        let one = key(1, 2, "gpt2");
        for other in [key(3, 2, "gpt2"), key(1, 3, "gpt2"), key(2, 1, "gpt2"), key(1, 2, "gpt3")] {
            assert!(!other.has_commitment(&one.commitment()));
            assert_ne!(other.file_key("config.json").bytes(), one.file_key("config.json").bytes());
        }
        assert!(key(1, 2, "gpt2").has_commitment(&one.commitment()));
        assert_ne!(one.file_key("a").bytes(), one.file_key("b").bytes());
        // Nor does a path reach the commitment.
        let path = "portcullis/v1/commitment";
        assert_ne!(Sha256Digest::compute(one.file_key(path).bytes()), one.commitment());
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", key(1, 2, "gpt2")), "ContentKey(secret)");
        assert_eq!(format!("{:?}", BoardKey::from_secret(Secret::zero())), "BoardKey(secret)");
    }
}
