//! Sealing to a person: HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message per encapsulated key.
//!
//! Base mode does not authenticate the sender, so sealed values are verified against a commitment or are part of a signed statement. A
//! message sealed for one [`Purpose`], or in one context, does not open in another.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Error;
use crate::identity::{OpeningKey, SealingKey};

type Kem = X25519HkdfSha256;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

/// What a message is sealed for: HPKE's `info`, which separates the uses of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose(&'static str);

impl Purpose {
    /// A board member's share of the board's key.
    pub const SHARE_FOR_MEMBER: Self = Self::new("portcullis/v1/share-for-member");
    /// The same share, sealed to a researcher under a grant.
    pub const SHARE_FOR_RESEARCHER: Self = Self::new("portcullis/v1/share-for-researcher");
    /// The registry's key, at rest.
    pub const REGISTRY_KEY: Self = Self::new("portcullis/v1/registry-key");
    /// The registry's key, for a lease.
    pub const LEASE: Self = Self::new("portcullis/v1/lease");
    /// The keys of an interrupted sealing, for the person who runs it.
    pub const SESSION: Self = Self::new("portcullis/v1/seal-session");

    /// A purpose with this name, which must be unique.
    pub const fn new(info: &'static str) -> Self {
        Self(info)
    }

    /// Returns the name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// A message that only its recipient can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedMessage {
    /// The encapsulated key, in base64.
    #[serde(with = "base64_text")]
    pub enc: [u8; 32],
    /// The ciphertext with its tag, in base64.
    #[serde(with = "base64_text")]
    pub ciphertext: Vec<u8>,
}

