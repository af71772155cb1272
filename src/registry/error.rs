//! What a registry refuses.

use crate::access;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::{client, seal, statement};

/// The registry cannot do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule of access says no.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The catalogue does not say what is needed.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The locks cannot be opened or sealed anew.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// A statement cannot be made or read.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    /// The board has not handed its lock over.
    #[error("{have} of the {need} shares of {checkpoint} were handed over")]
    TooFewHandovers {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// The key is not the registry's.
    #[error("the key {key} is not the registry's that the catalogue names")]
    NotTheRegistry {
        /// Whose.
        key: KeyId,
    },
}
