//! A content-addressed store of chunks, in a folder or in an S3 bucket.
//!
//! The store holds ciphertext only, each chunk under the SHA-256 of its bytes, and refuses bytes with another digest. Any cache may hold
//! copies. In a folder, a chunk is written to a temporary file, synced and renamed: a file with a chunk's name is complete.

mod error;
mod folder;

pub use error::Error;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::signer::Signer as _;
use object_store::{GetOptions, GetRange, ObjectStoreExt as _, PutPayload};

use crate::digest::Sha256Digest;

/// Some bytes of a chunk's stream.
pub type Piece = Result<Bytes, Error>;

/// A store of chunks; clones share it.
#[derive(Debug, Clone)]
pub struct Blobs {
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(PathBuf),
    S3 { store: Arc<AmazonS3>, prefix: String },
}

impl Blobs {
    /// Opens the store at `place`: a folder, which is created if it does not exist, or `s3://<bucket>/<prefix>` with the endpoint, region
    /// and keys of the `AWS_*` environment variables.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Store`].
    pub fn open(place: &str) -> Result<Self, Error> {
        let place = match place.strip_prefix("s3://") {
            Some(rest) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let store = Arc::new(AmazonS3Builder::from_env().with_bucket_name(bucket).build()?);
                Place::S3 { store, prefix: prefix.trim_matches('/').to_owned() }
            }
            None => Place::Folder(folder::create(place)?),
        };
        Ok(Self { place })
    }

    /// Stores a chunk and returns whether it is new.
    ///
    /// # Errors
    /// [`Error::WrongDigest`] if `bytes` do not have this digest, [`Error::Io`], [`Error::Store`].
    pub async fn put(&self, digest: Sha256Digest, bytes: Bytes) -> Result<bool, Error> {
        let checked = bytes.clone();
        let found = blocking(move || Ok(Sha256Digest::compute(&checked))).await?;
        if found != digest {
            return Err(Error::WrongDigest { expected: digest, found });
        }
        if self.size(digest).await?.is_some() {
            return Ok(false);
        }
        match &self.place {
            Place::Folder(folder) => {
                let path = folder.join(name(digest));
                blocking(move || folder::write_whole(&path, &bytes)).await?;
            }
            Place::S3 { store, prefix } => {
                drop(store.put(&key(prefix, digest), PutPayload::from(bytes)).await?)
            }
        }
        Ok(true)
    }

    /// Returns the size of a chunk in bytes, or `None` if the store does not have it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Store`].
    pub async fn size(&self, digest: Sha256Digest) -> Result<Option<u64>, Error> {
        match &self.place {
            Place::Folder(folder) => {
                let path = folder.join(name(digest));
                blocking(move || folder::size(&path)).await
            }
            Place::S3 { store, prefix } => match store.head(&key(prefix, digest)).await {
                Ok(meta) => Ok(Some(meta.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Streams the bytes of a chunk in `range`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Store`].
    pub async fn stream(
        &self,
        digest: Sha256Digest,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Piece>, Error> {
        match &self.place {
            Place::Folder(folder) => folder::stream(folder.join(name(digest)), range).await,
            Place::S3 { store, prefix } => {
                let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
                use object_store::ObjectStore as _;
                let found = store.get_opts(&key(prefix, digest), options).await?;
                Ok(found.into_stream().map_err(Error::from).boxed())
            }
        }
    }

    /// Returns a URL that lets any client read the chunk for the time `valid`, or `None` if the store is a folder.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn presign(&self, digest: Sha256Digest, valid: Duration) -> Result<Option<String>, Error> {
        match &self.place {
            Place::Folder(_) => Ok(None),
            Place::S3 { store, prefix } => {
                Ok(Some(store.signed_url(Method::GET, &key(prefix, digest), valid).await?.to_string()))
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Cancelled)?
}

/// The path of a chunk below the store: 256 folders keep listings short.
fn name(digest: Sha256Digest) -> String {
    let digest = digest.to_string();
    format!("{}/{digest}", digest.get(..2).unwrap_or_default())
}

fn key(prefix: &str, digest: Sha256Digest) -> Key {
    let name = name(digest);
    Key::from(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
}
