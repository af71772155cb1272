//! Usage records, their signatures and their chain.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::{Error, KeptText};
use crate::access::JournalId;
use crate::digest::Sha256Digest;
use crate::identity::{Signature, Signer, VerifyingKey};
use crate::name::{CheckpointId, Prose};
use crate::policy::{RuleId, UsageMode};
use crate::time::Timestamp;

/// The version of the record format.
const SCHEMA: u32 = 1;
/// The prefix of signed bytes; no other signature of this program has it.
const DOMAIN: &str = "portcullis/v1/usage-record\n";
/// Maximum rules in a record: as many as a catalogue has.
const MAX_HITS: usize = 64;
/// Maximum line in bytes.
pub(super) const MAX_LINE_BYTES: usize = 512 << 10;

/// The purpose of opening weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Generate a text.
    Run,
    /// Score a text.
    Score,
    /// Answer a request to the local endpoint.
    Serve,
    /// Measure speed: the output is discarded, so it does not count.
    Bench,
}

/// Sampling parameters.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// 0 always takes the most likely token.
    pub temperature: f32,
    /// Sample from the `top_k` most likely tokens, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Sample from the most likely tokens with this total probability.
    pub top_p: f32,
    pub seed: u64,
}

/// The beginning of a generation, or its refusal.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    pub task: Task,
    pub checkpoint: CheckpointId,
    pub grant: Sha256Digest,
    pub lease: Sha256Digest,
    pub prompt_tokens: u64,
    /// Maximum tokens to generate.
    pub max_tokens: u64,
    /// Sampling parameters; `None` for scoring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// The prompt, as far as the stage keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<KeptText>,
    /// The prompt's sketch, if the prompt is kept sealed: similar prompts have similar sketches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sketch: Option<String>,
    /// Misuse rules that the prompt met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<RuleId>,
    /// The person's reason to go on after a hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<Prose>,
    /// Whether a rule refused the generation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
}

/// Why a generation ended. The list is closed, because auditors read records that other people's programs wrote.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The maximum number of tokens was reached.
    Length,
    /// The model ended the text.
    EndOfText,
    /// A stop sequence was generated.
    Stop,
    /// The caller cancelled it.
    Cancelled,
    /// A text was scored.
    Scored,
    Failed,
    /// The process ended first.
    Killed,
}

impl Finish {
    /// As written in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::EndOfText => "end_of_text",
            Self::Stop => "stop",
            Self::Cancelled => "cancelled",
            Self::Scored => "scored",
            Self::Failed => "failed",
            Self::Killed => "killed",
        }
    }
}

impl fmt::Display for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<crate::inference::Finish> for Finish {
    fn from(finish: crate::inference::Finish) -> Self {
        use crate::inference::Finish as F;
        match finish {
            F::Length => Self::Length,
            F::EndOfText => Self::EndOfText,
            F::Stop => Self::Stop,
            F::Cancelled => Self::Cancelled,
        }
    }
}

/// The end of a generation.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The record with which it began.
    pub begin: u64,
    /// Generated tokens.
    pub tokens: u64,
    pub finish: Finish,
    /// The output, as far as the stage keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<KeptText>,
    /// Misuse rules that the output met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<RuleId>,
    /// The owner's explanation if the output is lost; shown to auditors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Prose>,
}

/// The event that a record stores.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    Begin(Box<Begin>),
    End(End),
}

impl Event {
    /// The least usage mode that permits the texts in this event.
    pub fn holds(&self) -> UsageMode {
        let (text, has_sketch) = match self {
            Self::Begin(begin) => (begin.prompt.as_ref(), begin.sketch.is_some()),
            Self::End(end) => (end.output.as_ref(), false),
        };
        match text {
            _ if has_sketch => UsageMode::Sealed,
            Some(text) if !text.sealed.is_empty() => UsageMode::Sealed,
            Some(_) => UsageMode::Digest,
            None => UsageMode::Counts,
        }
    }
}

/// A record of a journal.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    schema: u32,
    pub journal: JournalId,
    /// Place from 0.
    pub seq: u64,
    /// The digest of the previous record, or [`first_link`] of the first.
    pub previous: Sha256Digest,
    /// The time, never before the previous record's, whatever the clock says.
    pub at: Timestamp,
    pub event: Event,
}

impl Record {
    /// A record after another one.
    pub fn new(journal: JournalId, place: ChainPosition, at: Timestamp, event: Event) -> Self {
        let ChainPosition { seq, link: previous } = place;
        Self { schema: SCHEMA, journal, seq, previous, at, event }
    }

