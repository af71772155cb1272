//! What the keepers of a catalogue are refused.

use crate::catalogue::Error;
use crate::digest::Sha256Digest;
use crate::identity::{self, KeyId};
use crate::statement::{self, QuorumError, form};

/// A change of the catalogue cannot be proposed, signed or published.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// What is there cannot be read or believed.
    #[error(transparent)]
    Catalogue(#[from] Error),
    /// A card is not what it should be.
    #[error("a card cannot be used")]
    Card(#[from] statement::Error),
    /// A threshold out of reach.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The holder of the key did not sign.
    #[error(transparent)]
    Signer(#[from] identity::Error),
    /// A catalogue is there already.
    #[error("there is a catalogue in {folder} already")]
    Exists {
        /// Where.
        folder: String,
    },
    /// There is none, published or proposed.
    #[error("there is no catalogue in {folder}")]
    None {
        /// Where.
        folder: String,
    },
    /// Nothing was published yet, and nothing complete is there to publish.
    #[error("the catalogue cannot be published yet: {reason}")]
    NotYet {
        /// Who must sign what first.
        reason: String,
    },
    /// A name that cannot be a checkpoint's here.
    #[error("no checkpoint can be called {name}: it is a role of TUF's own")]
    Reserved {
        /// The name.
        name: String,
    },
    /// The owners delegated nothing to it.
    #[error("the catalogue has no board for {checkpoint}: it has {known}")]
    NoBoard {
        /// Which checkpoint.
        checkpoint: String,
        /// Those that have one.
        known: String,
    },
    /// More boards than other clients accept.
    #[error("a catalogue has at most {max} boards")]
    TooManyBoards {
        /// How many it may have.
        max: usize,
    },
    /// The change changes nothing.
    #[error("nothing of {role} would change")]
    NoChange {
        /// Which role.
        role: String,
    },
    /// Someone to add is there already.
    #[error("{name} is in {quorum} already")]
    AlreadyIn {
        /// Who.
        name: String,
        /// Where.
        quorum: String,
    },
    /// Someone to remove is not there.
    #[error("{name} is not in {quorum}")]
    NotIn {
        /// Who.
        name: String,
        /// Where.
        quorum: String,
    },
    /// Somebody is named twice.
    #[error("{name} is named twice for {quorum}: one person counts once")]
    NamedTwice {
        /// Who.
        name: String,
        /// For what.
        quorum: String,
    },
    /// A board that is to be founded is there already.
    #[error("{checkpoint} has a board already")]
    HasBoard {
        /// Of which checkpoint.
        checkpoint: String,
    },
    /// The founder is none of the owners.
    #[error("the key {key} is none of the owners of the catalogue that it founds")]
    NotAnOwner {
        /// Whose key.
        key: KeyId,
    },
    /// Somebody else's proposal is open.
    #[error("another change of {role} is proposed already: {digest}")]
    Open {
        /// Of which role.
        role: String,
        /// The digest of what is open.
        digest: Sha256Digest,
    },
    /// What is open is not what was reviewed.
    #[error("the proposed change of {role} is {open}, not {reviewed}, which was reviewed")]
    Swapped {
        /// Of which role.
        role: String,
        /// The digest of what was reviewed.
        reviewed: Sha256Digest,
        /// The digest of what is open.
        open: Sha256Digest,
    },
    /// Nobody who may propose it signed it, or not the one who hands it in.
    #[error("the proposed change of {role} is not signed by {who}")]
    Unsigned {
        /// Of which role.
        role: String,
        /// Whose signature is missing.
        who: String,
    },
    /// No proposal is open.
    #[error("no change of {role} is proposed")]
    NoProposal {
        /// Of which role.
        role: String,
    },
    /// The signer has no say.
    #[error("the key {key} has no say in {what}: {who} {} it", sign(who))]
    NoSay {
        /// Whose key.
        key: KeyId,
        /// What was to be signed.
        what: String,
        /// Who may sign.
        who: String,
    },
    /// Not the key that signs timestamps and snapshots.
    #[error("the key {key} is not the registry's")]
    NotTheRegistry {
        /// Which key.
        key: KeyId,
    },
    /// A proposed file is not there.
    #[error("the proposal lacks the file {path} ({digest})")]
    Lacks {
        /// Its path.
        path: String,
        /// Its digest.
        digest: Sha256Digest,
    },
    /// A proposal that follows on another version than the one that is published.
    #[error("the proposal would be version {offered} of {role}, and version {expected} comes next")]
    Stale {
        /// Of which role.
        role: String,
        /// The version that it would be.
        offered: u64,
        /// The version that comes next.
        expected: u64,
    },
    /// Only those who sign a role may propose a change of it.
    #[error("only those who sign {role} may propose a change of it")]
    MayNotPropose {
        /// Which role.
        role: String,
    },
}

/// The verb behind those who sign a role: one board's, or that of the owners or of several boards.
fn sign(who: &str) -> &'static str {
    if who.contains(", ") { "sign" } else { form(who, "signs", "sign") }
}
