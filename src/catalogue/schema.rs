//! The four roles of TUF metadata, as JSON (TUF 1.0, section 4).
//!
//! Unknown fields are ignored here. Signatures cover the received bytes (`document`), so that is safe.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::target::TargetPath;
use super::{Error, RoleName, pattern};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;

/// Maximum number of delegated roles, as in other TUF clients.
pub(super) const MAX_DELEGATIONS: usize = 32;

/// Longest accepted root, in bytes.
pub const MAX_ROOT_BYTES: u64 = 512_000;

/// A kind of metadata.
pub trait Role: Serialize + for<'a> Deserialize<'a> {
    /// The value of `_type`.
    const TYPE: &'static str;
    /// Longest accepted file in bytes, as in other TUF clients.
    const MAX_BYTES: u64;

    /// Checks constraints beyond the types of the fields.
    ///
    /// # Errors
    /// [`Error::Malformed`], which names `file`.
    fn check(&self, file: &str) -> Result<(), Error> {
        let _ = file;
        Ok(())
    }
}

/// A public key. Keys of other types than Ed25519 are kept but never verify a signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    keytype: String,
    scheme: String,
    keyval: Value,
}

impl Key {
    /// Converts an Ed25519 key.
    pub fn new(key: VerifyingKey) -> Self {
        let ed25519 = "ed25519".to_owned();
        Self { keytype: ed25519.clone(), scheme: ed25519, keyval: json!({"public": key.to_string()}) }
    }

    /// Returns the key if it is a usable Ed25519 key.
    pub fn verifying_key(&self) -> Option<VerifyingKey> {
        if self.keytype != "ed25519" || self.scheme != "ed25519" {
            return None;
        }
        self.keyval.get("public")?.as_str()?.parse().ok()
    }
}

/// The keys of a role and its threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Key ids, as the metadata defines them.
    pub keyids: Vec<String>,
    /// How many distinct keys must sign.
    pub threshold: u32,
}

impl RoleKeys {
    /// `threshold` of `keys`.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>, threshold: u32) -> Self {
        Self { keyids: keys.into_iter().map(|key| key.id().to_string()).collect(), threshold }
    }
}

/// `root`: the keys of the top-level roles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootRole {
    /// Whether file names include versions and digests; must be true.
    pub consistent_snapshot: bool,
    /// Keys by id.
    pub keys: BTreeMap<String, Key>,
    /// The keys of each role.
    pub roles: TopLevel,
}

/// The keys of the four top-level roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopLevel {
    /// Of `root`.
    pub root: RoleKeys,
    /// Of `timestamp`.
    pub timestamp: RoleKeys,
    /// Of `snapshot`.
    pub snapshot: RoleKeys,
    /// Of `targets`.
    pub targets: RoleKeys,
}

impl Role for RootRole {
    const TYPE: &'static str = "root";
    const MAX_BYTES: u64 = MAX_ROOT_BYTES;

    fn check(&self, file: &str) -> Result<(), Error> {
        if self.consistent_snapshot {
            return Ok(());
        }
        Err(Error::malformed(file, "it does not use consistent snapshots, which are required"))
    }
}

/// A reference from one metadata file to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// The file's version.
    pub version: u64,
    /// The length in bytes, if it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// The digests, if they are pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
}

/// Digests of a file; only SHA-256 is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: Sha256Digest,
}

impl FileMeta {
    /// Refers to these bytes, with length and digest.
    pub fn new(version: u64, bytes: &[u8]) -> Self {
        let hashes = Some(Hashes { sha256: Sha256Digest::compute(bytes) });
        Self { version, length: Some(bytes.len() as u64), hashes }
    }
}

/// `timestamp`: names the newest snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampRole {
    /// The snapshot, the only entry.
    pub meta: SnapshotOnly,
}

/// The only entry of a timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOnly {
    /// The newest snapshot.
    #[serde(rename = "snapshot.json")]
    pub snapshot: FileMeta,
}

impl Role for TimestampRole {
    const TYPE: &'static str = "timestamp";
    const MAX_BYTES: u64 = 16_384;
}

/// `snapshot`: the versions of all targets metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRole {
    /// References by file name, such as `targets.json`.
    pub meta: BTreeMap<String, FileMeta>,
}

impl Role for SnapshotRole {
    const TYPE: &'static str = "snapshot";
    const MAX_BYTES: u64 = 2_000_000;
}

/// `targets`, and every role that it delegates to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetsRole {
    /// Target files by path.
    pub targets: BTreeMap<TargetPath, TargetFile>,
    /// Delegations to other roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// A reference to a target file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// The length in bytes.
    pub length: u64,
    /// The digests.
    pub hashes: Hashes,
}

impl TargetFile {
    /// Refers to these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, hashes: Hashes { sha256: Sha256Digest::compute(bytes) } }
    }
}

/// The roles that a role delegates to, and their keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Delegations {
    /// Keys by id.
    pub keys: BTreeMap<String, Key>,
    /// Roles in order of priority.
    pub roles: Vec<Delegation>,
}

/// A delegated role: in catalogues that this program makes, a checkpoint's board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// The role's name.
    pub name: RoleName,
    /// The keys and the threshold.
    #[serde(flatten)]
    pub signers: RoleKeys,
    /// Patterns of the paths that it is responsible for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Alternatively, hexadecimal prefixes of the SHA-256 of those paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Whether later roles are not consulted for these paths.
    pub terminating: bool,
}

impl Delegation {
    /// Whether the role is responsible for `path`.
    pub fn covers(&self, path: &str) -> bool {
        let digest = || Sha256Digest::compute(path.as_bytes()).to_string();
        self.paths.iter().flatten().any(|pattern| pattern::matches(pattern, path))
            || self.path_hash_prefixes.iter().flatten().any(|prefix| digest().starts_with(prefix.as_str()))
    }
}

impl Role for TargetsRole {
    const TYPE: &'static str = "targets";
    const MAX_BYTES: u64 = 5_000_000;

    fn check(&self, file: &str) -> Result<(), Error> {
        let roles = self.delegations.iter().flat_map(|delegations| &delegations.roles);
        if roles.clone().count() > MAX_DELEGATIONS {
            return Err(Error::malformed(file, format!("it delegates to more than {MAX_DELEGATIONS} roles")));
        }
        for role in roles {
            if is_top_level(role.name.as_str()) {
                let reason = format!(
                    "it delegates to a role called {}, which is the name of a top-level role",
                    role.name
                );
                return Err(Error::malformed(file, reason));
            }
            if role.paths.is_some() == role.path_hash_prefixes.is_some() {
                let reason = format!("role {} must have either paths or path_hash_prefixes", role.name);
                return Err(Error::malformed(file, reason));
            }
        }
        Ok(())
    }
}

/// Whether this is the name of a top-level role, which checkpoints may not have.
pub(super) fn is_top_level(name: &str) -> bool {
    matches!(name, "root" | "timestamp" | "snapshot" | "targets")
}
