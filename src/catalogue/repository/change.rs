//! Requests to change a catalogue, and the edits of metadata that implement them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::RepositoryError;
use crate::catalogue::schema::{
    Delegation, Delegations, Key, MAX_DELEGATIONS, RoleKeys, TargetFile, TargetsRole, is_top_level,
};
use crate::catalogue::target::TargetPath;
use crate::digest::Sha256Digest;
use crate::identity::{Card, VerifyingKey};
use crate::name::{CheckpointId, NameError};
use crate::statement::{Envelope, Quorum, verify_card};

/// A role that proposals can change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The keys of the owners and of the registry.
    Root,
    /// The boards, cards, misuse rules and registrars.
    Targets,
    /// A checkpoint's files.
    Board(CheckpointId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Targets => f.write_str("targets"),
            Self::Board(checkpoint) => checkpoint.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "root" => Ok(Self::Root),
            "targets" => Ok(Self::Targets),
            id => id.parse().map(Self::Board),
        }
    }
}

/// The first keys of a new catalogue.
#[derive(Debug, Clone)]
pub struct Founding {
    /// The owners' signed cards.
    pub owners: Vec<Envelope>,
    /// How many owners must sign.
    pub threshold: u32,
    /// The registry's signed card.
    pub registry: Envelope,
    /// The boards by checkpoint.
    pub boards: BTreeMap<CheckpointId, BoardPlan>,
}

/// A new board.
#[derive(Debug, Clone)]
pub struct BoardPlan {
    /// The members' signed cards.
    pub members: Vec<Envelope>,
    /// How many of them must sign.
    pub threshold: u32,
}

/// A change of the keys of a role.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// Signed cards of new members.
    pub add: Vec<Envelope>,
    /// Keys of leaving members.
    pub remove: Vec<VerifyingKey>,
    /// The new threshold, if it changes.
    pub threshold: Option<u32>,
}

/// The proposer of a change, and the open proposals of others that the change builds on.
#[derive(Debug, Clone)]
pub struct Proposer {
    /// The proposer's key, which must sign the proposal.
    pub key: VerifyingKey,
    /// Digests of the open proposals that the proposer reviewed and builds on.
    pub onto: BTreeSet<Sha256Digest>,
}

impl Proposer {
    /// A proposer who builds only on published metadata and on open proposals that they signed.
    pub fn new(key: VerifyingKey) -> Self {
        Self { key, onto: BTreeSet::new() }
    }
}

/// New files of a proposal.
pub(super) type Files = BTreeMap<TargetPath, Vec<u8>>;

/// Verifies a card and adds its file to `files`.
pub(super) fn admit(envelope: &Envelope, files: &mut Files) -> Result<Card, RepositoryError> {
    let card = verify_card(envelope)?.into_inner();
    files.insert(TargetPath::card(&card.verifying_key), envelope.to_json().into_bytes());
    Ok(card)
}

/// Verifies several cards, which must have distinct keys, and adds their files.
pub(super) fn admit_all(
    quorum: &str,
    envelopes: &[Envelope],
    files: &mut Files,
) -> Result<BTreeSet<VerifyingKey>, RepositoryError> {
    let mut keys = BTreeSet::new();
    for envelope in envelopes {
        let card = admit(envelope, files)?;
        if !keys.insert(card.verifying_key) {
            let name = card.name.to_string();
            return Err(RepositoryError::NamedTwice { name, quorum: quorum.to_owned() });
        }
    }
    Ok(keys)
}

/// The keys and the threshold of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signers<'a> {
    pub(super) keys: &'a BTreeSet<VerifyingKey>,
    pub(super) threshold: u32,
}

/// Applies a rotation to `before`.
pub(super) fn rotated(
    quorum: &str,
    before: &Signers<'_>,
    rotation: &Rotation,
    files: &mut Files,
) -> Result<(BTreeSet<VerifyingKey>, u32), RepositoryError> {
    let (mut keys, threshold) = (before.keys.clone(), before.threshold);
    for key in &rotation.remove {
        if !keys.remove(key) {
            let name = format!("the key {}", key.id().short());
            return Err(RepositoryError::NotIn { name, quorum: quorum.to_owned() });
        }
    }
    for envelope in &rotation.add {
        let card = admit(envelope, files)?;
        if !keys.insert(card.verifying_key) {
            let name = card.name.to_string();
            return Err(RepositoryError::AlreadyIn { name, quorum: quorum.to_owned() });
        }
    }
    let threshold = rotation.threshold.unwrap_or(threshold);
    require_quorum(quorum, &keys, threshold)?;
    Ok((keys, threshold))
}

pub(super) fn require_quorum(
    name: &str,
    keys: &BTreeSet<VerifyingKey>,
    threshold: u32,
) -> Result<(), RepositoryError> {
    let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
    Ok(Quorum::new(name, keys.iter().copied(), threshold).map(|_| ())?)
}

/// Lists files in a role.
pub(super) fn list(role: &mut TargetsRole, files: &Files) {
    for (path, bytes) in files {
        role.targets.insert(path.clone(), TargetFile::new(bytes));
    }
}

/// Delegates a checkpoint's paths to a board, in place of its previous one.
pub(super) fn delegate(
    role: &mut TargetsRole,
    checkpoint: &CheckpointId,
    keys: &BTreeSet<VerifyingKey>,
    threshold: u32,
) -> Result<(), RepositoryError> {
    if is_top_level(checkpoint.as_str())
        || ["cards", "misuse", "organizations"].contains(&checkpoint.as_str())
    {
        return Err(RepositoryError::Reserved { name: checkpoint.to_string() });
    }
    let delegations = role.delegations.get_or_insert_with(Delegations::default);
    let signers = RoleKeys::new(keys.iter().copied(), threshold);
    match delegations.roles.iter_mut().find(|role| role.name == *checkpoint) {
        Some(role) => role.signers = signers,
        None => delegations.roles.push(Delegation {
            name: checkpoint.into(),
            signers,
            paths: Some(vec![format!("{checkpoint}/*")]),
            path_hash_prefixes: None,
            terminating: true,
        }),
    }
    if delegations.roles.len() > MAX_DELEGATIONS {
        return Err(RepositoryError::TooManyBoards { max: MAX_DELEGATIONS });
    }
    let used: BTreeSet<_> = delegations.roles.iter().flat_map(|role| role.signers.keyids.clone()).collect();
    keep_keys(&mut delegations.keys, keys, &used);
    Ok(())
}

/// Adds `new` keys and removes unused ones.
pub(super) fn keep_keys(
    keys: &mut BTreeMap<String, Key>,
    new: &BTreeSet<VerifyingKey>,
    used: &BTreeSet<String>,
) {
    keys.extend(new.iter().map(|key| (key.id().to_string(), Key::new(*key))));
    keys.retain(|id, _| used.contains(id));
}