    fn hits(&self) -> usize {
        match &self.event {
            Event::Begin(begin) => begin.hits.len(),
            Event::End(end) => end.hits.len(),
        }
    }

    /// The signed form: JSON without spaces, fields in their order.
    fn to_json(&self) -> String {
        // Numbers here are finite, and everything else has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Signs the record.
    ///
    /// # Errors
    /// [`Error::Signer`].
    pub fn sign(self, signer: &dyn Signer) -> Result<SignedRecord, Error> {
        let json = self.to_json();
        let signature = signer.sign(format!("{DOMAIN}{json}").as_bytes())?;
        let line = format!("{} {json}", BASE64_STANDARD.encode(signature.as_bytes()));
        Ok(SignedRecord { record: self, line })
    }
}

/// A record as a line: signature, space, JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedRecord {
    record: Record,
    line: String,
}

impl SignedRecord {
    /// Parses a line without verifying its signature; `seq` is its place for errors.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(line: &str, seq: u64) -> Result<Self, Error> {
        let malformed = |reason: String| Error::Malformed { seq, reason };
        if line.len() > MAX_LINE_BYTES {
            return Err(malformed(format!("it is longer than {MAX_LINE_BYTES} bytes")));
        }
        let (_, json) = line.split_once(' ').ok_or_else(|| malformed("it has no signature".to_owned()))?;
        let record: Record = crate::json::from_str(json).map_err(|error| malformed(error.to_string()))?;
        if record.schema != SCHEMA {
            return Err(malformed(format!("it has schema {}, not {SCHEMA}", record.schema)));
        }
        if let Some(count) = Some(record.hits()).filter(|count| *count > MAX_HITS) {
            return Err(malformed(format!("it names {count} rules, and there are at most {MAX_HITS}")));
        }
        if record.to_json() != json {
            return Err(malformed("it is not in canonical form".to_owned()));
        }
        Ok(Self { record, line: line.to_owned() })
    }

    /// The record without its signature.
    pub fn record(&self) -> &Record {
        &self.record
    }

    pub(super) fn into_record(self) -> Record {
        self.record
    }

    /// The line, without a line feed.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The record's digest, which the next record cites.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.json().as_bytes())
    }

    fn json(&self) -> &str {
        self.line.split_once(' ').map_or("", |(_, json)| json)
    }

    /// Refuses a record that `key` did not sign.
    ///
    /// # Errors
    /// [`Error::Unsigned`].
    pub fn require_signed(&self, key: &VerifyingKey) -> Result<(), Error> {
        let signature = self.line.split_once(' ').map(|(signature, _)| signature);
        let signature = signature.and_then(|text| BASE64_STANDARD.decode(text).ok());
        let signature = signature.and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let message = format!("{DOMAIN}{}", self.json());
        let holds = |bytes| key.verifies(message.as_bytes(), &Signature::from_bytes(bytes));
        if signature.is_some_and(holds) { Ok(()) } else { Err(Error::Unsigned { seq: self.record.seq }) }
    }

    /// Refuses a record that does not follow the one with digest `previous`.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn require_follows(&self, journal: JournalId, place: ChainPosition) -> Result<(), Error> {
        let Record { journal: found, seq, previous: link, .. } = self.record;
        if found == journal && place == (ChainPosition { seq, link }) {
            return Ok(());
        }
        Err(Error::Broken { seq: place.seq })
    }
}

/// A position in a journal's chain: the place of a record, and the digest that it must cite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPosition {
    /// The record's place, from 0.
    pub seq: u64,
    /// The digest of the previous record, or [`first_link`].
    pub link: Sha256Digest,
}

impl ChainPosition {
    /// The position of a journal's first record.
    pub fn first(journal: JournalId) -> Self {
        Self { seq: 0, link: first_link(journal) }
    }

    /// The position after a record at this one with digest `record`.
    #[must_use]
    pub fn after(self, record: Sha256Digest) -> Self {
        Self { seq: self.seq + 1, link: record }
    }
}

/// The link that the first record of a journal cites.
pub fn first_link(journal: JournalId) -> Sha256Digest {
    Sha256Digest::of(format!("portcullis/v1/usage-journal {journal}").as_bytes())
}

/// Verifies that `key` signed the records and that they form a chain from `next` on; returns the next position.
///
/// # Errors
/// [`Error::Broken`], [`Error::Unsigned`], each with the place.
pub fn verify_chain(
    records: &[SignedRecord],
    journal: JournalId,
    mut next: ChainPosition,
    key: &VerifyingKey,
) -> Result<ChainPosition, Error> {
    for record in records {
        record.require_follows(journal, next)?;
        record.require_signed(key)?;
        next = next.after(record.digest());
    }
    Ok(next)
}
