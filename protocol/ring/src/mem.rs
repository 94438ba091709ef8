// SPDX-License-Identifier: GPL-2.0

//! The memory a ring lives in, as the state machines see it.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Memory shared with a peer who may change any byte of it at any time.
///
/// The trait has no way to get a reference to the memory: values are copied in and out. It is
/// used by static dispatch only and every method wants `#[inline]`, for a request or response
/// must become a few plain word moves also where no link-time optimisation crosses crates, as in
/// the kernel.
///
/// # What an implementation promises
///
/// - Offsets are bytes from the start. `read` and `write` touch exactly `size_of::<T>()` bytes,
///   each of them once, as by volatile accesses: the compiler neither repeats nor invents one.
///   Tearing is allowed. The value read is private and stays what it is.
/// - An access outside `0..size()` touches no memory. The ring machinery never asks for one, so
///   how it fails (a panic in tests, zeroes and a warning in the kernel) is up to the
///   implementation.
/// - `offset` is a multiple of four, and of `T`'s alignment if the memory itself is that aligned.
/// - Index accesses are single 32-bit loads and stores.
/// - `load_acquire` orders later accesses to this memory after it, `store_release` orders earlier
///   ones before it, and [`fence`](Self::fence) orders everything before it against everything
///   after it, store to load included (Linux: `virt_mb()`). These have to hold towards other CPUs
///   even in a uniprocessor kernel, since the peer runs on another one.
pub trait RingMem {
    /// Length of the memory in bytes.
    fn size(&self) -> usize;

    /// Copies a value out of shared memory.
    fn read<T: FromBytes>(&self, offset: usize) -> T;

    /// Copies a value into shared memory.
    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T);

    /// Loads an index without ordering.
    fn load_relaxed(&self, offset: usize) -> u32;

    /// Loads an index; what the peer wrote before it stored that index is then visible.
    fn load_acquire(&self, offset: usize) -> u32;

    /// Stores an index without ordering.
    fn store_relaxed(&self, offset: usize, value: u32);

    /// Stores an index; a peer who loads it sees all that was written before.
    fn store_release(&self, offset: usize, value: u32);

    /// Full barrier between accesses to this memory.
    fn fence(&self);
}

impl<M: RingMem> RingMem for &M {
    #[inline]
    fn size(&self) -> usize {
        M::size(self)
    }
    #[inline]
    fn read<T: FromBytes>(&self, offset: usize) -> T {
        M::read(self, offset)
    }
    #[inline]
    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        M::write(self, offset, value)
    }
    #[inline]
    fn load_relaxed(&self, offset: usize) -> u32 {
        M::load_relaxed(self, offset)
    }
    #[inline]
    fn load_acquire(&self, offset: usize) -> u32 {
        M::load_acquire(self, offset)
    }
    #[inline]
    fn store_relaxed(&self, offset: usize, value: u32) {
        M::store_relaxed(self, offset, value)
    }
    #[inline]
    fn store_release(&self, offset: usize, value: u32) {
        M::store_release(self, offset, value)
    }
    #[inline]
    fn fence(&self) {
        M::fence(self)
    }
}

/// Shared memory with words of which each side owns some bits.
///
/// Both calls are one atomic operation on a 32-bit word: the peer may change its own bits at the same
/// time. They are full barriers, as of [`RingMem::fence`], before and after.
pub trait FlagMem: RingMem {
    /// Sets bits of the word at `offset`.
    fn set_flags(&self, offset: usize, bits: u32);

    /// Clears bits of the word at `offset`.
    fn clear_flags(&self, offset: usize, bits: u32);
}

impl<M: FlagMem> FlagMem for &M {
    #[inline]
    fn set_flags(&self, offset: usize, bits: u32) {
        M::set_flags(self, offset, bits)
    }
    #[inline]
    fn clear_flags(&self, offset: usize, bits: u32) {
        M::clear_flags(self, offset, bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeapMem;
    use core::cell::RefCell;
    use std::vec::Vec;

    /// Memory that notes which of its methods are called.
    struct Noted {
        mem: HeapMem,
        calls: RefCell<Vec<&'static str>>,
    }

    impl Noted {
        fn note(&self, call: &'static str) -> &HeapMem {
            self.calls.borrow_mut().push(call);
            &self.mem
        }
    }

    impl RingMem for Noted {
        fn size(&self) -> usize {
            self.note("size").size()
        }
        fn read<T: FromBytes>(&self, offset: usize) -> T {
            self.note("read").read(offset)
        }
        fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
            self.note("write").write(offset, value)
        }
        fn load_relaxed(&self, offset: usize) -> u32 {
            self.note("load_relaxed").load_relaxed(offset)
        }
        fn load_acquire(&self, offset: usize) -> u32 {
            self.note("load_acquire").load_acquire(offset)
        }
        fn store_relaxed(&self, offset: usize, value: u32) {
            self.note("store_relaxed").store_relaxed(offset, value)
        }
        fn store_release(&self, offset: usize, value: u32) {
            self.note("store_release").store_release(offset, value)
        }
        fn fence(&self) {
            self.note("fence").fence()
        }
    }

    impl FlagMem for Noted {
        fn set_flags(&self, offset: usize, bits: u32) {
            self.note("set_flags").set_flags(offset, bits)
        }
        fn clear_flags(&self, offset: usize, bits: u32) {
            self.note("clear_flags").clear_flags(offset, bits)
        }
    }

    /// Uses memory as the ring machinery does, which may have a reference to it only.
    fn use_all(mem: impl FlagMem) {
        assert_eq!(mem.size(), 64);
        mem.write(0, &5_u32);
        assert_eq!(mem.read::<u32>(0), 5);
        mem.store_relaxed(4, 6);
        assert_eq!(mem.load_relaxed(4), 6);
        mem.store_release(8, 7);
        assert_eq!(mem.load_acquire(8), 7);
        mem.fence();
        mem.set_flags(12, 0b11);
        mem.clear_flags(12, 0b01);
        assert_eq!(mem.load_relaxed(12), 0b10);
    }

    #[test]
    fn an_access_through_a_reference_is_the_same_access() {
        let noted = Noted {
            mem: HeapMem::new(64),
            calls: RefCell::default(),
        };
        use_all(&noted);
        let expected = [
            "size",
            "write",
            "read",
            "store_relaxed",
            "load_relaxed",
            "store_release",
            "load_acquire",
            "fence",
            "set_flags",
            "clear_flags",
            "load_relaxed",
        ];
        assert_eq!(*noted.calls.borrow(), expected);
    }
}
