//! Memory for keys: a page of their own, kept out of swap and of core dumps where the system lets us, and wiped at the end; and a process that
//! leaves no dump.
//!
//! A key that is used passes through registers and the stack for a moment, and libraries hold what they derive from it (AES's round keys) in
//! ordinary memory. The process leaves no core dump, and no other process of the same person may attach to it or read its memory.

use std::fmt;

use memmap2::MmapMut;
use zeroize::{Zeroize as _, Zeroizing};

/// Secret bytes. They are not printed, not copied, and wiped when they are dropped.
pub struct SecretBytes(Memory);

enum Memory {
    Page(MmapMut, usize),
    /// Where the system has no page to give.
    Heap(Zeroizing<Box<[u8]>>),
}

impl SecretBytes {
    /// So many bytes, all zero.
    pub fn zeroed(length: usize) -> Self {
        let Ok(page) = MmapMut::map_anon(length.max(1)) else {
            return Self(Memory::Heap(Zeroizing::new(vec![0; length].into())));
        };
        // Both may be refused: a person may lock little memory, and some systems none. The process leaves no dump in any case.
        drop(page.lock());
        #[cfg(target_os = "linux")]
        drop(page.advise(memmap2::Advice::DontDump));
        Self(Memory::Page(page, length))
    }

    /// A copy of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut secret = Self::zeroed(bytes.len());
        secret.bytes_mut().copy_from_slice(bytes);
        secret
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Memory::Page(page, length) => &page[..*length],
            Memory::Heap(bytes) => bytes,
        }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
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

/// Sees to it that this process leaves no core dump, and that no other process of the same person may attach to it or read its memory. Where the
/// system has no such switch, or refuses, it goes on as it is.
pub fn guard_process() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    // A dump that is handed to a program is bound by no limit.
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
            let mut secret = SecretBytes::of(&bytes);
            assert_eq!(secret.bytes(), bytes);
            if let Some(first) = secret.bytes_mut().first_mut() {
                *first = 9;
                assert_eq!(secret.bytes()[0], 9);
            }
            assert_eq!(format!("{secret:?}"), "SecretBytes");
        }
    }
}
