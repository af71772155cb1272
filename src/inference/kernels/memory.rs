//! Memory for weights: zeroed, aligned to pages, in large pages where the system has them.

use std::ops::{Deref, DerefMut};

use bytemuck::Zeroable;

/// A fixed number of `T`, all bytes zero to begin with. Nothing is touched before it is written, so that the threads that
/// pack weights share the work of getting the pages, too.
pub(in crate::inference) struct Memory<T> {
    at: *mut T,
    count: usize,
}

// SAFETY: it owns what it points to, as a `Box<[T]>` does.
unsafe impl<T: Send> Send for Memory<T> {}
// SAFETY: as above; shared references only read.
unsafe impl<T: Sync> Sync for Memory<T> {}

#[cfg(unix)]
impl<T: Zeroable> Memory<T> {
    /// Room for `count`.
    ///
    /// # Errors
    /// What the system says where it has no memory.
    pub(in crate::inference) fn zeroed(count: usize) -> std::io::Result<Self> {
        use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

        let bytes = count.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= isize::MAX as usize);
        let bytes = bytes.ok_or(std::io::ErrorKind::OutOfMemory)?;
        if bytes == 0 {
            return Ok(Self { at: std::ptr::NonNull::dangling().as_ptr(), count });
        }
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping of `bytes` bytes at an address of the system's choice overlaps nothing.
        let at = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, rights, MapFlags::PRIVATE) }?;
        #[cfg(target_os = "linux")]
        // SAFETY: the range is the mapping made above; the advice changes neither contents nor rights. It is only a hint.
        let _ = unsafe { madvise(at, bytes, Advice::LinuxHugepage) };
        const { assert!(align_of::<T>() <= 4096, "pages are aligned to no more") };
        Ok(Self { at: at.cast(), count })
    }
}

#[cfg(unix)]
impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        let bytes = self.count * size_of::<T>();
        if bytes > 0 {
            // SAFETY: `at` is the beginning of a mapping of this many bytes that nobody else unmaps or still refers to. `T`
            // was made of zeros and is plain numbers: nothing needs dropping.
            let _ = unsafe { rustix::mm::munmap(self.at.cast(), bytes) };
        }
    }
}

#[cfg(not(unix))]
impl<T: Zeroable> Memory<T> {
    /// Room for `count`.
    ///
    /// # Errors
    /// None: where there is no memory the program ends.
    pub(in crate::inference) fn zeroed(count: usize) -> std::io::Result<Self> {
        let numbers = bytemuck::zeroed_slice_box::<T>(count);
        Ok(Self { at: Box::into_raw(numbers).cast(), count })
    }
}

#[cfg(not(unix))]
impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: `zeroed` took this pointer out of a box of so many.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.at, self.count)) });
    }
}

impl<T: Zeroable + Copy> Memory<T> {
    /// Another of the same contents.
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
        // SAFETY: `at` points to `count` values of `T`, whole since all their bytes were zero, for as long as `self` lives.
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
    fn it_is_zero_and_takes_what_is_written() {
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
    fn more_than_there_is_is_an_error() {
        assert!(Memory::<u64>::zeroed(usize::MAX / 4).is_err());
        assert!(Memory::<u64>::zeroed(usize::MAX).is_err());
    }
}
