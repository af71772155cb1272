//! Reads small untrusted files with a size limit.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::Error;

/// Longest accepted `config.json` or `hparams.json`, in bytes.
pub(super) const CONFIG: u64 = 1 << 20;
/// Longest accepted `vocab.json` or `merges.txt`, in bytes; GPT-2's vocabulary has 1 MB.
pub(super) const TOKENIZER: u64 = super::tokenizer_files::FILE_BYTES as u64;

/// Opens a regular file and returns its size. Other kinds of files are refused before opening: a pipe would block.
pub(super) fn open(path: &Path) -> Result<(File, u64), Error> {
    let metadata = path.metadata().map_err(Error::io("open", path))?;
    if !metadata.is_file() {
        let refusal = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(Error::io("open", path)(refusal));
    }
    let file = File::open(path).map_err(Error::io("open", path))?;
    let size = file.metadata().map_err(Error::io("read", path))?.len();
    Ok((file, size))
}

/// Reads a file of at most `max` bytes.
pub(super) fn read(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let (file, size) = open(path)?;
    if size > max {
        return Err(Error::TooLong { path: path.to_owned(), size, max });
    }
    let mut bytes = Vec::new();
    file.take(max) // the file may be growing
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    Ok(bytes)
}
