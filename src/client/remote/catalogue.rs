//! The catalogue of a registry over HTTP, for the TUF client.

use reqwest::StatusCode;

use super::http::ApiRequest;
use super::{RemoteError, RemoteRegistry};
use crate::catalogue::{Error, Remote};

impl Remote for RemoteRegistry {
    fn fetch(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut segments = vec!["v1", "catalogue"];
        segments.extend(path.split('/'));
        let answer = match self.http.ask(&ApiRequest::get(&segments, max), None) {
            Err(RemoteError::Unexpected { .. }) => {
                return Err(Error::TooLong { file: path.to_owned(), max });
            }
            answer => answer?,
        };
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(answer.success()?))
    }
}
