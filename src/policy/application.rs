//! What someone asks for, reduced to what a policy looks at.
//!
//! Nothing in here is proof. Whoever calls [`decide`](super::decide) has verified the request's signature, counted the
//! approvals by distinct keys, and had somebody vouch for the organization: a claimed one admits everybody. `confirmed_until` comes from a
//! verified statement of a registrar.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::word::{BoardName, Organization, PersonKey, Use};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// Longest line that is read.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Most lines that are read.
const MAX_LINES: usize = 1_000_000;

/// What someone asks for, and what has come in for it so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The checkpoint that is wanted.
    pub checkpoint: CheckpointId,
    /// Who asks.
    pub person: PersonKey,
    /// Whom they belong to, as somebody other than themselves has confirmed.
    #[serde(default)]
    pub organization: Option<Organization>,
    /// Until when a registrar of the organization confirms that, exclusive; in the past, if that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_until: Option<Timestamp>,
    /// What for.
    pub uses: BTreeSet<Use>,
    /// For how many days.
    pub days: u32,
    /// The digest of the agreement that they signed.
    #[serde(default)]
    pub agreement: Option<Sha256Digest>,
    /// How many people of each board approved, where no more is known of them: they count as people of that board alone.
    #[serde(default)]
    pub approvals: BTreeMap<BoardName, u32>,
    /// Who approved, each with the boards on which they sit; each counts for one of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approvers: BTreeMap<PersonKey, BTreeSet<BoardName>>,
}

/// What the catalogue says outside the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// The digest of the target that the stage names as its agreement.
    pub agreement: Option<Sha256Digest>,
    /// How many members of the checkpoint's own board must sign whatever its policy lets them give, by the catalogue.
    pub board_threshold: Option<u32>,
}

/// Reads one application as JSON from each line that is not blank.
///
/// # Errors
///
/// The first line that is none, by its number.
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
            // A line is a document of its own, so serde counts it as line 1.
            refusal(words.replace("line 1 column", "column").escape_debug().take(400).collect())
        })?;
        applications.push(application);
    }
    Ok(applications)
}
