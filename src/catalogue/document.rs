//! A signed metadata file, `{"signed": …, "signatures": […]}`, and the keys that verify it.
//!
//! Signatures cover the canonical form of the received JSON with its unknown fields, never a struct that was serialized again. Key ids are
//! arbitrary texts that refer to keys; only keys are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema::{Delegation, Key, Role, RoleKeys, RootRole, TargetsRole};
use super::{Error, canonical_json};
use crate::digest::Sha256Digest;
use crate::identity::{self, Signature, Signer, VerifyingKey};
use crate::statement::{CatalogueId, Quorum, QuorumError};
use crate::time::Timestamp;

/// Maximum number of signatures in a file.
const MAX_SIGNATURES: usize = 256;
/// The version of TUF in metadata that this program writes.
const SPEC_VERSION: &str = "1.0.31";

#[derive(Deserialize)]
struct Wire {
    signed: Value,
    signatures: Vec<WireSignature>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct WireSignature {
    keyid: String,
    sig: String,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "_type")]
    kind: String,
    spec_version: String,
    version: u64,
    expires: Timestamp,
    /// An extra field, which other clients ignore (TUF 1.0, 4.2).
    #[serde(rename = "x-portcullis-catalogue")]
    catalogue: Option<CatalogueId>,
}

/// A well-formed metadata file, its signatures unverified.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<T> {
    file: String,
    version: u64,
    expires: Timestamp,
    catalogue: Option<CatalogueId>,
    role: T,
    signed: Value,
    message: Vec<u8>,
    signatures: Vec<WireSignature>,
    bytes: Vec<u8>,
}

