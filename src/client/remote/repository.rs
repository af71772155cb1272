//! Any TUF repository over HTTP, by the addresses of its metadata and of its targets.

use std::sync::Arc;

use reqwest::StatusCode;

use super::http::{ApiRequest, Http};
use super::{Patience, RemoteError, UnmonitoredLine};
use crate::catalogue::{Error, Remote};
use crate::checkpoint::fetch::BaseUrl;

/// A repository whose metadata and targets lie below two addresses.
pub struct TufRepository {
    metadata: Http,
    targets: Http,
}

impl TufRepository {
    /// The repository at these addresses.
    ///
    /// # Errors
    /// [`RemoteError::Client`].
    pub fn new(metadata: &BaseUrl, targets: &BaseUrl) -> Result<Self, RemoteError> {
        let http = |base: &BaseUrl| Http::new(base.clone(), Patience::NORMAL, Arc::new(UnmonitoredLine));
        Ok(Self { metadata: http(metadata)?, targets: http(targets)? })
    }
}

impl Remote for TufRepository {
    fn fetch(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let (http, path) = match path.split_once('/') {
            Some(("metadata", file)) => (&self.metadata, file),
            Some(("targets", file)) => (&self.targets, file),
            _ => return Ok(None),
        };
        // Names of files are encoded already, and the URL encodes each of its parts again.
        let parts: Vec<String> = path.split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let answer = match http.ask(&ApiRequest::get(&parts, max), None) {
            Err(RemoteError::Unexpected { .. }) => {
                return Err(Error::TooLong { file: path.to_owned(), max });
            }
            answer => answer?,
        };
        match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(None),
            _ => Ok(Some(answer.success()?)),
        }
    }
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        match piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&piece.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
