//! Memory for weights: zeroed, aligned to pages, in huge pages if the system has them.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::Zeroable;

/// Alignment of every matrix: a cache line, which is at least the alignment of every number.
const LINE: usize = 64;

/// One mapping from which all weights of a model are allocated, so that small matrices share huge pages.
#[derive(Debug)]
pub(in crate::inference) struct Arena {
    mapping: Arc<Mapping>,
    /// Bytes that are allocated.
    taken: AtomicUsize,
}

impl Arena {
    /// An arena of `bytes`.
    ///
    /// # Errors
    /// The system's error if it has no memory.
    pub(in crate::inference) fn new(bytes: usize) -> std::io::Result<Self> {
        Ok(Self { mapping: Arc::new(Mapping::new(bytes)?), taken: AtomicUsize::new(0) })
    }

    /// Bytes that `count` values of `T` take; `None` on overflow.
    pub(in crate::inference) fn bytes<T>(count: usize) -> Option<usize> {
        count.checked_mul(size_of::<T>())?.checked_next_multiple_of(LINE)
    }

    /// Allocates `count` values of `T`, all bytes zero.
    ///
    /// # Errors
    /// `OutOfMemory` if less is left.
    pub(in crate::inference) fn take<T: Zeroable>(&self, count: usize) -> std::io::Result<Memory<T>> {
        const { assert!(align_of::<T>() <= LINE, "no number has a greater alignment") };
        let more = |taken: usize| {
            taken.checked_add(Self::bytes::<T>(count)?).filter(|&end| end <= self.mapping.bytes)
        };
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let first = taken.map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let at = self.mapping.at.wrapping_add(first).cast();
        Ok(Memory { at, count, _mapping: Arc::clone(&self.mapping), owns: PhantomData })
    }
}

/// A fixed number of `T`, initially all bytes zero. No page is touched before its first write, so the threads that pack weights also
/// share the work of faulting in pages.
pub(in crate::inference) struct Memory<T> {
    at: *mut T,
    count: usize,
    /// Keeps the memory behind `at` mapped.
    _mapping: Arc<Mapping>,
    owns: PhantomData<T>,
}

// SAFETY: it owns the values behind `at`, as a `Box<[T]>` does: `Arena::take` allocates no byte twice, and `_mapping` keeps them.
unsafe impl<T: Send> Send for Memory<T> {}
// SAFETY: as above; shared references only read.
unsafe impl<T: Sync> Sync for Memory<T> {}

impl<T: Zeroable> Memory<T> {
    /// `count` values in a mapping of their own.
    ///
    /// # Errors
    /// The system's error if it has no memory.
    pub(in crate::inference) fn zeroed(count: usize) -> std::io::Result<Self> {
        Arena::new(Arena::bytes::<T>(count).ok_or(std::io::ErrorKind::OutOfMemory)?)?.take(count)
    }
}

/// A zeroed mapping from the system.
struct Mapping {
    at: *mut u8,
    bytes: usize,
}

// SAFETY: it is only an address and a length; the code that reads or writes through it proves its own accesses.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

#[cfg(unix)]
impl Mapping {
    fn new(bytes: usize) -> std::io::Result<Self> {
        use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

        if bytes > isize::MAX as usize {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        // The system refuses an empty range.
        let length = bytes.max(1);
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping of `length` bytes at an address that the system chooses overlaps nothing.
        let at = unsafe { mmap_anonymous(std::ptr::null_mut(), length, rights, MapFlags::PRIVATE) }?;
        #[cfg(target_os = "linux")]
        // SAFETY: the range is the mapping made above; the advice changes neither contents nor rights. A failure is harmless.
        let _ = unsafe { madvise(at, length, Advice::LinuxHugepage) };
        #[cfg(target_os = "linux")]
        // SAFETY: as above. It keeps opened weights out of core dumps.
        let _ = unsafe { madvise(at, length, Advice::LinuxDontDump) };
        Ok(Self { at: at.cast(), bytes })
    }
}

#[cfg(unix)]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `at` is the beginning of a mapping of this many bytes that no other code unmaps. No `Memory` refers to it, because
        // each keeps the mapping alive; and numbers need no drop.
        let _ = unsafe { rustix::mm::munmap(self.at.cast(), self.bytes.max(1)) };
    }
}

