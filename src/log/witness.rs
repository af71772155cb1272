//! Witnesses: others who saw a head, checked that it continues the last one they saw, and say so (C2SP tlog-cosignature).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::head::NamedKey;
use super::{Error, HeadNote};
use crate::identity::{Signature, Signer, VerifyingKey};
use crate::time::Timestamp;

/// What stands before an Ed25519 key that cosigns.
const COSIGNATURE: u8 = 4;

/// The key of a witness, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey(NamedKey);

impl WitnessKey {
    /// The key of the witness of this name.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, Error> {
        NamedKey::new(name, key, COSIGNATURE).map(Self)
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// When it cosigned a head, if it did.
    fn cosigned(&self, note: &HeadNote) -> Option<Timestamp> {
        note.by(&self.0).find_map(|bytes| {
            let (time, signature) = bytes.split_first_chunk::<8>()?;
            let signature = Signature::from_bytes(<[u8; 64]>::try_from(signature).ok()?);
            let time = u64::from_be_bytes(*time);
            let holds = self.0.key.verifies(&message(time, note), &signature);
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

/// Adds a witness's cosignature to a head, which it must have checked before.
///
/// # Errors
/// [`Error::Name`], what the holder of the key says.
pub fn cosign(note: &mut HeadNote, name: &str, signer: &dyn Signer, now: Timestamp) -> Result<(), Error> {
    let key = NamedKey::new(name, signer.verifying_key(), COSIGNATURE)?;
    let time = u64::try_from(now.unix_seconds()).unwrap_or(0);
    let mut signature = time.to_be_bytes().to_vec();
    signature.extend_from_slice(signer.sign(&message(time, note))?.as_bytes());
    note.put(&key, signature)
}

/// Which witnesses a client asks for, and how many of them must vouch for a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WitnessRule {
    /// Whom it knows.
    pub witnesses: Vec<WitnessKey>,
    /// How many of their distinct keys must have cosigned.
    pub need: usize,
}

/// Who vouched for a head, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness's name.
    pub witness: String,
    /// When it saw the head.
    pub at: Timestamp,
}

impl WitnessRule {
    /// Who vouched for a head; refused where they are too few.
    ///
    /// # Errors
    /// [`Error::TooFewWitnesses`].
    pub fn require(&self, note: &HeadNote) -> Result<Vec<Cosigned>, Error> {
        // One key under two names is one witness.
        let mut found: BTreeMap<VerifyingKey, Cosigned> = BTreeMap::new();
        for witness in &self.witnesses {
            if let Some(at) = witness.cosigned(note) {
                found.entry(witness.0.key).or_insert(Cosigned { witness: witness.name().to_owned(), at });
            }
        }
        if found.len() < self.need {
            return Err(Error::TooFewWitnesses { have: found.len(), need: self.need });
        }
        Ok(found.into_values().collect())
    }
}
