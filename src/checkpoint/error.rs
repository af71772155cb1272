//! What can go wrong with a checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use super::config::ConfigError;
use super::fetch::FetchError;
use super::tensor_file::TensorFileError;

/// An import, a check or a read of a checkpoint failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// The configuration cannot be used.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ConfigError,
    },
    /// A weights file is not well-formed.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TensorFileError,
    },
    /// A published checkpoint could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl Error {
    /// For `map_err`: names the action and the path of a failed system call.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
