//! A request, reduced to what a policy looks at.
//!
//! Nothing here is proof. The caller of [`decide`](super::decide) has verified the request's signature, counted the approvals by distinct
//! keys, and confirmed the organization; `confirmed_until` comes from a registrar's verified statement.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::word::{BoardName, Organization, PersonKey, Use};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// Maximum length of a line.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Maximum number of lines.
const MAX_LINES: usize = 1_000_000;

/// A request and the approvals that it has so far.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    pub checkpoint: CheckpointId,
    /// The person's key.
    pub person: PersonKey,
    /// The person's organization, confirmed by another person.
    #[serde(default)]
    pub organization: Option<Organization>,
    /// End of the registrar's confirmation, exclusive; in the past if it has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_until: Option<Timestamp>,
    /// The requested uses.
    pub uses: BTreeSet<Use>,
    /// Requested duration in days.
    pub days: u32,
    /// The digest of the signed agreement.
    #[serde(default)]
    pub agreement: Option<Sha256Digest>,
    /// Approvals by board if the approvers' keys are unknown: each counts for that board only.
    #[serde(default)]
    pub approvals: BTreeMap<BoardName, u32>,
    /// Approvers by key, with the boards on which each sits; each counts for one of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approvers: BTreeMap<PersonKey, BTreeSet<BoardName>>,
}

/// What the catalogue states beside the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// The digest of the stage's agreement.
    pub agreement: Option<Sha256Digest>,
    /// The catalogue's threshold of the checkpoint's own board.
    pub board_threshold: Option<u32>,
}

/// Reads one application as JSON from each line that is not blank.
///
/// # Errors
///
/// The first malformed line, by its number.
pub fn read_applications(text: &str) -> Result<Vec<Application>, Error> {
    let mut applications = Vec::new();
    for (line, json) in (1..).zip(text.lines()) {
        if json.trim().is_empty() {
            continue;
        }
        if applications.len() == MAX_LINES {
            return Err(Error::TooManyApplications { max: MAX_LINES });
        }
        let refusal = |message: String| Error::Application { line, message };
        if json.len() > MAX_LINE_BYTES {
            return Err(refusal(format!("{} bytes exceed the limit of {MAX_LINE_BYTES}", json.len())));
        }
        let application = crate::json::from_str(json).map_err(|error| {
            let words = error.to_string();
            // Each line is a document of its own, so serde counts it as line 1.
            refusal(words.replace("line 1 column", "column").escape_debug().take(400).collect())
        })?;
        applications.push(application);
    }
    Ok(applications)
}
