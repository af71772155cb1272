//! Errors of identities.

use std::io;
use std::path::{Path, PathBuf};

use super::VerifyingKey;

/// An identity cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The identity file does not exist.
    #[error("there is no identity at {}", path.display())]
    NotFound { path: PathBuf },
    /// The identity file exists already.
    #[error("an identity already exists at {}", path.display())]
    Exists { path: PathBuf },
    /// Other users of the machine can read the file; `mode` is its Unix permissions.
    #[error("{} can be read by others (mode {mode:04o}); an identity file must have mode 0600", path.display())]
    Readable { path: PathBuf, mode: u32 },
    /// The file is not an identity file or is damaged; `reason` never quotes a secret.
    #[error("{} is not an identity file: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    /// A passphrase protects the file and none was given.
    #[error("the identity at {} requires its passphrase", path.display())]
    PassphraseNeeded { path: PathBuf },
    /// The passphrase is wrong.
    #[error("wrong passphrase for {}", path.display())]
    WrongPassphrase { path: PathBuf },
    /// age cannot encrypt the file.
    #[error("cannot encrypt the identity: {reason}")]
    Protect { reason: String },
    /// `SSH_AUTH_SOCK` is not set.
    #[error("no SSH agent: SSH_AUTH_SOCK is not set")]
    NoAgent,
    /// The agent is unreachable or does not follow the protocol.
    #[error("the SSH agent at {} failed: {reason}", socket.display())]
    Agent { socket: PathBuf, reason: String },
    /// The agent does not hold the key.
    #[error("the SSH agent does not hold the Ed25519 key {key}")]
    NotInAgent { key: Box<VerifyingKey> },
    /// The agent holds no Ed25519 key, or several without a choice.
    #[error("the SSH agent holds {count} Ed25519 keys; choose exactly one")]
    AgentChoice { count: usize },
    /// The agent refused to sign, for example because its owner did not confirm.
    #[error("the SSH agent refused to sign with {key}")]
    AgentRefused { key: Box<VerifyingKey> },
    /// The agent returned an invalid signature.
    #[error("the SSH agent returned a signature that {key} does not verify")]
    AgentSignature { key: Box<VerifyingKey> },
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