#[cfg(not(unix))]
impl Mapping {
    fn new(bytes: usize) -> std::io::Result<Self> {
        let layout = Self::layout(bytes).ok_or(std::io::ErrorKind::OutOfMemory)?;
        // SAFETY: the layout's size is not zero.
        let at = unsafe { std::alloc::alloc_zeroed(layout) };
        if at.is_null() { Err(std::io::ErrorKind::OutOfMemory.into()) } else { Ok(Self { at, bytes }) }
    }

    fn layout(bytes: usize) -> Option<std::alloc::Layout> {
        std::alloc::Layout::from_size_align(bytes.max(1), LINE).ok()
    }
}

#[cfg(not(unix))]
impl Drop for Mapping {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.bytes) {
            // SAFETY: `new` allocated `at` with this layout, and no `Memory` refers to it, because each keeps the mapping alive.
            unsafe { std::alloc::dealloc(self.at, layout) };
        }
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapping({} bytes)", self.bytes)
    }
}

impl<T: Zeroable + Copy> Memory<T> {
    /// A copy.
    ///
    /// # Errors
    /// As [`Self::zeroed`].
    pub(in crate::inference) fn duplicate(&self) -> std::io::Result<Self> {
        let mut copy = Self::zeroed(self.count)?;
        copy.copy_from_slice(self);
        Ok(copy)
    }
}

impl<T> Deref for Memory<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `at` points to `count` values of `T` that only `self` owns; they are valid because all their bytes were zero
        // (`Zeroable`), and `_mapping` keeps them while `self` lives.
        unsafe { std::slice::from_raw_parts(self.at, self.count) }
    }
}

impl<T> DerefMut for Memory<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`; `self` is borrowed mutably, so this is the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.count) }
    }
}

impl<T> std::fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} × {} bytes)", self.count, size_of::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zero_and_keeps_writes() {
        for count in [0, 1, 5_000, 3 << 20] {
            let mut memory = Memory::<u32>::zeroed(count).unwrap();
            assert_eq!(memory.len(), count);
            assert!(memory.iter().all(|&n| n == 0));
            for (i, n) in memory.iter_mut().enumerate() {
                *n = i as u32;
            }
            assert!(memory.duplicate().unwrap().iter().enumerate().all(|(i, &n)| n == i as u32));
        }
    }

    #[test]
    fn allocations_of_an_arena_do_not_overlap_and_outlive_it() {
        let arena =
            Arena::new(2 * Arena::bytes::<u32>(5).unwrap() + Arena::bytes::<u8>(100).unwrap()).unwrap();
        let (mut a, mut b) = (arena.take::<u32>(5).unwrap(), arena.take::<u8>(100).unwrap());
        let mut c = arena.take::<u32>(5).unwrap();
        assert!(arena.take::<u8>(1).is_err());
        assert!(arena.take::<u8>(0).unwrap().is_empty());
        drop(arena);
        a.fill(1);
        b.fill(2);
        c.fill(3);
        assert!(a.iter().all(|&n| n == 1) && b.iter().all(|&n| n == 2) && c.iter().all(|&n| n == 3));
        assert!(
            [a.as_ptr() as usize, b.as_ptr() as usize, c.as_ptr() as usize].iter().all(|at| at % 64 == 0)
        );
    }

    #[test]
    fn more_memory_than_the_system_has_is_an_error() {
        assert!(Memory::<u64>::zeroed(usize::MAX / 4).is_err());
        assert!(Memory::<u64>::zeroed(usize::MAX).is_err());
    }
}
