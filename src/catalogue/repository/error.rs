//! Errors of changing a catalogue.

use crate::catalogue::Error;
use crate::digest::Sha256Digest;
use crate::identity::{self, KeyId};
use crate::statement::{self, QuorumError, inflect};

/// A change of the catalogue cannot be proposed, signed or published.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum RepositoryError {
    /// The published catalogue cannot be read or trusted.
    #[error(transparent)]
    Catalogue(#[from] Error),
    /// A card is invalid.
    #[error("invalid card")]
    Card(#[from] statement::Error),
    /// A threshold is zero or exceeds the number of keys.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The signer failed.
    #[error(transparent)]
    Signer(#[from] identity::Error),
    /// A catalogue exists already.
    #[error("a catalogue already exists in {folder}")]
    Exists { folder: String },
    /// No catalogue is published or proposed.
    #[error("there is no catalogue in {folder}")]
    NotFound { folder: String },
    /// The first publication needs more signatures.
    #[error("the catalogue cannot be published yet: {reason}")]
    Incomplete { reason: String },
    /// The name is reserved and cannot be a checkpoint's.
    #[error("a checkpoint cannot be named {name}: the name is reserved for another role")]
    Reserved { name: String },
    /// The catalogue has no such board; `known` lists its boards.
    #[error("the catalogue has no board for {checkpoint}; its boards: {known}")]
    NoBoard { checkpoint: String, known: String },
    /// The catalogue has the maximum number of boards.
    #[error("a catalogue can have at most {max} boards")]
    TooManyBoards { max: usize },
    /// The change has no effect.
    #[error("{role} would not change")]
    NoChange { role: String },
    /// A person to add is already a member.
    #[error("{name} is already in {quorum}")]
    AlreadyIn { name: String, quorum: String },
    /// A person to remove is not a member.
    #[error("{name} is not in {quorum}")]
    NotIn { name: String, quorum: String },
    /// A person is named twice.
    #[error("{name} is named twice for {quorum}; each person counts once")]
    NamedTwice { name: String, quorum: String },
    /// The board exists already.
    #[error("{checkpoint} already has a board")]
    HasBoard { checkpoint: String },
    /// The founder is not one of the owners.
    #[error("the key {key} is not one of the owners of the new catalogue")]
    NotAnOwner { key: KeyId },
    /// Another person's proposal, of this digest, is open.
    #[error("another change of {role} is already proposed: {digest}")]
    AlreadyProposed { role: String, digest: Sha256Digest },
    /// The open proposal is not the one that was reviewed.
    #[error("the proposed change of {role} is now {open}, not the reviewed {reviewed}")]
    ProposalChanged { role: String, reviewed: Sha256Digest, open: Sha256Digest },
    /// The proposal lacks the signature of its proposer, or of any key that may propose it.
    #[error("the proposed change of {role} is not signed by {who}")]
    Unsigned { role: String, who: String },
    /// No proposal is open.
    #[error("no change of {role} is proposed")]
    NoProposal { role: String },
    /// The key may not sign this role.
    #[error("the key {key} may not sign {what}: {who} {} it", sign(who))]
    NoSay { key: KeyId, what: String, who: String },
    /// The key is not the one that signs timestamps and snapshots.
    #[error("the key {key} is not the registry's")]
    NotTheRegistry { key: KeyId },
    /// A file of the proposal is missing.
    #[error("the proposal has no file {path} ({digest})")]
    MissingFile { path: String, digest: Sha256Digest },
    /// The proposal does not follow the published version.
    #[error("the proposal is version {offered} of {role}; the next version is {expected}")]
    Stale { role: String, offered: u64, expected: u64 },
    /// The key may not propose a change of this role.
    #[error("only the signers of {role} may propose a change of it")]
    MayNotPropose { role: String },
}

/// The form of "sign" after a list of roles.
fn sign(who: &str) -> &'static str {
    if who.contains(", ") { "sign" } else { inflect(who, "signs", "sign") }
}
