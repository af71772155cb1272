//! What is kept of a prompt or an output: its digest, or itself, sealed to each auditor.

use std::collections::BTreeMap;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Error;
use crate::digest::Sha256Digest;
use crate::identity::{Card, KeyId, OpeningKey, SealingKey};
use crate::policy::UsageMode;
use crate::seal::{Purpose, SealedMessage, open_with, seal_to};

/// What texts are sealed for.
const PURPOSE: Purpose = Purpose::new("portcullis/v1/usage-text");
/// Most bytes of a text that are sealed; of a longer one, its beginning.
pub const MAX_TEXT_BYTES: usize = 64 << 10;
/// Most auditors to whom a text is sealed.
const MAX_RECIPIENTS: usize = 4;

/// A prompt or an output, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptText {
    /// The SHA-256 of the whole text.
    pub sha256: Sha256Digest,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// The text, or the first [`MAX_TEXT_BYTES`] of it, sealed to each auditor by the id of their key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sealed: BTreeMap<KeyId, SealedMessage>,
}

/// To whom texts are sealed, and whether they are.
#[derive(Debug, Clone)]
pub struct Recipients {
    mode: UsageMode,
    auditors: Vec<(KeyId, SealingKey)>,
}

impl Recipients {
    /// As a stage says, to these auditors.
    ///
    /// # Errors
    /// [`Error::NoAuditors`] where the stage keeps texts sealed and there is none.
    pub fn new<'a>(mode: UsageMode, auditors: impl IntoIterator<Item = &'a Card>) -> Result<Self, Error> {
        let auditors: Vec<_> = auditors
            .into_iter()
            .take(MAX_RECIPIENTS)
            .map(|card| (card.verifying_key.id(), card.sealing_key))
            .collect();
        if mode == UsageMode::Sealed && auditors.is_empty() {
            return Err(Error::NoAuditors);
        }
        Ok(Self { mode, auditors })
    }

    /// What is kept.
    pub fn mode(&self) -> UsageMode {
        self.mode
    }

    /// What is kept of a text.
    ///
    /// # Errors
    /// [`Error::Seal`].
    pub fn keep(&self, text: &str, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Option<KeptText>, Error> {
        if self.mode == UsageMode::Counts {
            return Ok(None);
        }
        let sha256 = Sha256Digest::compute(text.as_bytes());
        let mut sealed = BTreeMap::new();
        if self.mode == UsageMode::Sealed {
            let mut end = text.len().min(MAX_TEXT_BYTES);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            for (id, key) in &self.auditors {
                let message = seal_to(key, PURPOSE, sha256.as_bytes(), &text.as_bytes()[..end], rng)?;
                sealed.insert(*id, message);
            }
        }
        Ok(Some(KeptText { sha256, bytes: text.len() as u64, sealed }))
    }
}

impl KeptText {
    /// The text, where it was sealed to this auditor.
    ///
    /// # Errors
    /// [`Error::Seal`] where it does not open; [`Error::Batch`] where it is another text than its digest says.
    pub fn open(&self, id: KeyId, key: &OpeningKey) -> Result<Option<Zeroizing<String>>, Error> {
        let Some(sealed) = self.sealed.get(&id) else { return Ok(None) };
        let bytes = open_with(key, PURPOSE, self.sha256.as_bytes(), sealed)?;
        let is_whole = bytes.len() as u64 == self.bytes;
        if is_whole && Sha256Digest::compute(&bytes) != self.sha256 {
            let reason = "a sealed text is another than its digest says".to_owned();
            return Err(Error::Batch { reason });
        }
        Ok(Some(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())))
    }
}
