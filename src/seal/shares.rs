//! Shares and the registry's key, sealed to their holders at rest and to a researcher under a grant or lease.
//!
//! `shares.json` is beside the chunks and may be public: each part opens only for its holder. Swapped parts are detected, since each is
//! bound to its checkpoint, holder and index, and is verified against the manifest when it is opened.

use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use super::encoding::encode;
use super::hpke::{Purpose, SealedMessage, open_with, seal_to};
use super::key::Secret;
use super::{Error, Recipient, Recipients, RegistryKey, SealedManifest, Share, ShareIndex};
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, OpeningKey, SealingKey};
use crate::name::CheckpointId;

/// Longest accepted `shares.json`, in bytes; with a board of 255 it has 80 kB.
pub(super) const MAX_BYTES: u64 = 1 << 20;

const SCHEMA: u32 = 1;

/// `shares.json`: both locks' keys, each part sealed to its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedShares {
    schema: u32,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The digest of the sealed manifest that commits to the shares.
    pub manifest: Sha256Digest,
    /// The members' shares of the board's key.
    pub board: Vec<SealedShare>,
    /// The registry's key.
    pub registry: SealedRegistryKey,
}

/// A share sealed to its member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedShare {
    /// The index of the share.
    pub index: ShareIndex,
    /// The key id of the holder.
    pub key_id: KeyId,
    /// The share, sealed to the holder.
    pub sealed: SealedMessage,
}

/// The registry's key sealed to the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedRegistryKey {
    /// The key id of the registry.
    pub key_id: KeyId,
    /// The key, sealed to the registry.
    pub sealed: SealedMessage,
}

/// A member's share sealed to a researcher, for one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResealedShare {
    /// The index of the share.
    pub index: ShareIndex,
    /// The share, sealed to the researcher for one grant.
    pub sealed: SealedMessage,
}

/// Both locks' keys in plaintext, the board's in shares.
#[derive(Clone, Copy)]
pub(super) struct LockKeys<'a> {
    pub(super) shares: &'a [Share],
    pub(super) registry_key: &'a RegistryKey,
}

impl SealedShares {
    /// Seals every share to its member and the registry's key to the registry.
    pub(super) fn seal(
        manifest: &SealedManifest,
        digest: Sha256Digest,
        recipients: &Recipients,
        keys: LockKeys<'_>,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, Error> {
        let checkpoint = &manifest.plain.checkpoint;
        let board = recipients.board().iter().zip(keys.shares).map(|(member, share)| {
            let aad = rest_context(checkpoint, member.key_id, Some(share.index()));
            let purpose = Purpose::SHARE_FOR_MEMBER;
            let sealed = seal_to(&member.sealing_key, purpose, &aad, share.bytes(), rng)?;
            Ok(SealedShare { index: share.index(), key_id: member.key_id, sealed })
        });
        let board = board.collect::<Result<_, Error>>()?;
        let Recipient { key_id, sealing_key } = *recipients.registry();
        let (aad, key) = (rest_context(checkpoint, key_id, None), keys.registry_key.secret().bytes());
        let sealed = seal_to(&sealing_key, Purpose::REGISTRY_KEY, &aad, key, rng)?;
        let registry = SealedRegistryKey { key_id, sealed };
        Ok(Self { schema: SCHEMA, checkpoint: checkpoint.clone(), manifest: digest, board, registry })
    }

