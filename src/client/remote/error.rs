//! What a registry over HTTP refuses, and how it fails.

use crate::access::{ExchangeError, Fault};
use crate::catalogue;

/// A registry does not do what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The registry refused the request.
    #[error("{registry} refuses: {message}")]
    Refused {
        /// The registry's address.
        registry: String,
        /// The class of the refusal.
        fault: Fault,
        /// The HTTP status.
        status: u16,
        /// The registry's message, without control characters.
        message: String,
        /// The registry's advice, if it gave any.
        next: Option<String>,
    },
    /// The registry is unreachable or failed.
    #[error("cannot reach {registry}: {reason}")]
    Unreachable {
        /// The registry's address.
        registry: String,
        /// The cause, in words.
        reason: String,
    },
    /// The answer does not fit the request.
    #[error("unexpected answer from {registry}: {reason}")]
    Unexpected {
        /// The registry's address.
        registry: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The client cannot authenticate.
    #[error("cannot authenticate to {registry}: {reason}")]
    Credentials {
        /// The registry's address.
        registry: String,
        /// The cause, in words.
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
