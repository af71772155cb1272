//! Why the researcher's side cannot go on.

use std::io;
use std::path::PathBuf;

use crate::access::{self, ExchangeError};
use crate::catalogue;
use crate::client::remote::RemoteError;
use crate::digest::Sha256Digest;
use crate::log::{self, EntryKind};
use crate::name::CheckpointId;
use crate::policy;
use crate::seal;
use crate::time::Timestamp;
use crate::usage;

/// A checkpoint cannot be pulled, or does not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The catalogue does not verify or is not to be had.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The folder of statements cannot be used.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The catalogue has no such checkpoint.
    #[error("the catalogue has no checkpoint `{checkpoint}`")]
    UnknownCheckpoint {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The most similar checkpoint of the catalogue, if one is similar.
        nearest: Option<CheckpointId>,
    },
    /// The board has not published everything that a checkpoint needs.
    #[error("the catalogue has no {what} for `{checkpoint}` yet")]
    NotPublished {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The missing or unusable part, such as `policy`.
        what: &'static str,
    },
    /// The catalogue names a stage that no policy can have.
    #[error("`{checkpoint}` is in a stage `{stage}`, which is not a stage name")]
    UnknownStage {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The stage as the catalogue names it.
        stage: String,
    },
    /// The policy in force does not parse.
    #[error("the policy of `{checkpoint}` cannot be used")]
    Policy {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The cause.
        source: Box<policy::Error>,
    },
    /// A text of the catalogue is not UTF-8.
    #[error("the {what} of `{checkpoint}` is not text")]
    NotText {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The missing or unusable part, such as `policy`.
        what: &'static str,
    },
    /// Nothing here is made out to this person.
    #[error("there is no grant for `{checkpoint}` issued to {name}")]
    NoGrant {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The name on the card of this home.
        name: String,
    },
    /// A grant is there and does not count.
    #[error("the grant {grant} for `{checkpoint}` is not valid")]
    GrantRefused {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The first 12 digits of the grant's digest.
        grant: String,
        /// The cause.
        source: Box<access::Error>,
    },
    /// A statement in the vault, without which nothing opens, is damaged.
    #[error("the {kind} {} in the vault is damaged: its digest does not match its name", path.display())]
    Damaged {
        /// The kind of statement or entry.
        kind: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// The grant stands and no lease of it is live.
    #[error("there is no valid lease for the grant {grant} of `{checkpoint}`")]
    NoLease {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The first 12 digits of the grant's digest.
        grant: String,
        /// Why the newest lease is not valid, if there is a lease.
        #[source]
        newest: Option<Box<access::Error>>,
    },
    /// What the registry sent is no lease that could be used.
    #[error("the registry sent an invalid lease")]
    LeaseRefused {
        /// The cause.
        source: Box<access::Error>,
    },
    /// Fewer shares than the seal's threshold were delivered.
    #[error("{have} of the {need} shares that open `{checkpoint}` were delivered")]
    TooFewShares {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Valid shares.
        have: usize,
        /// The seal's threshold.
        need: usize,
        /// Why the last refused share is not valid, if one was refused.
        #[source]
        last: Option<Box<Error>>,
    },
    /// A share that was delivered is not by its owner, or for another grant.
    #[error("a share is refused")]
    Share(#[source] access::Error),
    /// The sealed checkpoint is not in the vault.
    #[error("`{checkpoint}` is not in the vault")]
    NotPulled {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// What is sealed does not open, or is not what the manifest says.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// The usage journal does not take a record, or does not hold.
    #[error(transparent)]
    Usage(#[from] usage::Error),
    /// The rules of misuse cannot be used.
    #[error("the catalogue's misuse rules cannot be used: {reason}")]
    MisuseRules {
        /// The reason, in words.
        reason: String,
    },
    /// The grant or the lease under which something was opened has ended since.
    #[error("access to `{checkpoint}` expired at {until}")]
    AccessExpired {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The first instant without access.
        until: Timestamp,
    },
    /// A rule of misuse keeps a generation from starting; the record says so.
    #[error("the misuse rule `{rule}` blocks the prompt: it {reason}")]
    Blocked {
        /// The rule's name.
        rule: String,
        /// The reason, in words.
        reason: String,
    },
    /// A rule of misuse wants a reason first.
    #[error("the misuse rule `{rule}` requires a reason: the prompt {reason}")]
    NeedsJustification {
        /// The rule's name.
        rule: String,
        /// The reason, in words.
        reason: String,
    },
    /// The log, or a proof from it, does not hold.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Something that takes effect only once it is in the log is not, as far as this machine was shown.
    #[error("there is no proof that the {kind} {statement} is in the registry's log")]
    NotLogged {
        /// The kind of statement or entry.
        kind: EntryKind,
        /// The digest that the entry would record.
        statement: Sha256Digest,
    },
    /// The disk refuses.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The attempted action, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A chunk that is offered is not the one that the manifest names.
    #[error("the chunk {} does not match its digest", path.display())]
    WrongChunk {
        /// The file or folder.
        path: PathBuf,
    },
    /// Another pull of the same checkpoint is under way.
    #[error("another pull into {} is running", path.display())]
    PullUnderWay {
        /// The file or folder.
        path: PathBuf,
    },
    /// The disk cannot hold it.
    #[error("{needed} bytes are needed in {}, and {free} are free", path.display())]
    NoSpace {
        /// The file or folder.
        path: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// No server gives a chunk.
    #[error("no server provides the chunk {chunk}: {reason}")]
    NoMirror {
        /// The digest of the chunk.
        chunk: Sha256Digest,
        /// Whether a server sent wrong bytes for this chunk or for another one.
        is_wrong: bool,
        /// The reason, in words.
        reason: String,
    },
    /// HTTP cannot be set up on this machine.
    #[error("cannot set up HTTP: {reason}")]
    Http {
        /// The reason, in words.
        reason: String,
    },
    /// The registry over HTTP does not do what is asked.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}
