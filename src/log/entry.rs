//! Entries of the log: digests and public facts. Personal data stay outside the log, which has only their digests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// The version of the entry format.
const SCHEMA: u32 = 1;

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// Catalogue metadata came into force: a root, the owners' targets, or a board's.
    Metadata,
    /// A checkpoint's policy came into force.
    Policy,
    /// A checkpoint entered a stage.
    Stage,
    /// A checkpoint's manifest came into force.
    Manifest,
    /// A checkpoint's agreement came into force.
    Agreement,
    /// The rules of misuse came into force.
    Rules,
    /// A researcher requested access.
    Request,
    /// The researcher withdrew a request.
    Withdrawal,
    /// A board member denied a request.
    Denial,
    /// A board member signed a grant.
    Approval,
    /// A grant has all approvals.
    Grant,
    /// A board member handed a share over to the registry.
    Handover,
    /// A board revoked a grant.
    Revocation,
    /// A registrar confirmed a person's affiliation, with its end, or ended it.
    Affiliation,
    /// The registry issued a lease.
    Lease,
    /// The registry received a batch of usage records.
    Usage,
    /// A researcher declared a usage journal new, or lost.
    Journal,
    /// A case was opened or continued.
    Case,
    /// A board member or an auditor read private data.
    Reading,
    /// Personal data were erased.
    Erasure,
}

impl EntryKind {
    /// All kinds, in the order of their definition.
    pub const ALL: [Self; 20] = [
        Self::Metadata,
        Self::Policy,
        Self::Stage,
        Self::Manifest,
        Self::Agreement,
        Self::Rules,
        Self::Request,
        Self::Withdrawal,
        Self::Denial,
        Self::Approval,
        Self::Grant,
        Self::Handover,
        Self::Revocation,
        Self::Affiliation,
        Self::Lease,
        Self::Usage,
        Self::Journal,
        Self::Case,
        Self::Reading,
        Self::Erasure,
    ];

    /// Returns the kind as the entry's JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Policy => "policy",
            Self::Stage => "stage",
            Self::Manifest => "manifest",
            Self::Agreement => "agreement",
            Self::Rules => "rules",
            Self::Request => "request",
            Self::Withdrawal => "withdrawal",
            Self::Denial => "denial",
            Self::Approval => "approval",
            Self::Grant => "grant",
            Self::Handover => "handover",
            Self::Revocation => "revocation",
            Self::Affiliation => "affiliation",
            Self::Lease => "lease",
            Self::Usage => "usage",
            Self::Journal => "journal",
            Self::Case => "case",
            Self::Reading => "reading",
            Self::Erasure => "erasure",
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EntryKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| Error::Entry { reason: "its kind is unknown".to_owned() })
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    schema: u32,
    /// What the entry records.
    pub kind: EntryKind,
    /// When the registry accepted it.
    pub at: Timestamp,
    /// The checkpoint that it concerns, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointId>,
    /// The SHA-256 of the recorded statement's payload or catalogue file.
    pub statement: Sha256Digest,
    /// The digest of the request, grant or metadata that it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Sha256Digest>,
    /// The id of the signing key, if it is public: a board member's or an auditor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<KeyId>,
}

impl Entry {
    /// An entry without checkpoint, reference and signer.
    pub fn new(kind: EntryKind, at: Timestamp, statement: Sha256Digest) -> Self {
        Self { schema: SCHEMA, kind, at, checkpoint: None, statement, about: None, by: None }
    }

    /// Sets the checkpoint.
    #[must_use]
    pub fn with_checkpoint(mut self, checkpoint: &CheckpointId) -> Self {
        self.checkpoint = Some(checkpoint.clone());
        self
    }

    /// Sets the digest that the entry refers to.
    #[must_use]
    pub fn with_about(mut self, about: Option<Sha256Digest>) -> Self {
        self.about = about;
        self
    }

    /// Sets the signer, whose key must be public.
    #[must_use]
    pub fn with_signer(mut self, by: KeyId) -> Self {
        self.by = Some(by);
        self
    }

    /// Serializes the entry for the log: JSON without spaces, fields in the order of their definition.
    pub fn to_json(&self) -> String {
        // Strings and numbers always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses an entry, which must be exactly as [`Self::to_json`] writes it.
    ///
    /// # Errors
    /// [`Error::Entry`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let entry: Self =
            crate::json::from_slice(bytes).map_err(|error| Error::Entry { reason: error.to_string() })?;
        if entry.schema != SCHEMA {
            return Err(Error::Entry { reason: format!("it has schema {}, not {SCHEMA}", entry.schema) });
        }
        if entry.to_json().as_bytes() != bytes {
            return Err(Error::Entry { reason: "it is not in canonical form".to_owned() });
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_has_one_form_only() {
        let entry =
            Entry::new(EntryKind::Grant, Timestamp::from_unix_seconds(1), Sha256Digest::compute(b"a grant"));
        let text = entry
            .with_checkpoint(&"tiny".parse().unwrap())
            .with_about(Some(Sha256Digest::compute(b"a request")))
            .to_json();
        insta::assert_snapshot!(text, @r#"{"schema":1,"kind":"grant","at":"1970-01-01T00:00:01Z","checkpoint":"tiny","statement":"76459c68e473ae3fb7874f5192e471b5447717dd8b944c9b62d9cb18099c013d","about":"af0bf2a562dabe2a81e0b0b47a33a515b5e8495c72fff218af4c15f3f066fa44"}"#);
        assert_eq!(Entry::parse(text.as_bytes()).unwrap().to_json(), text);
        let refusal = |text: String| Entry::parse(text.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                refusal(text.replace(':', ": ")),
                refusal(text.replace("\"schema\":1", "\"schema\":2")),
                refusal(text.replace("grant", "gift")),
                refusal(text.replace("about", "beside")),
            ]
            .join("\n"), @"
        the entry is malformed: `1970-01-01T00: 00: 01Z` is not a time such as 2026-06-30T00:00:00Z at line 1 column 59
        the entry is malformed: it has schema 2, not 1
        the entry is malformed: unknown variant `gift`, expected one of `metadata`, `policy`, `stage`, `manifest`, `agreement`, `rules`, `request`, `withdrawal`, `denial`, `approval`, `grant`, `handover`, `revocation`, `affiliation`, `lease`, `usage`, `journal`, `case`, `reading`, `erasure` at line 1 column 25
        the entry is malformed: unknown field `beside`, expected one of `schema`, `kind`, `at`, `checkpoint`, `statement`, `about`, `by` at line 1 column 162
        ");
    }

    #[test]
    fn kinds_are_written_as_serde_writes_them() {
        for kind in EntryKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(kind.as_str().parse::<EntryKind>().unwrap(), kind);
        }
    }
}
