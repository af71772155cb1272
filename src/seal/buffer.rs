//! Memory for chunks: in large pages if the system has them, reused for later chunks, and wiped before it is freed.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;
use zeroize::Zeroize as _;

use super::CHUNK_TAG;

/// A chunk's bytes with room for its tag, wiped on drop.
pub(super) struct Buffer {
    memory: MmapMut,
    length: usize,
}

impl Buffer {
    /// Allocates `length` zero bytes.
    ///
    /// # Errors
    /// The system's error if it has no memory.
    fn zeroed(length: usize) -> io::Result<Self> {
        let room = length.checked_add(CHUNK_TAG as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = MmapMut::map_anon(room)?;
        // A hint. Allocating small pages takes as long as the cipher.
        #[cfg(target_os = "linux")]
        drop(memory.advise(memmap2::Advice::HugePage));
        // Keep plaintext out of a core dump, in case there is one.
        #[cfg(target_os = "linux")]
        drop(memory.advise(memmap2::Advice::DontDump));
        Ok(Self { memory, length })
    }

    /// Appends the tag to the ciphertext.
    pub(super) fn append_tag(&mut self, tag: &[u8]) {
        let end = self.length + tag.len();
        self.memory[self.length..end].copy_from_slice(tag);
        self.length = end;
    }

    /// Shortens the buffer to at most `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }
}

impl Drop for Buffer {
    /// Wipes by words: byte by byte, as [`zeroize::Zeroize`] does for bytes, some chunks take longer than computing a token.
    fn drop(&mut self) {
        let (first, words, last) = bytemuck::pod_align_to_mut::<u8, u64>(&mut self.memory);
        first.zeroize();
        words.zeroize();
        last.zeroize();
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.length)
    }
}

/// Free buffers for reuse: fresh memory costs about as much time as the cipher.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Buffer>>);

impl Buffers {
    /// Takes a buffer of `length` bytes with arbitrary contents.
    ///
    /// # Errors
    /// The system's error if it has no memory.
    pub(super) fn take(&self, length: usize) -> io::Result<Buffer> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Buffer| buffer.memory.len() - CHUNK_TAG as usize >= length;
        let Some(at) = free.iter().rposition(fits) else {
            drop(free);
            return Buffer::zeroed(length);
        };
        let mut buffer = free.swap_remove(at);
        buffer.length = length;
        Ok(buffer)
    }

    /// Returns a buffer for reuse.
    pub(super) fn give(&self, buffer: Buffer) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Buffer {
        /// A buffer of these bytes.
        pub(in crate::seal) fn from_bytes(bytes: &[u8]) -> Self {
            let mut buffer = Self::zeroed(bytes.len()).unwrap();
            buffer.copy_from_slice(bytes);
            buffer
        }
    }

    #[test]
    fn a_buffer_serves_again_where_it_is_large_enough() {
        let buffers = Buffers::default();
        let mut large = buffers.take(5000).unwrap();
        large.append_tag(&[7; 16]);
        assert_eq!(large.len(), 5016);
        let at = large.as_ptr();
        buffers.give(large);
        buffers.give(buffers.take(6000).unwrap());
        let again = buffers.take(5000).unwrap();
        assert_eq!(again.len(), 5000);
        buffers.give(again);
        let (one, other) = (buffers.take(10).unwrap(), buffers.take(4000).unwrap());
        assert!(one.as_ptr() == at || other.as_ptr() == at, "memory is used again");
        assert_eq!((one.len(), other.len()), (10, 4000));
        let fresh = buffers.take(1).unwrap();
        assert!(fresh.as_ptr() != at && fresh.as_ptr() != one.as_ptr(), "what is in use serves nobody else");
    }
}
