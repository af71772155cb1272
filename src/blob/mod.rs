//! Chunks by content address: in a folder, or in a store that speaks S3.
//!
//! Everything kept here is ciphertext under the SHA-256 of its bytes, so any cache may hold it, and nothing is taken in under a name
//! that is not its digest. In a folder a chunk is written beside its name, synced and renamed: what has its name is whole.

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

/// A piece of a chunk as it comes.
pub type Piece = Result<Bytes, Error>;

/// A store of chunks.
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
    /// The store of a place: a folder, made where it is missing, or `s3://<bucket>/<prefix>` with the endpoint, region and keys that
    /// the environment's `AWS_*` variables name.
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

    /// Keeps a chunk; whether it was new.
    ///
    /// # Errors
    /// [`Error::WrongDigest`] where it is not the one that its name tells, [`Error::Io`], [`Error::Store`].
    pub async fn put(&self, digest: Sha256Digest, bytes: Bytes) -> Result<bool, Error> {
        let checked = bytes.clone();
        let found = blocking(move || Ok(Sha256Digest::of(&checked))).await?;
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

    /// How many bytes a chunk has; `None` where it is not here.
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

    /// A chunk's bytes in `range`, as they come.
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

    /// A URL under which anybody can read the chunk for a while; `None` where it lies in a folder.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn presigned(&self, digest: Sha256Digest, valid: Duration) -> Result<Option<String>, Error> {
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

/// Where a chunk lies: 256 folders keep a folder's listing short.
fn name(digest: Sha256Digest) -> String {
    let digest = digest.to_string();
    format!("{}/{digest}", digest.get(..2).unwrap_or_default())
}

fn key(prefix: &str, digest: Sha256Digest) -> Key {
    let name = name(digest);
    Key::from(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
}
