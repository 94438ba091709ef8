// SPDX-License-Identifier: GPL-2.0

//! Pages of another domain in this program's memory. They are copied, never referenced.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use xen_ring::RingMem;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Pages that another domain has granted, mapped as long as a clone of this exists.
#[derive(Clone, Debug)]
pub struct Mapping(Arc<Area>);

/// A part of this program's memory.
///
/// # Invariants
///
/// `base` is the page-aligned start of `len` bytes that are mapped as long as the value exists, to write too if `writable` says
/// so, and that only volatile and atomic accesses touch.
#[derive(Debug)]
struct Area {
    base: NonNull<u8>,
    len: usize,
    writable: bool,
}

// SAFETY: by the type invariant all accesses are volatile or atomic, and the memory is changed by another domain anyway.
unsafe impl Send for Area {}

// SAFETY: by the type invariant all accesses are volatile or atomic, and the memory is changed by another domain anyway.
unsafe impl Sync for Area {}

impl Mapping {
    /// Maps a part of a device file whose pages belong to nobody else in this program.
    pub(super) fn of(
        file: impl AsFd,
        offset: u64,
        pages: usize,
        writable: bool,
    ) -> io::Result<Self> {
        let len = pages * PAGE;
        let access = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: the kernel chooses the address, so no memory that is in use is replaced.
        let base = unsafe { mmap(null_mut(), len, access, MapFlags::SHARED, file, offset) }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Self(Arc::new(Area {
            base,
            len,
            writable,
        })))
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.0.len / PAGE
    }

    /// Copies eight bytes at a time out of a page.
    pub fn read_page(&self, page: usize) -> [u8; PAGE] {
        let mut copy = [0; PAGE];
        for (word, bytes) in copy.chunks_exact_mut(8).enumerate() {
            let value: u64 = self.read(page * PAGE + word * 8);
            bytes.copy_from_slice(&value.to_ne_bytes());
        }
        copy
    }

    /// Copies bytes to an offset; what does not fit is left out, and so are pages that are mapped to read only.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        if !self.0.writable {
            return;
        }
        for (at, byte) in (offset..self.0.len).zip(bytes) {
            // SAFETY: by the type invariant `at`, less than `len`, is mapped to be written.
            unsafe { self.at::<u8>(at).write_volatile(*byte) };
        }
    }

    /// Where a value is.
    fn at<T>(&self, offset: usize) -> *mut T {
        assert!(
            offset
                .checked_add(size_of::<T>())
                .is_some_and(|end| end <= self.0.len)
                && offset % align_of::<T>() == 0,
            "offset {offset} is not in the mapping, or not aligned"
        );
        self.0.base.as_ptr().wrapping_add(offset).cast()
    }

    /// An index of a ring.
    fn index(&self, offset: usize) -> &AtomicU32 {
        assert!(
            self.0.writable,
            "atomic accesses are for what may be written too"
        );
        // SAFETY: by the type invariant the word, which `at` has found to be inside and aligned, stays mapped as long as
        // `self`, and nothing but volatile and atomic accesses touches it.
        unsafe { AtomicU32::from_ptr(self.at(offset)) }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: by the type invariant this is what was mapped, and no reference to it outlives `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

impl RingMem for Mapping {
    fn size(&self) -> usize {
        self.0.len
    }

    fn read<T: FromBytes>(&self, offset: usize) -> T {
        let bytes: Vec<u8> = (offset..offset + size_of::<T>())
            // SAFETY: by the type invariant what `at` has found to be inside is mapped.
            .map(|at| unsafe { self.at::<u8>(at).read_volatile() })
            .collect();
        match T::read_from_bytes(&bytes) {
            Ok(value) => value,
            Err(_) => unreachable!("there are as many bytes as the type has"),
        }
    }

    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        self.write_bytes(offset, value.as_bytes());
    }

    fn load_relaxed(&self, offset: usize) -> u32 {
        self.index(offset).load(Ordering::Relaxed)
    }

    fn load_acquire(&self, offset: usize) -> u32 {
        self.index(offset).load(Ordering::Acquire)
    }

    fn store_relaxed(&self, offset: usize, value: u32) {
        self.index(offset).store(value, Ordering::Relaxed);
    }

    fn store_release(&self, offset: usize, value: u32) {
        self.index(offset).store(value, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    fn of_file(writable: bool) -> Mapping {
        let path = std::env::temp_dir().join(format!("hostile-{}-{writable}", std::process::id()));
        let mut options = File::options();
        options.create(true).truncate(true).read(true).write(true);
        let mut file = options.open(&path).unwrap();
        file.write_all(&[7; 2 * PAGE]).unwrap();
        std::fs::remove_file(path).unwrap();
        Mapping::of(&file, 0, 2, writable).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mapping = of_file(true);
        mapping.write_bytes(PAGE - 1, &[1, 2]);
        mapping.store_release(8, 0x0102_0304);
        assert_eq!(mapping.read::<[u8; 4]>(PAGE - 2), [7, 1, 2, 7]);
        assert_eq!(mapping.load_acquire(8), 0x0102_0304);
        assert_eq!(mapping.read_page(1)[..2], [2, 7]);
        mapping.write_bytes(2 * PAGE - 1, &[9, 9, 9]);
        assert_eq!(mapping.read_page(1)[PAGE - 1], 9);
    }

    #[test]
    fn pages_to_read_only_are_not_written() {
        let mapping = of_file(false);
        mapping.write_bytes(0, &[1]);
        assert_eq!((mapping.pages(), mapping.read::<u8>(0)), (2, 7));
    }
}
