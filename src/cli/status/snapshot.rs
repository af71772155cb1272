//! What `status` saw last, for use while the registry does not answer. It is shown with its age, and nothing is decided by it.

use std::fs;

use serde::{Deserialize, Serialize};

use super::overview::OwnRequest;
use super::tasks::Task;
use crate::cli::home::{Home, write_secret};
use crate::identity::KeyId;
use crate::time::Timestamp;

/// What the registry answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) registry: String,
    pub(super) person: KeyId,
    pub(super) at: Timestamp,
    pub(super) requests: Vec<OwnRequest>,
    pub(super) waiting: Vec<Task>,
}

impl Snapshot {
    /// What this person saw last of a registry.
    pub(super) fn load(home: &Home, registry: &str, person: KeyId) -> Option<Self> {
        let seen: Self = crate::json::from_slice(&fs::read(home.seen_path()).ok()?).ok()?;
        (seen.registry == registry && seen.person == person).then_some(seen)
    }

    /// Keeps it, if it can be kept.
    pub(super) fn save(&self, home: &Home) {
        if let Ok(bytes) = serde_json::to_vec(self) {
            // If it cannot be kept, less is known offline.
            let _ = write_secret(&home.seen_path(), &bytes);
        }
    }
}
