//! Small files that commands are given by name: read whole, bounded, and named in every refusal.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::failure::Refusal;
use crate::statement::Envelope;

/// Longest statement or text file that a command accepts.
const MOST_BYTES: u64 = 1 << 20;

/// Reads a file of at most `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > most {
        let message = format!("{} is longer than {most} bytes", path.display());
        return Err(Refusal::unverified(message, "check that it is the file you mean").into());
    }
    Ok(bytes)
}

/// Reads a signed statement; nothing of it is verified yet.
pub(super) fn envelope(path: &Path) -> anyhow::Result<Envelope> {
    Envelope::parse(&read(path, MOST_BYTES)?).with_context(|| format!("cannot use {}", path.display()))
}
