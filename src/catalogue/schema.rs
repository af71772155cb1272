//! The four roles of TUF metadata, as JSON (TUF 1.0, section 4).
//!
//! Unknown fields are passed over here; signatures are over what was received, so nothing is lost by that (`document`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::target::TargetPath;
use super::{Error, RoleName, pattern};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;

/// Most roles that a catalogue delegates to, as other clients have it.
pub(super) const MAX_DELEGATIONS: usize = 32;

/// Longest accepted root.
pub const MAX_ROOT_BYTES: u64 = 512_000;

/// One kind of metadata.
pub trait Role: Serialize + for<'a> Deserialize<'a> {
    /// Its `_type`.
    const TYPE: &'static str;
    /// Longest accepted file, as other clients have it.
    const MAX_BYTES: u64;

    /// What the form demands beyond its fields.
    ///
    /// # Errors
    /// [`Error::Malformed`], naming `file`.
    fn check(&self, file: &str) -> Result<(), Error> {
        let _ = file;
        Ok(())
    }
}

/// A public key. Only Ed25519 keys count; others are kept and passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    keytype: String,
    scheme: String,
    keyval: Value,
}

impl Key {
    /// The TUF form of an Ed25519 key.
    pub fn new(key: VerifyingKey) -> Self {
        let ed25519 = "ed25519".to_owned();
        Self { keytype: ed25519.clone(), scheme: ed25519, keyval: json!({"public": key.to_string()}) }
    }

    /// The key, where it is a usable Ed25519 key.
    pub fn verifying_key(&self) -> Option<VerifyingKey> {
        if self.keytype != "ed25519" || self.scheme != "ed25519" {
            return None;
        }
        self.keyval.get("public")?.as_str()?.parse().ok()
    }
}

/// Which keys sign for a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Ids of keys; whatever texts the metadata uses.
    pub keyids: Vec<String>,
    /// How many distinct keys must sign.
    pub threshold: u32,
}

impl RoleKeys {
    /// `threshold` of these keys.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>, threshold: u32) -> Self {
        Self { keyids: keys.into_iter().map(|key| key.id().to_string()).collect(), threshold }
    }
}

/// `root`: which keys sign for the top-level roles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootRole {
    /// Whether files are kept under their versions and digests.
    pub consistent_snapshot: bool,
    /// Keys by id.
    pub keys: BTreeMap<String, Key>,
    /// The roles' keys.
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
        Err(Error::malformed(file, "it is not for consistent snapshots, which this program demands"))
    }
}

/// What one metadata file says of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Its version.
    pub version: u64,
    /// Its length in bytes, where it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests, where they are pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
}

/// Digests of a file; SHA-256 is the one that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: Sha256Digest,
}

impl FileMeta {
    /// The version, length and digest of these bytes.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        let hashes = Some(Hashes { sha256: Sha256Digest::of(bytes) });
        Self { version, length: Some(bytes.len() as u64), hashes }
    }
}

/// `timestamp`: which snapshot is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampRole {
    /// The snapshot, and nothing else.
    pub meta: SnapshotOnly,
}

/// The one entry of a timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOnly {
    /// What the snapshot is.
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
    /// Files by name, such as `targets.json`.
    pub meta: BTreeMap<String, FileMeta>,
}

impl Role for SnapshotRole {
    const TYPE: &'static str = "snapshot";
    const MAX_BYTES: u64 = 2_000_000;
}

/// `targets`, and every role that it delegates to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetsRole {
    /// Files by path.
    pub targets: BTreeMap<TargetPath, TargetFile>,
    /// Who else speaks, and for which paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// A file that the catalogue vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
}

impl TargetFile {
    /// What the catalogue says of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, hashes: Hashes { sha256: Sha256Digest::of(bytes) } }
    }
}

/// Keys and roles that a role delegates to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Delegations {
    /// Keys by id.
    pub keys: BTreeMap<String, Key>,
    /// Roles, the first with the most say.
    pub roles: Vec<Delegation>,
}

/// One delegated role: of this program's making, a checkpoint's board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// The role's name.
    pub name: RoleName,
    /// Who signs.
    #[serde(flatten)]
    pub signers: RoleKeys,
    /// Patterns of the paths that it speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Or: prefixes of the SHA-256 of those paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Whether nobody after it speaks for these paths.
    pub terminating: bool,
}

impl Delegation {
    /// Whether the role may speak for `path`.
    pub fn covers(&self, path: &str) -> bool {
        let digest = || Sha256Digest::of(path.as_bytes()).to_string();
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
                let reason =
                    format!("it delegates to a role called {}, which is a role of TUF's own", role.name);
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

/// Whether this is the name of one of TUF's own roles, which no checkpoint can have.
pub(super) fn is_top_level(name: &str) -> bool {
    matches!(name, "root" | "timestamp" | "snapshot" | "targets")
}