/// Seals `plain` to the owner of `to`; opening it requires the same `aad`.
///
/// # Errors
/// [`Error::Unsealable`] if `to` is a point of small order.
pub fn seal_to(
    to: &SealingKey,
    purpose: Purpose,
    aad: &[u8],
    plain: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<SealedMessage, Error> {
    seal(to, purpose.0.as_bytes(), aad, plain, rng).ok_or(Error::Unsealable { to: *to })
}

/// Opens a message that was sealed for `purpose` with the context `aad`.
///
/// # Errors
/// [`Error::NotOpened`] if it was altered, or sealed to another key, for another purpose or in another context; HPKE cannot tell which.
pub fn open_with(
    key: &OpeningKey,
    purpose: Purpose,
    aad: &[u8],
    sealed: &SealedMessage,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    open(key, purpose.0.as_bytes(), aad, sealed).ok_or(Error::NotOpened { purpose: purpose.0 })
}

fn seal(
    to: &SealingKey,
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
    mut rng: &mut (impl CryptoRng + ?Sized),
) -> Option<SealedMessage> {
    let to = PublicKey::from_bytes(to.as_bytes()).ok()?;
    let mode = OpModeS::Base;
    let (enc, mut sender) =
        hpke::setup_sender_with_rng::<AesGcm256, HkdfSha256, Kem>(&mode, &to, info, &mut rng).ok()?;
    let ciphertext = sender.seal(plain, aad).ok()?;
    Some(SealedMessage { enc: enc.to_bytes().into(), ciphertext })
}

fn open(key: &OpeningKey, info: &[u8], aad: &[u8], sealed: &SealedMessage) -> Option<Zeroizing<Vec<u8>>> {
    let key = PrivateKey::from_bytes(&*key.to_bytes()).ok()?;
    let enc = EncappedKey::from_bytes(&sealed.enc).ok()?;
    let mode = OpModeR::Base;
    let mut receiver = hpke::setup_receiver::<AesGcm256, HkdfSha256, Kem>(&mode, &key, &enc, info).ok()?;
    receiver.open(&sealed.ciphertext, aad).ok().map(Zeroizing::new)
}

/// Serializes bytes as standard base64 with padding.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: impl AsRef<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes =
            STANDARD.decode(text).map_err(|error| D::Error::custom(format!("not base64: {error}")))?;
        let length = bytes.len();
        bytes
            .try_into()
            .map_err(|_| D::Error::custom(format!("{length} bytes of base64 are not the right length")))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::ChaCha20Rng;

    use super::*;

    /// The CFRG's test vector for this suite (mode 0, KEM 0x0020, KDF 1, AEAD 2); RFC 9180 prints only its neighbours.
    mod vector {
        pub(super) const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
        pub(super) const IKM_E: &str = "2cd7c601cefb3d42a62b04b7a9041494c06c7843818e0ce28a8f704ae7ab20f9";
        pub(super) const SK_RM: &str = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d";
        pub(super) const PK_RM: &str = "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c";
        pub(super) const ENC: &str = "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256";
        pub(super) const AAD: &str = "436f756e742d30";
        pub(super) const PLAIN: &str = "4265617574792069732074727574682c20747275746820626561757479";
        pub(super) const CIPHERTEXT: &str = "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de1\
             25a925cdad859d5b7a";
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn array(hex: &str) -> [u8; 32] {
        bytes(hex).try_into().unwrap()
    }

    /// Draws the vector's `ikmE`, once.
    struct Vector(std::vec::IntoIter<u8>);

    impl rand::TryRng for Vector {
        type Error = std::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            panic!("key generation draws bytes")
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            panic!("key generation draws bytes")
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.fill_with(|| self.0.next().unwrap());
            Ok(())
        }
    }

    impl rand::TryCryptoRng for Vector {}

    #[test]
    fn hpke_answers_the_vector_of_the_suite_both_ways() {
        let key = OpeningKey::from_bytes(&array(vector::SK_RM));
        assert_eq!(key.sealing_key().to_string(), vector::PK_RM);
        let (info, aad, plain) = (bytes(vector::INFO), bytes(vector::AAD), bytes(vector::PLAIN));
        let expected = SealedMessage { enc: array(vector::ENC), ciphertext: bytes(vector::CIPHERTEXT) };
        assert_eq!(open(&key, &info, &aad, &expected).unwrap().as_slice(), plain);
        let mut rng = Vector(bytes(vector::IKM_E).into_iter());
        assert_eq!(seal(&key.sealing_key(), &info, &aad, &plain, &mut rng), Some(expected));
    }

    #[test]
    fn a_message_opens_for_one_key_one_purpose_and_one_context() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (ada, ben) = (OpeningKey::from_bytes(&[1; 32]), OpeningKey::from_bytes(&[2; 32]));
        let sealed = seal_to(&ada.sealing_key(), Purpose::LEASE, b"context", b"secret", &mut rng).unwrap();
        assert_eq!(open_with(&ada, Purpose::LEASE, b"context", &sealed).unwrap().as_slice(), b"secret");
        let refused = |key, purpose, aad: &[u8], sealed: &SealedMessage| {
            open_with(key, purpose, aad, sealed).unwrap_err().to_string()
        };
        insta::assert_snapshot!(refused(&ben, Purpose::LEASE, b"context", &sealed), @"the message sealed as `portcullis/v1/lease` does not open: it was altered, or sealed to another key or in another context");
        refused(&ada, Purpose::REGISTRY_KEY, b"context", &sealed);
        refused(&ada, Purpose::LEASE, b"context ", &sealed);
        for bit in 0..8 * sealed.ciphertext.len() {
            let mut altered = sealed.clone();
            altered.ciphertext[bit / 8] ^= 1 << (bit % 8);
            refused(&ada, Purpose::LEASE, b"context", &altered);
        }
        for bit in 0..256 {
            let mut altered = sealed.clone();
            altered.enc[bit / 8] ^= 1 << (bit % 8);
            // X25519 ignores the highest bit of a public key (RFC 7748, 5); HPKE does not: it is in the key schedule.
            refused(&ada, Purpose::LEASE, b"context", &altered);
        }
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let zero: SealingKey = "00".repeat(32).parse().unwrap();
        let error = seal_to(&zero, Purpose::LEASE, b"", b"", &mut rng).unwrap_err();
        insta::assert_snapshot!(error, @"cannot seal to 0000000000000000000000000000000000000000000000000000000000000000: it is not a usable X25519 key");
    }

    #[test]
    fn a_message_is_json_that_reads_back() {
        let message = SealedMessage { enc: [7; 32], ciphertext: vec![1, 2, 3] };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<SealedMessage>(&json).unwrap(), message);
        let refused = |json: &str| serde_json::from_str::<SealedMessage>(json).unwrap_err().to_string();
        insta::assert_snapshot!([
            refused(r#"{"enc":"AAAA","ciphertext":""}"#),
            refused(r#"{"enc":"!","ciphertext":""}"#),
        ].join("\n"), @"
        3 bytes of base64 are not the right length at line 1 column 13
        not base64: Invalid symbol 33, offset 0. at line 1 column 10
        ");
    }
}
