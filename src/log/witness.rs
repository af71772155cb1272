//! Witnesses cosign heads that continue the last head that they saw (C2SP tlog-cosignature).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::head::NamedKey;
use super::{Error, HeadNote};
use crate::identity::{Signature, Signer, VerifyingKey};
use crate::time::Timestamp;

/// The signature type of a cosignature.
const COSIGNATURE: u8 = 4;

/// The key of a witness with the witness's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey(NamedKey);

impl WitnessKey {
    /// A key under the witness's name.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, Error> {
        NamedKey::new(name, key, COSIGNATURE).map(Self)
    }

    /// Returns the witness's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns when the witness cosigned the head, if its cosignature is valid.
    fn cosigned(&self, note: &HeadNote) -> Option<Timestamp> {
        note.signatures_by(&self.0).find_map(|bytes| {
            let (time, signature) = bytes.split_first_chunk::<8>()?;
            let signature = Signature::from_bytes(<[u8; 64]>::try_from(signature).ok()?);
            let time = u64::from_be_bytes(*time);
            let holds = self.0.key.has_signed(&message(time, note), &signature);
            holds.then(|| i64::try_from(time).ok().map(Timestamp::from_unix_seconds)).flatten()
        })
    }
}

impl FromStr for WitnessKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        NamedKey::parse(text, COSIGNATURE).map(Self)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn message(time: u64, note: &HeadNote) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{}", note.text()).into_bytes()
}

/// Adds a witness's cosignature to a head, which the caller must have verified.
///
/// # Errors
/// [`Error::Name`], [`Error::Signer`].
pub fn cosign(note: &mut HeadNote, name: &str, signer: &dyn Signer, now: Timestamp) -> Result<(), Error> {
    let key = NamedKey::new(name, signer.verifying_key(), COSIGNATURE)?;
    let time = u64::try_from(now.unix_seconds()).unwrap_or(0);
    let mut signature = time.to_be_bytes().to_vec();
    signature.extend_from_slice(signer.sign(&message(time, note))?.as_bytes());
    note.put_signature(&key, signature)
}

/// The witnesses that a client knows, and how many of them must cosign a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WitnessRule {
    /// The known witnesses.
    pub witnesses: Vec<WitnessKey>,
    /// How many of their distinct keys must cosign.
    pub need: usize,
}

/// A valid cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// The witness's name.
    pub witness: String,
    /// When the witness saw the head.
    pub at: Timestamp,
}

impl WitnessRule {
    /// Returns the valid cosignatures of a head and requires enough of them.
    ///
    /// # Errors
    /// [`Error::TooFewWitnesses`].
    pub fn require(&self, note: &HeadNote) -> Result<Vec<Cosignature>, Error> {
        // One key with two names counts once.
        let mut found: BTreeMap<VerifyingKey, Cosignature> = BTreeMap::new();
        for witness in &self.witnesses {
            if let Some(at) = witness.cosigned(note) {
                found.entry(witness.0.key).or_insert(Cosignature { witness: witness.name().to_owned(), at });
            }
        }
        if found.len() < self.need {
            return Err(Error::TooFewWitnesses { have: found.len(), need: self.need });
        }
        Ok(found.into_values().collect())
    }
}