    /// Parses `shares.json`.
    ///
    /// # Errors
    /// [`Error::Shares`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let malformed = |reason: String| Error::Shares { reason };
        if json.len() as u64 > MAX_BYTES {
            return Err(malformed(format!("it has {} bytes; at most {MAX_BYTES} are accepted", json.len())));
        }
        let shares: Self = crate::json::from_slice(json).map_err(|error| malformed(error.to_string()))?;
        if shares.schema != SCHEMA {
            return Err(malformed(format!("schema {} is not supported", shares.schema)));
        }
        Ok(shares)
    }

    pub(super) fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n").map_err(|source| Error::Encode { source })
    }

    /// Opens the share of the member with this key and verifies it against the manifest.
    ///
    /// # Errors
    /// [`Error::NotOnBoard`], [`Error::Shares`] if the member's share is missing, [`Error::ShareNotOpened`], [`Error::WrongShare`].
    pub fn open_share(
        &self,
        manifest: &SealedManifest,
        member: KeyId,
        key: &OpeningKey,
    ) -> Result<Share, Error> {
        let place = manifest.seal.board.members.iter().find(|listed| listed.key_id == member);
        let index = place.ok_or(Error::NotOnBoard { key_id: member })?.index;
        let missing = || Error::Shares { reason: format!("there is no share of board member {member}") };
        let sealed = self.board.iter().find(|share| share.key_id == member).ok_or_else(missing)?;
        let checkpoint = &manifest.plain.checkpoint;
        let aad = rest_context(checkpoint, member, Some(index));
        let not_opened = || Error::ShareNotOpened { index, member };
        if sealed.index != index {
            return Err(not_opened());
        }
        let bytes =
            open_with(key, Purpose::SHARE_FOR_MEMBER, &aad, &sealed.sealed).map_err(|_| not_opened())?;
        let share = Share::from_bytes(index, &bytes).ok_or_else(not_opened)?;
        share.verify(&manifest.seal.board, checkpoint)
    }

    /// Opens the registry's key with the registry's identity.
    ///
    /// # Errors
    /// [`Error::NotOpened`], [`Error::Shares`] if the key is not for this manifest's registry.
    pub fn open_registry_key(
        &self,
        manifest: &SealedManifest,
        key: &OpeningKey,
    ) -> Result<RegistryKey, Error> {
        let registry = manifest.seal.registry;
        if self.registry.key_id != registry {
            let reason = format!("the registry is {}, not {registry}", self.registry.key_id);
            return Err(Error::Shares { reason });
        }
        let aad = rest_context(&manifest.plain.checkpoint, registry, None);
        open_key(key, Purpose::REGISTRY_KEY, &aad, &self.registry.sealed)
    }
}

/// Seals a member's share to a researcher for the grant with this digest.
///
/// # Errors
/// [`Error::Unsealable`].
pub fn reseal_share(
    share: &Share,
    researcher: &SealingKey,
    grant: Sha256Digest,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<ResealedShare, Error> {
    let aad = grant_context(grant, share.index());
    let sealed = seal_to(researcher, Purpose::SHARE_FOR_RESEARCHER, &aad, share.bytes(), rng)?;
    Ok(ResealedShare { index: share.index(), sealed })
}

/// Opens a share that a member sealed to this researcher for this grant, and verifies it against the manifest.
///
/// # Errors
/// [`Error::NoSuchShare`], [`Error::ShareNotOpened`], [`Error::WrongShare`]; the last two name the member.
pub fn open_resealed_share(
    resealed: &ResealedShare,
    researcher: &OpeningKey,
    grant: Sha256Digest,
    manifest: &SealedManifest,
) -> Result<Share, Error> {
    let (index, board) = (resealed.index, &manifest.seal.board);
    let member = board.member(index).ok_or(Error::NoSuchShare { index })?.key_id;
    let not_opened = || Error::ShareNotOpened { index, member };
    let aad = grant_context(grant, index);
    let bytes = open_with(researcher, Purpose::SHARE_FOR_RESEARCHER, &aad, &resealed.sealed)
        .map_err(|_| not_opened())?;
    Share::from_bytes(index, &bytes).ok_or_else(not_opened)?.verify(board, &manifest.plain.checkpoint)
}

/// Seals the registry's key to a researcher for the lease with this digest.
///
/// # Errors
/// [`Error::Unsealable`].
pub fn seal_registry_key(
    key: &RegistryKey,
    researcher: &SealingKey,
    lease: Sha256Digest,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<SealedMessage, Error> {
    seal_to(researcher, Purpose::LEASE, lease.as_bytes(), key.secret().bytes(), rng)
}

/// Opens the registry's key in the lease with this digest.
///
/// # Errors
/// [`Error::NotOpened`].
pub fn open_registry_key(
    sealed: &SealedMessage,
    researcher: &OpeningKey,
    lease: Sha256Digest,
) -> Result<RegistryKey, Error> {
    open_key(researcher, Purpose::LEASE, lease.as_bytes(), sealed)
}

fn open_key(
    key: &OpeningKey,
    purpose: Purpose,
    aad: &[u8],
    sealed: &SealedMessage,
) -> Result<RegistryKey, Error> {
    let bytes = open_with(key, purpose, aad, sealed)?;
    let secret = Secret::from_slice(&bytes).ok_or(Error::NotOpened { purpose: purpose.as_str() })?;
    Ok(RegistryKey::from_secret(secret))
}

/// The HPKE context of a part that is sealed to its holder; the registry has no index.
fn rest_context(checkpoint: &CheckpointId, holder: KeyId, index: Option<ShareIndex>) -> Vec<u8> {
    let index = [index.map_or(0, ShareIndex::number)];
    encode(&[checkpoint.as_str().as_bytes(), holder.to_string().as_bytes(), &index])
}

/// The HPKE context of a share that is sealed to a researcher.
fn grant_context(grant: Sha256Digest, index: ShareIndex) -> Vec<u8> {
    encode(&[grant.as_bytes(), &[index.number()]])
}
