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
        /// Which.
        checkpoint: CheckpointId,
        /// The one of that may be meant.
        nearest: Option<CheckpointId>,
    },
    /// The board has not published everything that a checkpoint needs.
    #[error("the catalogue has no {what} for `{checkpoint}` yet")]
    NotPublished {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// What is missing.
        what: &'static str,
    },
    /// The catalogue names a stage that no policy can have.
    #[error("`{checkpoint}` is in a stage `{stage}`, which is not a stage name")]
    UnknownStage {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// The name.
        stage: String,
    },
    /// The policy in force does not parse.
    #[error("the policy of `{checkpoint}` cannot be used")]
    Policy {
        /// Whose.
        checkpoint: CheckpointId,
        /// Why.
        source: Box<policy::Error>,
    },
    /// A text of the catalogue is not UTF-8.
    #[error("the {what} of `{checkpoint}` is not text")]
    NotText {
        /// Whose.
        checkpoint: CheckpointId,
        /// Which.
        what: &'static str,
    },
    /// Nothing here is made out to this person.
    #[error("there is no grant for `{checkpoint}` issued to {name}")]
    NoGrant {
        /// For which checkpoint.
        checkpoint: CheckpointId,
        /// To whom.
        name: String,
    },
    /// A grant is there and does not count.
    #[error("the grant {grant} for `{checkpoint}` is not valid")]
    GrantRefused {
        /// For which checkpoint.
        checkpoint: CheckpointId,
        /// The grant, its digest's first digits.
        grant: String,
        /// The rule that refused it.
        source: Box<access::Error>,
    },
    /// A statement in the vault, without which nothing opens, is damaged.
    #[error("the {kind} {} in the vault is damaged: its digest does not match its name", path.display())]
    Damaged {
        /// What kind of statement.
        kind: &'static str,
        /// Its file.
        path: PathBuf,
    },
    /// The grant stands and no lease of it is live.
    #[error("there is no valid lease for the grant {grant} of `{checkpoint}`")]
    NoLease {
        /// For which checkpoint.
        checkpoint: CheckpointId,
        /// The grant, its digest's first digits.
        grant: String,
        /// Why the newest lease does not do.
        #[source]
        newest: Option<Box<access::Error>>,
    },
    /// What the registry sent is no lease that could be used.
    #[error("the registry sent an invalid lease")]
    LeaseRefused {
        /// The rule that refused it.
        source: Box<access::Error>,
    },
    /// Fewer shares than the seal's threshold were delivered.
    #[error("{have} of the {need} shares that open `{checkpoint}` were delivered")]
    TooFewShares {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// How many hold.
        have: usize,
        /// How many it takes.
        need: usize,
        /// Why the last of the others does not do.
        #[source]
        last: Option<Box<Error>>,
    },
    /// A share that was delivered is not by its owner, or for another grant.
    #[error("a share is refused")]
    Share(#[source] access::Error),
    /// The sealed checkpoint is not in the vault.
    #[error("`{checkpoint}` is not in the vault")]
    NotPulled {
        /// Which.
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
        /// Why not.
        reason: String,
    },
    /// The grant or the lease under which something was opened has ended since.
    #[error("access to `{checkpoint}` expired at {until}")]
    AccessExpired {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// When.
        until: Timestamp,
    },
    /// A rule of misuse keeps a generation from starting; the record says so.
    #[error("the misuse rule `{rule}` blocks the prompt: it {reason}")]
    Blocked {
        /// Which rule.
        rule: String,
        /// What it says.
        reason: String,
    },
    /// A rule of misuse wants a reason first.
    #[error("the misuse rule `{rule}` requires a reason: the prompt {reason}")]
    NeedsJustification {
        /// Which rule.
        rule: String,
        /// What it says.
        reason: String,
    },
    /// The log, or a proof from it, does not hold.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Something that takes effect only once it is in the log is not, as far as this machine was shown.
    #[error("there is no proof that the {kind} {statement} is in the registry's log")]
    NotLogged {
        /// What kind of entry is missing.
        kind: EntryKind,
        /// What it would record.
        statement: Sha256Digest,
    },
    /// The disk refuses.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A chunk that is offered is not the one that the manifest names.
    #[error("the chunk {} does not match its digest", path.display())]
    WrongChunk {
        /// Where it lies.
        path: PathBuf,
    },
    /// Another pull of the same checkpoint is under way.
    #[error("another pull into {} is running", path.display())]
    PullUnderWay {
        /// Where.
        path: PathBuf,
    },
    /// The disk cannot hold it.
    #[error("{needed} bytes are needed in {}, and {free} are free", path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// How many bytes are missing there.
        needed: u64,
        /// How many the disk has left.
        free: u64,
    },
    /// No server gives a chunk.
    #[error("no server provides the chunk {chunk}: {reason}")]
    NoMirror {
        /// Which chunk.
        chunk: Sha256Digest,
        /// Whether one gave something else under its name, or was set aside for doing so with another chunk.
        is_wrong: bool,
        /// Why each does not.
        reason: String,
    },
    /// HTTP cannot be set up on this machine.
    #[error("cannot set up HTTP: {reason}")]
    Http {
        /// Why not.
        reason: String,
    },
    /// The registry over HTTP does not do what is asked.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}
