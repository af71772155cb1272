//! Why an audit cannot begin or go on; what it finds is no error, but its result.

use std::io;

use crate::client::remote::RemoteError;
use crate::{catalogue, log};

/// A bundle cannot be made or read.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file, or the place for it, fails.
    #[error("cannot read or write the bundle file")]
    Io(#[from] io::Error),
    /// A bundle that was cut off, altered, or is none.
    #[error("the bundle cannot be used: {reason}")]
    Bundle { reason: String },
    /// The registry does not give what an auditor asks for.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The catalogue in it does not even begin.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The log's head is none.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// A first root of another catalogue than the one that is trusted.
    #[error("the bundle is for another catalogue: its first root is not the one that this home trusts")]
    OtherRoot,
}