impl<T: Role> Document<T> {
    /// Parses metadata; error messages call it `file`.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Malformed`].
    pub fn parse(file: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.len() as u64 > T::MAX_BYTES {
            return Err(Error::TooLong { file: file.to_owned(), max: T::MAX_BYTES });
        }
        let Wire { signed, signatures } =
            crate::json::from_slice(&bytes).map_err(|error| Error::malformed(file, error))?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(Error::malformed(file, format!("it has more than {MAX_SIGNATURES} signatures")));
        }
        // 4.2.1: programs could disagree on a file with two signatures under one key id.
        let ids: BTreeSet<_> = signatures.iter().map(|signature| &signature.keyid).collect();
        if ids.len() < signatures.len() {
            return Err(Error::malformed(file, "it has two signatures under one key id"));
        }
        let header =
            crate::json::from_value::<Header>(&signed).map_err(|error| Error::malformed(file, error))?;
        check_header::<T>(file, &header)?;
        let role = crate::json::from_value::<T>(&signed).map_err(|error| Error::malformed(file, error))?;
        role.check(file)?;
        let message = canonical_json(&signed).map_err(|error| Error::malformed(file, error))?;
        let Header { version, expires, catalogue, .. } = header;
        let file = file.to_owned();
        Ok(Self { file, version, expires, catalogue, role, signed, message, signatures, bytes })
    }

    /// Makes unsigned metadata for `catalogue`; `None` for the first root, whose digest becomes the catalogue's id.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Malformed`] if clients would refuse it.
    pub fn new_unsigned(
        file: &str,
        role: &T,
        version: u64,
        expires: Timestamp,
        catalogue: Option<CatalogueId>,
    ) -> Result<Self, Error> {
        let mut signed = serde_json::to_value(role).map_err(|error| Error::malformed(file, error))?;
        signed["_type"] = T::TYPE.into();
        signed["spec_version"] = SPEC_VERSION.into();
        signed["version"] = version.into();
        signed["expires"] = expires.to_string().into();
        if let Some(catalogue) = catalogue {
            signed["x-portcullis-catalogue"] = catalogue.to_string().into();
        }
        Self::parse(file, write(&signed, &[]))
    }

    /// Signs the metadata, in place of an earlier signature under the same key id.
    ///
    /// # Errors
    /// Errors of the signer.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), identity::Error> {
        let signature = signer.sign(&self.message)?;
        let keyid = signer.verifying_key().id().to_string();
        self.signatures.retain(|other| other.keyid != keyid);
        self.signatures.push(WireSignature { keyid, sig: signature.to_string() });
        self.bytes = write(&self.signed, &self.signatures);
        Ok(())
    }

    /// Adds the valid signatures by keys of `quorum` from another copy of the same metadata; returns how many are new.
    pub(super) fn merge_signatures(&mut self, other: &Self, quorum: &Quorum) -> usize {
        let mut new = 0;
        for signature in &other.signatures {
            let known = |own: &WireSignature| own.keyid == signature.keyid && own.sig == signature.sig;
            let key = quorum.keys().iter().find(|key| key.id().to_string() == signature.keyid);
            let holds = key
                .zip(signature.sig.parse().ok())
                .is_some_and(|(key, sig)| key.has_signed(&self.message, &sig));
            if holds && !self.signatures.iter().any(known) {
                self.signatures.retain(|own| own.keyid != signature.keyid);
                self.signatures
                    .push(WireSignature { keyid: signature.keyid.clone(), sig: signature.sig.clone() });
                new += 1;
            }
        }
        self.bytes = write(&self.signed, &self.signatures);
        new
    }

    /// Returns those of `keys` that have a valid signature under their own key id.
    pub(super) fn signed_by(&self, keys: &BTreeSet<VerifyingKey>) -> BTreeSet<VerifyingKey> {
        let holds = |key: &&VerifyingKey| {
            let id = key.id().to_string();
            self.signatures
                .iter()
                .filter(|signature| signature.keyid == id)
                .filter_map(|signature| signature.sig.parse().ok())
                .any(|signature| key.has_signed(&self.message, &signature))
        };
        keys.iter().filter(holds).copied().collect()
    }

    /// Returns its name in error messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns when it expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Returns the catalogue that it names.
    pub fn catalogue(&self) -> Option<CatalogueId> {
        self.catalogue
    }

    /// Requires that the metadata names the catalogue `expected` (P10).
    ///
    /// # Errors
    /// [`Error::OtherCatalogue`], [`Error::NoCatalogue`].
    pub(super) fn require_catalogue(&self, expected: CatalogueId) -> Result<(), Error> {
        match self.catalogue {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(Error::OtherCatalogue { file: self.file.clone(), found, expected }),
            None => Err(Error::NoCatalogue { file: self.file.clone() }),
        }
    }

    /// Returns the role, unverified.
    pub fn role(&self) -> &T {
        &self.role
    }

    /// Returns the file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the SHA-256 of the signed part, which does not depend on the signatures.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::compute(&self.message)
    }

    /// Requires that the metadata is not expired at `now`.
    ///
    /// # Errors
    /// [`Error::Expired`].
    pub(super) fn require_unexpired(&self, now: Timestamp) -> Result<(), Error> {
        if now < self.expires {
            return Ok(());
        }
        Err(Error::Expired { file: self.file.clone(), expired: self.expires, now })
    }

    pub(super) fn require_version(&self, expected: u64) -> Result<(), Error> {
        if self.version == expected {
            return Ok(());
        }
        Err(Error::Version { file: self.file.clone(), expected, offered: self.version })
    }
}

fn check_header<T: Role>(file: &str, header: &Header) -> Result<(), Error> {
    let short = |text: &str| text.chars().take(40).collect::<String>();
    if header.kind != T::TYPE {
        return Err(Error::malformed(
            file,
            format!("its type is `{}`, not `{}`", short(&header.kind), T::TYPE),
        ));
    }
    if header.spec_version != "1.0" && !header.spec_version.starts_with("1.0.") {
        let reason = format!("it follows TUF {}, not 1.0", short(&header.spec_version));
        return Err(Error::malformed(file, reason));
    }
    // A version of u64::MAX would have no successor.
    if (1..=u64::from(u32::MAX)).contains(&header.version) {
        return Ok(());
    }
    Err(Error::malformed(file, format!("its version is {}, not 1 to {}", header.version, u32::MAX)))
}

fn write(signed: &Value, signatures: &[WireSignature]) -> Vec<u8> {
    let mut text = format!("{:#}", json!({ "signatures": signatures, "signed": signed })).into_bytes();
    text.push(b'\n');
    text
}

