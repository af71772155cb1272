//! Targets of the catalogue: their paths, and the files of a checkpoint.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Sha256Digest, serde_as_text};
use crate::identity::VerifyingKey;
use crate::name::{CheckpointId, Label};
use crate::time::Timestamp;

/// Longest target path, in bytes.
const MAX_PATH_BYTES: usize = 256;

/// A text is not a valid target path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a target path: use folders and a file of a-z, A-Z, 0-9, `.`, `-`, `_`, none beginning with `.`"
)]
pub struct TargetPathError {
    text: String,
}

/// A target path, such as `gpt2-1.5b/policy.toml`; it cannot leave a folder and is safe in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetPath(String);

impl TargetPath {
    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path in a consistent snapshot: the digest precedes the file's name.
    pub(super) fn consistent(&self, digest: Sha256Digest) -> String {
        match self.0.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{digest}.{name}"),
            None => format!("{digest}.{}", self.0),
        }
    }

    /// The path of a key's card.
    pub fn card(key: &VerifyingKey) -> Self {
        Self(format!("cards/{}.json", key.id()))
    }

    /// The path of the list of registrars.
    pub fn organizations() -> Self {
        Self("organizations/registrars.json".to_owned())
    }

    /// The path of the misuse rules.
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

/// A file that a board signs for its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckpointFile {
    /// `policy.toml`: the release rules.
    Policy,
    /// `manifest.json`: the checkpoint's files with their digests.
    Manifest,
    /// `stage.json`: the stage of the policy that is in force.
    Stage,
    /// `agreement.md`: the text that researchers accept.
    Agreement,
}

impl CheckpointFile {
    /// All files.
    pub const ALL: [Self; 4] = [Self::Policy, Self::Manifest, Self::Stage, Self::Agreement];

    /// Returns the file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy.toml",
            Self::Manifest => "manifest.json",
            Self::Stage => "stage.json",
            Self::Agreement => "agreement.md",
        }
    }

    /// Returns the file's path in the catalogue.
    pub fn target_path(self, checkpoint: &CheckpointId) -> TargetPath {
        TargetPath(format!("{checkpoint}/{}", self.name()))
    }
}

/// `stage.json`: a checkpoint's current stage, and the evidence for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTarget {
    /// The version of the format, [`Self::SCHEMA`].
    pub schema: u32,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The stage's name in the policy.
    pub stage: Label,
    /// When the stage came into force.
    pub since: Timestamp,
    /// The payload digests of the evidence statements that the board cites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Sha256Digest>,
}

impl StageTarget {
    /// The version of the format that this program reads and writes.
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
