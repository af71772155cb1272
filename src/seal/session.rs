//! The keys of a sealing in progress, stored so that an interrupted one can resume.
//!
//! The file `session` has the two keys and all shares, HPKE-sealed to the identity of the person who seals, never in plaintext. It is
//! bound to the plain manifest, the chunk size and the recipients: with other files or recipients it does not open, and new keys are
//! generated. It is removed before the sealed folder appears. A thief also needs the sealer's identity; deleting it costs a restart.

use std::fs::{self, File};
use std::io::Write as _;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::chunk::ChunkSize;
use super::encoding::encode;
use super::hpke::{Purpose, SealedMessage, open_with, seal_to};
use super::key::Secret;
use super::share::{Share, ShareIndex, split};
use super::staging::{Staging, read_bounded, sync_folder};
use super::{BoardKey, Error, Recipients, RegistryKey};
use crate::checkpoint::manifest::Manifest;
use crate::digest::Sha256Digest;
use crate::identity::OpeningKey;

/// Longest accepted session file, in bytes; with a board of 255 it has 11 kB.
const MAX_BYTES: u64 = 64 << 10;

/// The secrets that a resumed sealing needs.
pub(super) struct Session {
    pub(super) board_key: BoardKey,
    pub(super) registry_key: RegistryKey,
    pub(super) shares: Vec<Share>,
}

/// The HPKE context of a session.
pub(super) fn context(
    plain: &Manifest,
    chunk_size: ChunkSize,
    recipients: &Recipients,
) -> Result<Vec<u8>, Error> {
    let json = plain.to_json().map_err(|source| Error::Encode { source })?;
    let manifest = Sha256Digest::compute(json.as_bytes());
    let mut parts: Vec<Vec<u8>> = vec![
        manifest.as_bytes().to_vec(),
        chunk_size.bytes().to_be_bytes().to_vec(),
        vec![recipients.threshold()],
    ];
    for holder in recipients.board().iter().chain([recipients.registry()]) {
        parts.push(holder.key_id.to_string().into_bytes());
        parts.push(holder.sealing_key.as_bytes().to_vec());
    }
    Ok(encode(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

impl Session {
    /// Generates keys and stores them before anything is encrypted under them.
    pub(super) fn create(
        staging: &Staging,
        recipients: &Recipients,
        sealer: &OpeningKey,
        context: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, Error> {
        let board_key = BoardKey::random(rng);
        let registry_key = RegistryKey::random(rng);
        // `Recipients` has at most 255 members.
        let members = u8::try_from(recipients.board().len()).unwrap_or(u8::MAX);
        let shares = split(&board_key, recipients.threshold(), members, rng);
        let mut plain = Zeroizing::new(Vec::with_capacity(64 + 32 * shares.len()));
        plain.extend_from_slice(board_key.secret().bytes());
        plain.extend_from_slice(registry_key.secret().bytes());
        for share in &shares {
            plain.extend_from_slice(share.bytes());
        }
        let sealed = seal_to(&sealer.sealing_key(), Purpose::SESSION, context, &plain, rng)?;
        let json = serde_json::to_vec(&sealed).map_err(|source| Error::Encode { source })?;
        let path = staging.session();
        let new = path.with_extension("new");
        File::create(&new)
            .and_then(|mut file| file.write_all(&json).and_then(|()| file.sync_all()))
            .map_err(Error::io("write", &new))?;
        fs::rename(&new, &path).map_err(Error::io("write", &path))?;
        path.parent().map_or(Ok(()), sync_folder)?;
        Ok(Self { board_key, registry_key, shares })
    }

    /// Reads the session of an earlier run for the same files, recipients and sealer, if there is one.
    pub(super) fn resume(
        staging: &Staging,
        recipients: &Recipients,
        sealer: &OpeningKey,
        context: &[u8],
    ) -> Result<Option<Self>, Error> {
        let Some(json) = read_bounded(&staging.session(), MAX_BYTES)? else {
            return Ok(None);
        };
        let Ok(sealed) = crate::json::from_slice::<SealedMessage>(&json) else {
            return Ok(None);
        };
        let opened = open_with(sealer, Purpose::SESSION, context, &sealed).ok();
        Ok(opened.and_then(|plain| Self::from_bytes(&plain, recipients.board().len())))
    }

    fn from_bytes(plain: &[u8], members: usize) -> Option<Self> {
        if plain.len() != 64 + 32 * members {
            return None;
        }
        let board_key = BoardKey::from_secret(Secret::from_slice(&plain[..32])?);
        let registry_key = RegistryKey::from_secret(Secret::from_slice(&plain[32..64])?);
        let shares = plain[64..].chunks_exact(32).enumerate();
        let shares = shares.map(|(i, bytes)| Share::from_bytes(ShareIndex::from_position(i)?, bytes));
        Some(Self { board_key, registry_key, shares: shares.collect::<Option<_>>()? })
    }
}