/// The keys of a role: a quorum, and the key ids by which signatures name its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    quorum: Quorum,
    by_id: BTreeMap<String, VerifyingKey>,
}

impl Keyring {
    /// The keys of a role, which error messages call `name`.
    fn new(name: String, keys: &BTreeMap<String, Key>, role: &RoleKeys) -> Result<Self, QuorumError> {
        let usable = |id: &String| Some((id.clone(), keys.get(id)?.verifying_key()?));
        let by_id: BTreeMap<_, _> = role.keyids.iter().filter_map(usable).collect();
        let threshold = usize::try_from(role.threshold).unwrap_or(usize::MAX);
        let quorum = Quorum::new(name, by_id.values().copied(), threshold)?;
        Ok(Self { quorum, by_id })
    }

    /// The keys of a top-level role, which `root` names.
    pub(super) fn from_root(root: &Document<RootRole>, role: TopRole) -> Result<Self, Error> {
        let (name, keys) = match role {
            TopRole::Root => ("the owners (root)", &root.role.roles.root),
            TopRole::Timestamp => ("the registry (timestamp)", &root.role.roles.timestamp),
            TopRole::Snapshot => ("the registry (snapshot)", &root.role.roles.snapshot),
            TopRole::Targets => ("the owners (targets)", &root.role.roles.targets),
        };
        Self::new(name.to_owned(), &root.role.keys, keys)
            .map_err(|source| Error::Quorum { file: root.file.clone(), source })
    }

    /// The keys of a role that `parent` delegates to.
    pub(super) fn from_delegation(
        parent: &Document<TargetsRole>,
        delegation: &Delegation,
    ) -> Result<Self, Error> {
        let none = BTreeMap::new();
        let keys = parent.role.delegations.as_ref().map_or(&none, |delegations| &delegations.keys);
        Self::new(board_name(&delegation.name), keys, &delegation.signers)
            .map_err(|source| Error::Quorum { file: parent.file.clone(), source })
    }

    /// Returns the quorum.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// Returns the distinct keys that signed `document`.
    pub fn signers<T>(&self, document: &Document<T>) -> BTreeSet<VerifyingKey> {
        let candidates = self.candidates(document);
        self.quorum.signers(&document.message, candidates.iter().map(|(key, signature)| (*key, signature)))
    }

    /// Requires that enough distinct keys signed `document`.
    ///
    /// # Errors
    /// [`Error::Threshold`].
    pub fn verify<T>(&self, document: &Document<T>) -> Result<(), Error> {
        let candidates = self.candidates(document);
        let candidates = candidates.iter().map(|(key, signature)| (*key, signature));
        match self.quorum.verify((), &document.message, candidates) {
            Ok(_) => Ok(()),
            Err(source) => Err(Error::Threshold { file: document.file.clone(), source }),
        }
    }

    fn candidates<T>(&self, document: &Document<T>) -> Vec<(VerifyingKey, Signature)> {
        let named = |signature: &WireSignature| {
            Some((*self.by_id.get(&signature.keyid)?, signature.sig.parse().ok()?))
        };
        document.signatures.iter().filter_map(named).collect()
    }
}

/// The name of a checkpoint's board in messages.
pub(super) fn board_name(role: &impl fmt::Display) -> String {
    format!("the board of {role}")
}

