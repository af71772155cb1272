//! The log of a registry over HTTP. Its tiles are believed only as far as they fit a head.

use super::http::ApiRequest;
use super::{MAX_ANSWER, RemoteError, RemoteRegistry};
use crate::api::{AuditPage, LogReceipt};
use crate::digest::Sha256Digest;
use crate::log::{EntryKind, Error, Part, Tiles};

/// Longest bundle: 256 entries of 65,535 bytes, each with its length.
const MAX_BUNDLE: u64 = 256 * 65_537;

/// Longest page for auditors: statements of 500 entries, a MiB each at most and far less as a rule.
const MAX_AUDIT_PAGE: u64 = 512 << 20;

impl RemoteRegistry {
    /// The log's head, as its note.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn log_head(&self) -> Result<Vec<u8>, RemoteError> {
        self.http.ask(&ApiRequest::get(&["log", "checkpoint"], MAX_ANSWER), None)?.success()
    }

    /// The last entry of a kind that records `statement`, with its proof.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn log_receipt(&self, kind: EntryKind, statement: Sha256Digest) -> Result<LogReceipt, RemoteError> {
        let digest = statement.to_string();
        let path = ["v1", "log", "receipts", kind.as_str(), digest.as_str()];
        self.http.ask(&ApiRequest::get(&path, MAX_ANSWER), None)?.json()
    }
}

impl RemoteRegistry {
    /// The log with what it records, from a place on; for auditors.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn audit_page(&self, from: u64) -> Result<AuditPage, RemoteError> {
        let mut ask = ApiRequest::get(&["v1", "audit", "records"], MAX_AUDIT_PAGE);
        ask.query = vec![("from", from.to_string())];
        self.ask_signed_in(&ask)?.json()
    }
}

impl Tiles for RemoteRegistry {
    fn read(&self, part: Part) -> Result<Vec<u8>, Error> {
        let name = part.to_string();
        let mut path = vec!["log"];
        path.extend(name.split('/'));
        let answer = self.http.ask(&ApiRequest::get(&path, MAX_BUNDLE), None);
        answer
            .and_then(super::http::Answer::success)
            .map_err(|error| Error::Tile { path: name.clone(), reason: error.to_string() })
    }
}
