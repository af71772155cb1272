//! What can go wrong with identities.

use std::io;
use std::path::{Path, PathBuf};

use super::VerifyingKey;

/// An identity cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// There is no identity here yet.
    #[error("there is no identity at {}", path.display())]
    None {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// A new identity would replace one.
    #[error("there is an identity at {} already", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Others on this machine can read the file.
    #[error("{} can be read by others (mode {mode:04o}); an identity file must have mode 0600", path.display())]
    Readable {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not an identity file, or a damaged one.
    #[error("{} is not an identity file: {reason}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; never a part of a secret.
        reason: String,
    },
    /// A passphrase protects it and none was given.
    #[error("the identity at {} needs its passphrase", path.display())]
    PassphraseNeeded {
        /// Which file.
        path: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("the passphrase does not open {}", path.display())]
    WrongPassphrase {
        /// Which file.
        path: PathBuf,
    },
    /// Encryption under a passphrase failed.
    #[error("cannot protect the identity: {reason}")]
    Protect {
        /// What age says.
        reason: String,
    },
    /// `SSH_AUTH_SOCK` is not set.
    #[error("no SSH agent is running here: SSH_AUTH_SOCK is not set")]
    NoAgent,
    /// The agent cannot be reached, or answers something else than it should.
    #[error("the SSH agent at {} fails: {reason}", socket.display())]
    Agent {
        /// Its socket.
        socket: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The agent holds no such key.
    #[error("the SSH agent does not hold the Ed25519 key {key}")]
    NotInAgent {
        /// Which key was wanted.
        key: Box<VerifyingKey>,
    },
    /// The agent holds no Ed25519 key, or several and none was chosen.
    #[error("the SSH agent holds {count} Ed25519 keys; exactly one must be chosen")]
    AgentChoice {
        /// How many it holds.
        count: usize,
    },
    /// The agent refused to sign, as when its owner did not confirm.
    #[error("the SSH agent refuses to sign with {key}")]
    AgentRefused {
        /// With which key.
        key: Box<VerifyingKey>,
    },
    /// What the agent returned is no signature by the key.
    #[error("the SSH agent returned a signature that {key} did not make")]
    AgentSignature {
        /// By which key it should be.
        key: Box<VerifyingKey>,
    },
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
