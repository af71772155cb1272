//! Pages of lists. A page continues after a row that the reader was shown; a number would count rows of others.

use std::fmt;
use std::str::FromStr;

use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::store::{MAX_ROWS, RequestRow, StatementRow};

/// The requested part of a list.
#[derive(Debug, Clone, Copy)]
pub struct ListRange {
    /// The row after which to begin.
    pub after: Option<Cursor>,
    /// Maximum number of rows, at most [`MAX_ROWS`].
    pub limit: i64,
}

impl ListRange {
    /// The first rows, as many as one page holds.
    pub const FIRST: Self = Self { after: None, limit: MAX_ROWS };

    pub(super) fn limit(self) -> i64 {
        self.limit.clamp(1, MAX_ROWS)
    }

    pub(super) fn rows(self) -> usize {
        usize::try_from(self.limit()).unwrap_or(1)
    }
}

/// The row after which the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The row's digest.
    pub digest: Sha256Digest,
    /// The signer of the row's envelope; of a request, its author.
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

/// The text is not a [`Cursor`].
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

/// A page of a list.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
pub struct ListPage<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}
