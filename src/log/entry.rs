//! What an entry of the log says: digests and what everybody may know. Whatever is personal lies beside the log, under its digest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// The form of entries.
const SCHEMA: u32 = 1;

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// Metadata of the catalogue came into force: a root, the owners' targets, or a board's.
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
    /// Somebody asked.
    Request,
    /// They took it back.
    Withdrawal,
    /// A member denied a request.
    Denial,
    /// A member signed a grant.
    Approval,
    /// A grant has all its approvals.
    Grant,
    /// A member handed a share over to the registry.
    Handover,
    /// A grant was ended.
    Revocation,
    /// A registrar said until when a person belongs to an organization, or that they no longer do.
    Affiliation,
    /// A lease was issued.
    Lease,
    /// A batch of usage records came in.
    Usage,
    /// A person declared a usage journal new, or lost.
    Journal,
    /// A case was opened, or a step was taken in it.
    Case,
    /// Somebody who decides or audits read what is private.
    Reading,
    /// Personal data was erased.
    Erasure,
}

impl EntryKind {
    /// Every kind, in their order.
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

    /// As it is written.
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
        found.ok_or_else(|| Error::Entry { reason: "it is of no kind that is known".to_owned() })
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    schema: u32,
    /// What it records.
    pub kind: EntryKind,
    /// When the registry took it in.
    pub at: Timestamp,
    /// Of which checkpoint, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointId>,
    /// The SHA-256 of what it records: a statement's payload, a file of the catalogue.
    pub statement: Sha256Digest,
    /// The request, the grant or the metadata that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Sha256Digest>,
    /// Who signed it, where that is a member of a board or an auditor, whose keys are public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<KeyId>,
}

impl Entry {
    /// An entry about nothing else, by nobody in particular.
    pub fn new(kind: EntryKind, at: Timestamp, statement: Sha256Digest) -> Self {
        Self { schema: SCHEMA, kind, at, checkpoint: None, statement, about: None, by: None }
    }

    /// The same, of a checkpoint.
    #[must_use]
    pub fn of(mut self, checkpoint: &CheckpointId) -> Self {
        self.checkpoint = Some(checkpoint.clone());
        self
    }

    /// The same, about something.
    #[must_use]
    pub fn about(mut self, about: Option<Sha256Digest>) -> Self {
        self.about = about;
        self
    }

    /// The same, by somebody whose key is public.
    #[must_use]
    pub fn by(mut self, by: KeyId) -> Self {
        self.by = Some(by);
        self
    }

    /// The entry as it stands in the log: JSON without spaces, fields in their order.
    pub fn to_json(&self) -> String {
        // Strings and numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an entry; it has one form only.
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
            Entry::new(EntryKind::Grant, Timestamp::from_unix_seconds(1), Sha256Digest::of(b"a grant"));
        let text = entry.of(&"tiny".parse().unwrap()).about(Some(Sha256Digest::of(b"a request"))).to_json();
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
