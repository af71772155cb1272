//! Reads small files of unknown origin whole, but never more of them than is accepted.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::Error;

/// Longest accepted `config.json` or `hparams.json`.
pub(super) const CONFIG: u64 = 1 << 20;
/// Longest accepted `vocab.json` or `merges.txt`; GPT-2's vocabulary takes 1 MB.
pub(super) const TOKENIZER: u64 = 64 << 20;

/// The bytes of a file that must not be longer than `most`.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > most {
        let path = path.to_owned();
        return Err(Error::TooLong { path, most });
    }
    Ok(bytes)
}
