// SPDX-License-Identifier: GPL-2.0

//! A word of the kernel's memory that the hypervisor, or another CPU, changes at the same time.
//!
//! These are the compiler's atomics and not the kernel's: the latter are functions in C, called for
//! each access, and a run queue's lock is held here.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{
        Acquire,
        Release,
        SeqCst, //
    }, //
};

use xen_shared::SharedWord;

/// A word of 64 bits. Whatever bits the other side writes are a value of it.
#[repr(transparent)]
pub struct Word64(AtomicU64);

impl Word64 {
    /// A word with this value.
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
}

// A locked instruction is a full barrier on x86, and `SeqCst` one for the compiler.
impl SharedWord for Word64 {
    type Value = u64;

    #[inline]
    fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    #[inline]
    fn store(&self, value: u64) {
        self.0.store(value, Release);
    }

    #[inline]
    fn compare_exchange(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.0.compare_exchange(old, new, SeqCst, Acquire)
    }

    #[inline]
    fn fetch_or(&self, bits: u64) -> u64 {
        self.0.fetch_or(bits, SeqCst)
    }

    #[inline]
    fn fetch_clear(&self, bits: u64) -> u64 {
        self.0.fetch_and(!bits, SeqCst)
    }

    #[inline]
    fn swap(&self, value: u64) -> u64 {
        self.0.swap(value, SeqCst)
    }
}
