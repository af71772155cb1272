//! Memory for keys, and protection of the process that holds them.
//!
//! Each secret has its own page, which is kept out of swap and core dumps if the system allows it, and is wiped on drop. A key in use
//! still passes through registers and the stack, and libraries keep derived values (AES round keys) in ordinary memory. Therefore the
//! process also disables core dumps and denies other processes of the same user access to its memory.

use std::fmt;

use memmap2::MmapMut;
use zeroize::{Zeroize as _, Zeroizing};

/// Secret bytes: never printed, never cloned, wiped on drop.
pub(crate) struct SecretBytes(Memory);

enum Memory {
    Page(MmapMut, usize),
    /// If the system provides no page.
    Heap(Zeroizing<Box<[u8]>>),
}

impl SecretBytes {
    /// Allocates `length` zero bytes.
    pub(crate) fn zeroed(length: usize) -> Self {
        let Ok(page) = MmapMut::map_anon(length.max(1)) else {
            return Self(Memory::Heap(Zeroizing::new(vec![0; length].into())));
        };
        // Both may fail: systems limit how much memory a user may lock. Core dumps are disabled in any case.
        drop(page.lock());
        #[cfg(target_os = "linux")]
        drop(page.advise(memmap2::Advice::DontDump));
        Self(Memory::Page(page, length))
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Self {
        let mut secret = Self::zeroed(bytes.len());
        secret.bytes_mut().copy_from_slice(bytes);
        secret
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Memory::Page(page, length) => &page[..*length],
            Memory::Heap(bytes) => bytes,
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Memory::Page(page, length) => &mut page[..*length],
            Memory::Heap(bytes) => bytes,
        }
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes")
    }
}

/// Disables core dumps, and denies other processes of the same user access to this process's memory. Does nothing if the system does not
/// support it or refuses.
pub(crate) fn guard_process() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    // The limit does not apply to dumps that the system pipes to a program.
    #[cfg(target_os = "linux")]
    {
        _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_and_not_printed() {
        for length in [0, 1, 32, 5000] {
            let bytes = vec![7; length];
            let mut secret = SecretBytes::from_slice(&bytes);
            assert_eq!(secret.bytes(), bytes);
            if let Some(first) = secret.bytes_mut().first_mut() {
                *first = 9;
                assert_eq!(secret.bytes()[0], 9);
            }
            assert_eq!(format!("{secret:?}"), "SecretBytes");
        }
    }
}
