//! Hashes files: each in one thread, since SHA-256 is sequential.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::digest::{Sha256Digest, Sha256Hasher};

/// Bytes per read: small enough to stay in a core's cache between read and hash.
const BLOCK: usize = 1 << 18;

/// Returns the size and SHA-256 of a file; calls `advance` with the size of each block.
pub(super) fn hash_file(file: &File, mut advance: impl FnMut(u64)) -> io::Result<(u64, Sha256Digest)> {
    let mut hasher = Sha256Hasher::default();
    let mut buffer = vec![0; BLOCK];
    let mut size = 0;
    loop {
        match file.read_at(&mut buffer, size) {
            Ok(0) => return Ok((size, hasher.finish())),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                size += read as u64;
                advance(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
