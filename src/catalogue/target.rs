//! What the catalogue holds: paths of targets, and the files of a checkpoint.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Sha256Digest, serde_as_text};
use crate::identity::VerifyingKey;
use crate::name::{CheckpointId, Label};
use crate::time::Timestamp;

/// Longest path of a target.
const MAX_PATH_BYTES: usize = 256;

/// A text is no path of a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a target's path: use folders and a file of a-z, A-Z, 0-9, `.`, `-`, `_`, none beginning with `.`"
)]
pub struct TargetPathError {
    text: String,
}

/// A target's path, such as `gpt2-1.5b/policy.toml`; safe below a folder and in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetPath(String);

impl TargetPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path under which a consistent snapshot keeps these bytes: the digest before the file's name.
    pub(super) fn consistent(&self, digest: Sha256Digest) -> String {
        match self.0.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{digest}.{name}"),
            None => format!("{digest}.{}", self.0),
        }
    }

    /// Where the card of a key lies.
    pub fn card(key: &VerifyingKey) -> Self {
        Self(format!("cards/{}.json", key.id()))
    }

    /// Where the registrars of organizations are named.
    pub fn organizations() -> Self {
        Self("organizations/registrars.json".to_owned())
    }

    /// Where the rules lie by which misuse is found.
    pub fn misuse_rules() -> Self {
        Self("misuse/rules.toml".to_owned())
    }
}

impl FromStr for TargetPath {
    type Err = TargetPathError;

    fn from_str(text: &str) -> Result<Self, TargetPathError> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
        let good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
        if text.len() <= MAX_PATH_BYTES && text.split('/').all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TargetPathError { text: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(TargetPath);

/// The files that a board keeps for its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckpointFile {
    /// `policy.toml`: who may have it, on which terms.
    Policy,
    /// `manifest.json`: its files and their digests.
    Manifest,
    /// `stage.json`: which stage of the policy is in force.
    Stage,
    /// `agreement.md`: what a researcher agrees to.
    Agreement,
}

impl CheckpointFile {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Policy, Self::Manifest, Self::Stage, Self::Agreement];

    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy.toml",
            Self::Manifest => "manifest.json",
            Self::Stage => "stage.json",
            Self::Agreement => "agreement.md",
        }
    }

    /// Its path in the catalogue.
    pub fn of(self, checkpoint: &CheckpointId) -> TargetPath {
        TargetPath(format!("{checkpoint}/{}", self.name()))
    }
}

/// `stage.json`: the stage that a checkpoint is in, and the evidence that its board cites for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTarget {
    /// Version of this form; 1.
    pub schema: u32,
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// The stage's name in the policy.
    pub stage: Label,
    /// Since when it is in force.
    pub since: Timestamp,
    /// The statements of evidence that the board cites, by the digests of their payloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Sha256Digest>,
}

impl StageTarget {
    /// The version of the form that this program writes and reads.
    pub const SCHEMA: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_folder() {
        for good in ["gpt2-1.5b/policy.toml", "a", "cards/x.json"] {
            assert_eq!(good.parse::<TargetPath>().unwrap().as_str(), good);
        }
        for bad in
            ["", "/a", "a/", "a//b", "../a", "a/..", "a/.b", "a\\b", "a b", "é", "a%2fb", &"a".repeat(257)]
        {
            assert!(bad.parse::<TargetPath>().is_err(), "{bad}");
        }
    }
}