/// A role whose keys the root names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopRole {
    Root,
    Timestamp,
    Snapshot,
    Targets,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::schema::{SnapshotRole, TimestampRole};
    use crate::identity::SigningKey;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn snapshot() -> Document<SnapshotRole> {
        let role = SnapshotRole { meta: BTreeMap::new() };
        Document::new_unsigned("1.snapshot.json", &role, 1, Timestamp::from_unix_seconds(1), None).unwrap()
    }

    /// A ring in which key 1 has the ids `a` and `b`, key 2 the id `c`.
    fn ring(threshold: u32) -> Result<Keyring, QuorumError> {
        let keys = [("a", 1), ("b", 1), ("c", 2)]
            .map(|(id, seed)| (id.to_owned(), Key::new(key(seed).verifying_key())));
        let keyids = ["a", "b", "c", "unknown"].map(str::to_owned).to_vec();
        Keyring::new("the ring".to_owned(), &keys.into(), &RoleKeys { keyids, threshold })
    }

    fn signed_as(ids: &[(&str, u8)]) -> Document<SnapshotRole> {
        let mut document = snapshot();
        for (id, seed) in ids {
            let sig = key(*seed).sign(&document.message).unwrap().to_string();
            document.signatures.push(WireSignature { keyid: (*id).to_owned(), sig });
        }
        document
    }

    #[test]
    fn one_key_under_two_ids_is_one_signer() {
        let ring = ring(2).unwrap();
        assert_eq!(
            ring.verify(&signed_as(&[("a", 1), ("b", 1)])).unwrap_err().to_string(),
            "1.snapshot.json does not have the required signatures: the ring must sign with 2 distinct keys; 1 of its keys signed"
        );
        assert!(ring.verify(&signed_as(&[("a", 1), ("a", 1)])).is_err(), "one id twice");
        assert!(ring.verify(&signed_as(&[("a", 1), ("c", 1)])).is_err(), "under another's id");
        assert!(ring.verify(&signed_as(&[("c", 1), ("a", 1), ("c", 2)])).is_ok(), "a false one hides none");
    }

    #[test]
    fn a_threshold_counts_keys_too() {
        assert_eq!(
            ring(3).unwrap_err().to_string(),
            "the ring has 2 distinct keys; its threshold of 3 must be between 1 and that"
        );
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let rsa: Key = serde_json::from_value(
            json!({"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "PEM"}}),
        )
        .unwrap();
        assert_eq!(rsa.verifying_key(), None);
        let weak: Key = serde_json::from_value(
            json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00".repeat(32)}}),
        )
        .unwrap();
        assert_eq!(weak.verifying_key(), None);
    }

    #[test]
    fn an_unknown_field_is_signed_and_kept() {
        let mut signed = snapshot().signed;
        signed["x-note"] = json!("kept");
        let mut document = Document::<SnapshotRole>::parse("s", write(&signed, &[])).unwrap();
        document.sign(&key(1)).unwrap();
        assert!(String::from_utf8_lossy(document.bytes()).contains("x-note"));
        let altered = String::from_utf8_lossy(document.bytes()).replace("kept", "lost").into_bytes();
        let altered = Document::<SnapshotRole>::parse("s", altered).unwrap();
        let keys =
            BTreeMap::from([(key(1).verifying_key().id().to_string(), Key::new(key(1).verifying_key()))]);
        let ring = Keyring::new("r".to_owned(), &keys, &RoleKeys::new([key(1).verifying_key()], 1)).unwrap();
        assert!(ring.verify(&document).is_ok());
        assert!(ring.verify(&altered).is_err());
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let good = String::from_utf8(snapshot().bytes).unwrap();
        let of =
            |text: String| Document::<SnapshotRole>::parse("s.json", text.into()).unwrap_err().to_string();
        let timestamp = Document::<TimestampRole>::parse("t.json", good.clone().into());
        insta::assert_snapshot!(
            [
                of("{}".to_owned()),
                timestamp.unwrap_err().to_string(),
                of(good.replace("1.0.31", "2.0.0")),
                of(good.replace("\"version\": 1", "\"version\": 0")),
                of(good.replace("\"version\": 1", "\"version\": 1.5")),
                of(good.replace("1970-01-01T00:00:01Z", "soon")),
                of(good.replace("\"meta\": {}", "\"meta\": {}, \"x\": 0.5")),
                of(" ".repeat(2_000_001)),
            ]
            .join("\n"), @"
        s.json is malformed: missing field `signed` at line 1 column 2
        t.json is malformed: its type is `snapshot`, not `timestamp`
        s.json is malformed: it follows TUF 2.0.0, not 1.0
        s.json is malformed: its version is 0, not 1 to 4294967295
        s.json is malformed: invalid type: floating point `1.5`, expected u64
        s.json is malformed: `soon` is not a time such as 2026-06-30T00:00:00Z
        s.json is malformed: `0.5` is not a 64-bit integer, which canonical JSON requires
        s.json has more than 2000000 bytes
        ");
    }
}
