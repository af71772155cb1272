//! Parts of lists, and where the next part begins: after a row that the reader was shown, not at a number, which would count rows of others.

use std::fmt;
use std::str::FromStr;

use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::store::{MAX_ROWS, RequestRow, StatementRow};

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub struct ListRange {
    /// What comes after this row.
    pub after: Option<Cursor>,
    /// Maximum number rows, [`MAX_ROWS`] at the most.
    pub limit: i64,
}

impl ListRange {
    /// The first rows, as many as one answer holds.
    pub const FIRST: Self = Self { after: None, limit: MAX_ROWS };

    pub(super) fn limit(self) -> i64 {
        self.limit.clamp(1, MAX_ROWS)
    }

    pub(super) fn rows(self) -> usize {
        usize::try_from(self.limit()).unwrap_or(1)
    }
}

/// A row that its reader was shown, after which the next part of a list begins. It counts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The row's digest.
    pub digest: Sha256Digest,
    /// Whose envelope it is; of a request, who asks.
    pub signer: KeyId,
}

impl Cursor {
    pub(super) fn from_statement(row: &StatementRow) -> Self {
        Self { digest: row.digest, signer: row.signer }
    }

    pub(super) fn from_request(row: &RequestRow) -> Self {
        Self { digest: row.digest, signer: row.holder }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.digest, self.signer)
    }
}

/// A text is no [`Cursor`].
#[derive(Debug, thiserror::Error)]
#[error("not a cursor that a page gave as `next`")]
pub struct CursorError;

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (digest, signer) = text.split_once('.').ok_or(CursorError)?;
        Ok(Self {
            digest: digest.parse().map_err(|_| CursorError)?,
            signer: signer.parse().map_err(|_| CursorError)?,
        })
    }
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct ListPage<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// After which row the next part begins; `None` at the end.
    pub next: Option<Cursor>,
}
