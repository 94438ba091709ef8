// SPDX-License-Identifier: GPL-2.0

//! A page that another domain, or the hypervisor, changes at the same time, as the memory that the
//! state machines of `xen_ring` run on.
//!
//! The other side is on another processor, whatever this domain has. So the accesses are the
//! compiler's atomics, and not the kernel's, which lose their barriers in a kernel with one
//! processor (C's `virt_*`).

use core::{
    mem::{
        align_of,
        size_of,
        MaybeUninit, //
    },
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        AtomicU8,
        Ordering, //
    },
};

use xen_ring::RingMem;

use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;

/// A page of shared memory. Copies of this are the same page.
///
/// # Invariants
///
/// The page is mapped, aligned, and valid for reads and writes while this lives. All accesses to it
/// by this kernel are atomic ones, through this type.
#[derive(Clone, Copy)]
pub struct SharedPage(NonNull<u8>);

// SAFETY: By the type invariant all accesses are atomic.
unsafe impl Send for SharedPage {}

impl SharedPage {
    /// A page by its address, or `None` for a null pointer.
    ///
    /// # Safety
    ///
    /// As the type invariant.
    #[inline]
    pub unsafe fn from_raw(address: *mut u8) -> Option<Self> {
        // INVARIANT: By the requirement of this function.
        NonNull::new(address).map(Self)
    }

    /// Its address.
    #[inline]
    pub fn as_ptr(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// The word at `offset`, or `None` if it is not in the page.
    #[inline]
    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        if offset > PAGE_SIZE - size_of::<u32>() || offset % align_of::<u32>() != 0 {
            return None;
        }
        // SAFETY: Aligned and in the page, which by the type invariant is valid and accessed by
        // atomics.
        Some(unsafe { AtomicU32::from_ptr(self.0.as_ptr().add(offset).cast()) })
    }

    /// The byte at `offset`, or `None` if it is not in the page.
    #[inline]
    fn byte(&self, offset: usize) -> Option<&AtomicU8> {
        if offset >= PAGE_SIZE {
            return None;
        }
        // SAFETY: In the page, which by the type invariant is valid and accessed by atomics.
        Some(unsafe { AtomicU8::from_ptr(self.0.as_ptr().add(offset)) })
    }
}

// An access outside of the page reads zeroes and writes nothing.
impl RingMem for SharedPage {
    #[inline]
    fn size(&self) -> usize {
        PAGE_SIZE
    }

    fn read<T: FromBytes>(&self, offset: usize) -> T {
        let mut value = MaybeUninit::<T>::zeroed();
        for index in 0..size_of::<T>() {
            if let Some(byte) = self.byte(offset.wrapping_add(index)) {
                // SAFETY: The index is within the local value.
                unsafe {
                    value
                        .as_mut_ptr()
                        .cast::<u8>()
                        .add(index)
                        .write(byte.load(Ordering::Relaxed));
                }
            }
        }
        // SAFETY: All bytes are initialised, and any bytes are a `T`.
        unsafe { value.assume_init() }
    }

    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        for (index, from) in value.as_bytes().iter().enumerate() {
            if let Some(byte) = self.byte(offset.wrapping_add(index)) {
                byte.store(*from, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    fn load_relaxed(&self, offset: usize) -> u32 {
        self.word(offset)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    #[inline]
    fn load_acquire(&self, offset: usize) -> u32 {
        self.word(offset)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    #[inline]
    fn store_relaxed(&self, offset: usize, value: u32) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::Relaxed);
        }
    }

    #[inline]
    fn store_release(&self, offset: usize, value: u32) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::Release);
        }
    }

    #[inline]
    fn fence(&self) {
        core::sync::atomic::fence(Ordering::SeqCst);
    }
}
