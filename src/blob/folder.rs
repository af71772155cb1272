//! Chunks in a folder. Each is written to a temporary file, synced and renamed, so that a file with a chunk's name is complete.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::{Error, Piece, blocking};

/// Bytes per read.
const PIECE: u64 = 128 << 10;

pub(super) fn create(place: &str) -> Result<PathBuf, Error> {
    let folder = PathBuf::from(place);
    fs::create_dir_all(&folder).map_err(refused(&folder))?;
    Ok(folder)
}

pub(super) fn size(path: &Path) -> Result<Option<u64>, Error> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused(path)(error)),
    }
}

/// Streams the bytes of a file in `range`.
pub(super) async fn stream(path: PathBuf, range: Range<u64>) -> Result<BoxStream<'static, Piece>, Error> {
    let opened = path.clone();
    let file = blocking(move || {
        let mut file = File::open(&opened).map_err(refused(&opened))?;
        file.seek(SeekFrom::Start(range.start)).map_err(refused(&opened))?;
        Ok(file)
    })
    .await?;
    let rest = range.end.saturating_sub(range.start);
    let pieces = stream::try_unfold((file, path, rest), |(file, path, rest)| async move {
        if rest == 0 {
            return Ok(None);
        }
        let (piece, file, path) = blocking(move || {
            let mut piece = Vec::with_capacity(usize::try_from(rest.min(PIECE)).unwrap_or_default());
            (&file).take(rest.min(PIECE)).read_to_end(&mut piece).map_err(refused(&path))?;
            Ok((piece, file, path))
        })
        .await?;
        let came = piece.len() as u64;
        if came == 0 {
            return Err(refused(&path)(ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some((Bytes::from(piece), (file, path, rest - came))))
    });
    Ok(pieces.boxed())
}

pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(refused(path))?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent).map_err(refused(path))?;
    file.write_all(bytes).map_err(refused(path))?;
    file.as_file().sync_all().map_err(refused(path))?;
    file.persist(path).map_err(|error| refused(path)(error.error))?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(refused(path))
}

fn refused(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}
