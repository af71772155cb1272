//! Signing with a key in an SSH agent (`SSH_AUTH_SOCK`; draft-ietf-sshm-ssh-agent).
//!
//! The agent signs the bytes as they are, so the result is an ordinary Ed25519 signature. Each signature is verified here, so that one by
//! another key or over other bytes is refused at once.

use std::path::{Path, PathBuf};

use ssh_agent_client_rs::{Client, Error as AgentError, Identity as AgentIdentity};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, PublicKey};

use super::{Error, Signature, Signer, VerifyingKey};

/// An Ed25519 key in an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKey {
    /// The public key.
    pub key: VerifyingKey,
    /// Its comment in the agent.
    pub comment: String,
}

/// Signs with a key in an SSH agent.
#[derive(Debug)]
pub struct AgentSigner {
    socket: PathBuf,
    key: VerifyingKey,
}

impl AgentSigner {
    /// Lists the Ed25519 keys of the agent at `socket`; other keys are omitted.
    ///
    /// # Errors
    /// [`Error::Agent`].
    pub fn keys(socket: &Path) -> Result<Vec<AgentKey>, Error> {
        let listed = connect(socket)?.list_all_identities().map_err(|error| failed(socket, &error))?;
        let keys = listed.into_iter().filter_map(|listed| {
            let AgentIdentity::PublicKey(listed) = listed else {
                return None; // a certificate; the agent also lists its key
            };
            let KeyData::Ed25519(Ed25519PublicKey(bytes)) = listed.key_data() else {
                return None;
            };
            let key = VerifyingKey::from_bytes(bytes).ok()?;
            Some(AgentKey { key, comment: listed.comment().chars().filter(|c| !c.is_control()).collect() })
        });
        Ok(keys.collect())
    }

    /// Signs with `key`, which the agent at `socket` must hold.
    ///
    /// # Errors
    /// [`Error::Agent`], [`Error::NotInAgent`].
    pub fn new(socket: &Path, key: VerifyingKey) -> Result<Self, Error> {
        if Self::keys(socket)?.iter().any(|held| held.key == key) {
            Ok(Self { socket: socket.to_owned(), key })
        } else {
            Err(Error::NotInAgent { key: Box::new(key) })
        }
    }
}

impl Signer for AgentSigner {
    fn verifying_key(&self) -> VerifyingKey {
        self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        let public = PublicKey::from(KeyData::Ed25519(Ed25519PublicKey(*self.key.as_bytes())));
        let signature = connect(&self.socket)?.sign(public, message).map_err(|error| match error {
            AgentError::RemoteFailure => Error::AgentRefused { key: Box::new(self.key) },
            error => failed(&self.socket, &error),
        })?;
        let bytes =
            (signature.algorithm() == Algorithm::Ed25519).then(|| signature.as_bytes().try_into().ok());
        bytes
            .flatten()
            .map(Signature::from_bytes)
            .filter(|signature| self.key.has_signed(message, signature))
            .ok_or(Error::AgentSignature { key: Box::new(self.key) })
    }
}

fn connect(socket: &Path) -> Result<Client, Error> {
    Client::connect(socket).map_err(|error| failed(socket, &error))
}

fn failed(socket: &Path, error: &AgentError) -> Error {
    let mut reason = error.to_string();
    if let AgentError::AgentCommunicationError(error) = error {
        reason = error.to_string();
    }
    Error::Agent { socket: socket.to_owned(), reason }
}
