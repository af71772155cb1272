//! A usage record, how it is signed, and how records follow one another.

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

/// The form of records.
const SCHEMA: u32 = 1;
/// What a signature is over, before the record: no other signature of this program begins so.
const DOMAIN: &str = "portcullis/v1/usage-record\n";
/// Most rules that a record names: as many as a catalogue has.
const MAX_HITS: usize = 64;
/// Longest line, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 512 << 10;

/// What weights are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// To write a text.
    Run,
    /// To score one.
    Score,
    /// To answer a request of the local endpoint.
    Serve,
    /// To measure how fast it is: what is written is thrown away, so it counts for nothing.
    Bench,
}

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// 0 always takes the likeliest.
    pub temperature: f32,
    /// Only so many of the likeliest, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Only the likeliest that have this probability together.
    pub top_p: f32,
    /// The seed.
    pub seed: u64,
}

/// A generation is about to start, or was kept from starting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// What for.
    pub task: Task,
    /// With which checkpoint.
    pub checkpoint: CheckpointId,
    /// Under which grant.
    pub grant: Sha256Digest,
    /// Under which lease.
    pub lease: Sha256Digest,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Most tokens that it may generate.
    pub max_tokens: u64,
    /// How tokens are chosen; nothing for a score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// The prompt, as far as the stage keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<KeptText>,
    /// What the prompt looks like, where it is kept sealed: nearly equal prompts have nearly equal sketches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sketch: Option<String>,
    /// The rules of misuse that the prompt met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<RuleId>,
    /// Why the person goes on all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<Prose>,
    /// Whether a rule kept it from starting.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
}

/// Why a generation ended. There are no others: auditors read it, and another person's program wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// As much was written as may be.
    Length,
    /// The model ended it.
    EndOfText,
    /// A text came at which it was to stop.
    Stop,
    /// The caller gave up.
    Cancelled,
    /// A text was scored.
    Scored,
    /// It failed.
    Failed,
    /// Its process ended before it did.
    Killed,
}

impl Finish {
    /// As it is written.
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

/// A generation ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The record with which it began.
    pub begin: u64,
    /// Tokens that it generated.
    pub tokens: u64,
    /// Why it ended.
    pub finish: Finish,
    /// The output, as far as the stage keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<KeptText>,
    /// The rules of misuse that the output met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<RuleId>,
    /// Why nothing is known of what it wrote, in the words of its owner: the auditors read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Prose>,
}

/// What a record records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The beginning.
    Begin(Box<Begin>),
    /// The end.
    End(End),
}

impl Event {
    /// What a stage must keep for the texts that it holds; of numbers alone, every stage does.
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

/// One record of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    schema: u32,
    /// Of which journal.
    pub journal: JournalId,
    /// Its place, from 0.
    pub seq: u64,
    /// The digest of the record before it; of the first, [`first_link`].
    pub previous: Sha256Digest,
    /// When; never before the record before it, whatever the clock says.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

impl Record {
    /// A record that follows another.
    pub fn new(
        journal: JournalId,
        (seq, previous): (u64, Sha256Digest),
        at: Timestamp,
        event: Event,
    ) -> Self {
        Self { schema: SCHEMA, journal, seq, previous, at, event }
    }

    fn hits(&self) -> usize {
        match &self.event {
            Event::Begin(begin) => begin.hits.len(),
            Event::End(end) => end.hits.len(),
        }
    }

    /// The record as it is signed: JSON without spaces, fields in their order.
    fn to_json(&self) -> String {
        // Numbers here are finite, and everything else has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Signs it.
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

/// A record in its line: the signature, a space, the record.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedRecord {
    record: Record,
    line: String,
}

impl SignedRecord {
    /// Reads a line, whose signature is not checked; `seq` is its place for a refusal.
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
            return Err(malformed("it is not written in the one form".to_owned()));
        }
        Ok(Self { record, line: line.to_owned() })
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The record alone.
    pub(super) fn into_record(self) -> Record {
        self.record
    }

    /// Its line, without an end.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The digest of the record, by which the next one cites it.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::compute(self.json().as_bytes())
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
        let holds = |bytes| key.has_signed(message.as_bytes(), &Signature::from_bytes(bytes));
        if signature.is_some_and(holds) { Ok(()) } else { Err(Error::Unsigned { seq: self.record.seq }) }
    }

    /// Refuses a record that does not come right behind the one with digest `previous`.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn require_follows(
        &self,
        journal: JournalId,
        (seq, previous): (u64, Sha256Digest),
    ) -> Result<(), Error> {
        let Record { journal: found, seq: place, previous: before, .. } = &self.record;
        if (*found, *place, *before) == (journal, seq, previous) {
            return Ok(());
        }
        Err(Error::Broken { seq })
    }
}

/// What the first record of a journal cites in place of one before it.
pub fn first_link(journal: JournalId) -> Sha256Digest {
    Sha256Digest::compute(format!("portcullis/v1/usage-journal {journal}").as_bytes())
}

/// Checks that records follow one another from `next` on and that `key` signed each; what the one after them must be.
///
/// # Errors
/// [`Error::Broken`], [`Error::Unsigned`], each with the place.
pub fn verify_chain(
    records: &[SignedRecord],
    journal: JournalId,
    mut next: (u64, Sha256Digest),
    key: &VerifyingKey,
) -> Result<(u64, Sha256Digest), Error> {
    for record in records {
        record.require_follows(journal, next)?;
        record.require_signed(key)?;
        next = (next.0 + 1, record.digest());
    }
    Ok(next)
}
