//! What a registry over HTTP refuses, and how it fails.

use crate::access::{ExchangeError, Fault};
use crate::catalogue;

/// A registry does not do what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It says no.
    #[error("{registry} refuses: {message}")]
    Refused {
        /// Its address.
        registry: String,
        /// Why.
        fault: Fault,
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
        /// What it says to do next.
        next: Option<String>,
    },
    /// It cannot be reached, or fails.
    #[error("cannot reach {registry}: {reason}")]
    Unreachable {
        /// Its address.
        registry: String,
        /// What happened.
        reason: String,
    },
    /// It answers with something that is no answer.
    #[error("unexpected answer from {registry}: {reason}")]
    Unexpected {
        /// Its address.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The one who asks cannot prove who they are.
    #[error("cannot authenticate to {registry}: {reason}")]
    Credentials {
        /// Its address.
        registry: String,
        /// Why not.
        reason: String,
    },
    /// HTTP cannot be set up on this machine.
    #[error("cannot set up HTTP: {0}")]
    Client(String),
}

impl From<RemoteError> for ExchangeError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Refused { registry, fault, message, next, .. } => {
                Self::Refused { registry, fault, message, next }
            }
            RemoteError::Unreachable { registry, reason } => Self::Unreachable { registry, reason },
            RemoteError::Unexpected { registry, reason } => {
                let next = Some("tell the registry's operator; check its address".to_owned());
                Self::Refused { registry, fault: Fault::Proof, message: reason, next }
            }
            RemoteError::Credentials { registry, reason } => {
                let next = Some("use the identity that joined this registry (--home)".to_owned());
                Self::Refused { registry, fault: Fault::Rule, message: reason, next }
            }
            RemoteError::Client(reason) => Self::Unreachable { registry: "the network".to_owned(), reason },
        }
    }
}

impl From<RemoteError> for catalogue::Error {
    fn from(error: RemoteError) -> Self {
        Self::Unreachable { reason: error.to_string() }
    }
}
