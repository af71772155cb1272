//! What is kept of a prompt or an output: its digest, or the text sealed to each auditor.

use std::collections::BTreeMap;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Error;
use crate::digest::Sha256Digest;
use crate::identity::{Card, KeyId, OpeningKey, SealingKey};
use crate::policy::UsageMode;
use crate::seal::{Purpose, SealedMessage, open_with, seal_to};

/// The purpose of sealed texts.
const PURPOSE: Purpose = Purpose::new("portcullis/v1/usage-text");
/// Maximum bytes that are sealed; a longer text is truncated.
pub const MAX_TEXT_BYTES: usize = 64 << 10;
/// Maximum auditors to whom a text is sealed.
const MAX_RECIPIENTS: usize = 4;

/// What is kept of a prompt or an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptText {
    /// The SHA-256 of the whole text.
    pub sha256: Sha256Digest,
    /// Length of the whole text in bytes.
    pub bytes: u64,
    /// The text, or its first [`MAX_TEXT_BYTES`], sealed to each auditor by key id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sealed: BTreeMap<KeyId, SealedMessage>,
}

/// The auditors to whom texts are sealed, and the stage's mode.
#[derive(Debug, Clone)]
pub struct Recipients {
    mode: UsageMode,
    auditors: Vec<(KeyId, SealingKey)>,
}

impl Recipients {
    /// The recipients for a stage's mode.
    ///
    /// # Errors
    /// [`Error::NoAuditors`] if the stage keeps texts sealed and there is none.
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

    /// The stage's usage mode.
    pub fn mode(&self) -> UsageMode {
        self.mode
    }

    /// Keeps of a text what the mode says.
    ///
    /// # Errors
    /// [`Error::Seal`].
    pub fn keep(&self, text: &str, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Option<KeptText>, Error> {
        if self.mode == UsageMode::Counts {
            return Ok(None);
        }
        let sha256 = Sha256Digest::of(text.as_bytes());
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
    /// The text, if it was sealed to this auditor.
    ///
    /// # Errors
    /// [`Error::Seal`] if it does not open; [`Error::Batch`] if it is another text than its digest says.
    pub fn open(&self, id: KeyId, key: &OpeningKey) -> Result<Option<Zeroizing<String>>, Error> {
        let Some(sealed) = self.sealed.get(&id) else { return Ok(None) };
        let bytes = open_with(key, PURPOSE, self.sha256.as_bytes(), sealed)?;
        let is_whole = bytes.len() as u64 == self.bytes;
        if is_whole && Sha256Digest::of(&bytes) != self.sha256 {
            let reason = "a sealed text does not match its digest".to_owned();
            return Err(Error::Batch { reason });
        }
        Ok(Some(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())))
    }
}
