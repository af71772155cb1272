//! Errors that stop an audit; its findings are results, not errors.

use std::io;

use crate::client::remote::RemoteError;
use crate::{catalogue, log};

/// A bundle cannot be made or read.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing the file failed.
    #[error("cannot read or write the bundle file")]
    Io(#[from] io::Error),
    /// The bundle is truncated, altered or of another format.
    #[error("the bundle cannot be used: {reason}")]
    Bundle { reason: String },
    /// The registry did not return the data.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The bundle's catalogue has no valid beginning.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The log's head is malformed.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The bundle's first root is not the trusted one.
    #[error("the bundle is for another catalogue: its first root is not the one that this home trusts")]
    OtherRoot,
}
