// SPDX-License-Identifier: GPL-2.0

//! Shared rings in kernel memory: granted pages as the memory that the state machines of crate
//! `xen_ring` run on.
//!
//! ```ignore
//! let ring = FrontRing::<Request, Response, _>::new(SharedRing::new(dev.otherend_id(), 4)?)?;
//! for number in ring.mem().numbers() { /* tell the other end */ }
//! ```
//!
//! The other end is on another processor, whatever this domain has. So what is needed are C's
//! `virt_*` operations, and not those of [`kernel::sync::atomic`], which lose their barriers and
//! `lock` prefixes in a kernel with one processor. The kernel has no others in Rust yet: here, and
//! only here, [`core::sync::atomic`] is used.

use core::{
    mem::{
        align_of,
        size_of,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicU32,
        Ordering, //
    },
};

use kernel::prelude::*;
use xen_bindings as bindings;

use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use crate::{
    domain::DomId,
    grant::{
        Access,
        Grant,
        GrantRefNumber, //
    },
    page::{
        GrantablePage,
        PAGE_SIZE, //
    },
};

pub use xen_ring::*;

/// Most pages a ring can have (`XENBUS_MAX_RING_GRANTS`): what back ends map.
pub const MAX_PAGES: usize = 1 << bindings::XENBUS_MAX_RING_GRANT_ORDER;

/// Zeroed memory for a ring, of one or more pages, shared with another domain.
///
/// Each page has a grant of its own; they are mapped at consecutive addresses. When this is
/// dropped, a page that the peer still has mapped is passed to the kernel, which frees it when the
/// peer has unmapped it. Dropping it may sleep.
///
/// # Invariants
///
/// - `base` is valid for volatile reads and writes of `size` bytes while this lives, and aligned to
///   a page; `size` is that of all pages in `grants`.
/// - `mapped` tells whether `base` is a mapping by `vmap`, to be undone; else it is the address of
///   the only page.
/// - No reference into the memory exists, except to an index as an atomic.
pub struct SharedRing {
    grants: KVec<Grant>,
    base: NonNull<u8>,
    size: usize,
    mapped: bool,
}

// SAFETY: By the type invariant the memory is owned; any task may unmap and free it.
unsafe impl Send for SharedRing {}
// SAFETY: By the type invariant the memory is only referenced as atomics; all other accesses are
// volatile.
unsafe impl Sync for SharedRing {}

impl SharedRing {
    /// Allocates `pages` pages and grants them to domain `to`. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` for no pages or more than [`MAX_PAGES`]; `ENOMEM`; `ENOSPC` if the grant table is
    /// full.
    pub fn new(to: DomId, pages: usize) -> Result<Self> {
        if pages == 0 || pages > MAX_PAGES {
            return Err(EINVAL);
        }
        let mut grants = KVec::with_capacity(pages, GFP_KERNEL)?;
        let mut raw = [ptr::null_mut(); MAX_PAGES];
        for slot in raw.iter_mut().take(pages) {
            let page = GrantablePage::new(GFP_KERNEL)?;
            *slot = page.as_ptr();
            grants.push(Grant::new(page, to, Access::ReadWrite)?, GFP_KERNEL)?;
        }
        let mapped = pages > 1;
        let base = if mapped {
            // SAFETY: `raw` holds that many valid pages, which live as long as `grants`.
            let base = unsafe { bindings::xen_rs_vmap(raw.as_mut_ptr(), pages as u32) };
            NonNull::new(base.cast()).ok_or(ENOMEM)?
        } else {
            grants.first().ok_or(EINVAL)?.page().virt()
        };
        // INVARIANT: `base` is either the page itself or a mapping of all pages.
        Ok(Self {
            grants,
            base,
            size: pages * PAGE_SIZE,
            mapped,
        })
    }

    /// What to tell the peer, page by page.
    pub fn numbers(&self) -> impl ExactSizeIterator<Item = GrantRefNumber> + '_ {
        self.grants.iter().map(Grant::number)
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.grants.len()
    }

    /// The address of `len` bytes at `offset`, aligned to `align`, or `None` with a warning.
    #[inline]
    fn at(&self, offset: usize, len: usize, align: usize) -> Option<*mut u8> {
        if len <= self.size && offset <= self.size - len && offset % align == 0 {
            // SAFETY: By the type invariant this is within the memory.
            Some(unsafe { self.base.as_ptr().add(offset) })
        } else {
            self.bad_access(offset);
            None
        }
    }

    #[cold]
    fn bad_access(&self, offset: usize) {
        kernel::pr_warn_once!("xen_rs: BUG: ring access at bad offset {}\n", offset);
    }

    #[inline]
    fn index(&self, offset: usize) -> Option<&AtomicU32> {
        let at = self.at(offset, size_of::<u32>(), align_of::<u32>())?;
        // SAFETY: Aligned and valid by the check above; all accesses to an index that can be
        // concurrent are atomic or volatile ones of the same size.
        Some(unsafe { AtomicU32::from_ptr(at.cast()) })
    }
}

impl Drop for SharedRing {
    fn drop(&mut self) {
        if self.mapped {
            // SAFETY: By the type invariant `base` is a mapping by `vmap`. It is not used any more,
            // and the pages are dropped after this.
            unsafe { bindings::vunmap(self.base.as_ptr().cast()) };
        }
    }
}

impl RingMem for SharedRing {
    #[inline]
    fn size(&self) -> usize {
        self.size
    }

    #[inline]
    fn read<T: FromBytes>(&self, offset: usize) -> T {
        let mut value = MaybeUninit::<T>::zeroed();
        if let Some(from) = self.at(offset, size_of::<T>(), align_of::<T>()) {
            // SAFETY: `at` has checked the shared side; the other is a local of that size.
            unsafe { copy_out(from.cast(), value.as_mut_ptr()) };
        }
        // SAFETY: All bytes are initialised, and any bytes are a `T`.
        unsafe { value.assume_init() }
    }

    #[inline]
    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        if let Some(to) = self.at(offset, size_of::<T>(), align_of::<T>()) {
            // SAFETY: `at` has checked the shared side; `T` has no uninitialised bytes.
            unsafe { copy_in(value, to.cast()) };
        }
    }

    #[inline]
    fn load_relaxed(&self, offset: usize) -> u32 {
        self.index(offset).map_or(0, |i| i.load(Ordering::Relaxed))
    }

    #[inline]
    fn load_acquire(&self, offset: usize) -> u32 {
        self.index(offset).map_or(0, |i| i.load(Ordering::Acquire))
    }

    #[inline]
    fn store_relaxed(&self, offset: usize, value: u32) {
        if let Some(index) = self.index(offset) {
            index.store(value, Ordering::Relaxed);
        }
    }

    #[inline]
    fn store_release(&self, offset: usize, value: u32) {
        if let Some(index) = self.index(offset) {
            index.store(value, Ordering::Release);
        }
    }

    #[inline]
    fn fence(&self) {
        virt_mb();
    }
}

impl FlagMem for SharedRing {
    // A locked instruction, which on x86 is a full barrier as well, in uniprocessor kernels too.
    #[inline]
    fn set_flags(&self, offset: usize, bits: u32) {
        if let Some(word) = self.index(offset) {
            word.fetch_or(bits, Ordering::SeqCst);
        }
    }

    #[inline]
    fn clear_flags(&self, offset: usize, bits: u32) {
        if let Some(word) = self.index(offset) {
            word.fetch_and(!bits, Ordering::SeqCst);
        }
    }
}

/// A full barrier against a peer on another CPU, in uniprocessor kernels too.
#[inline]
fn virt_mb() {
    // On x86 as the kernel does it: cheaper than `mfence`, which is what a fence becomes in Rust.
    #[cfg(CONFIG_X86_64)]
    // SAFETY: Adds nothing to a word of our stack; the assembly counts as an access to all memory.
    unsafe {
        core::arch::asm!("lock; addl $0, -4(%rsp)", options(att_syntax))
    };
    #[cfg(not(CONFIG_X86_64))]
    // SAFETY: A barrier.
    unsafe {
        bindings::xen_rs_virt_mb()
    };
}

/// Copies in words as large as the alignment of `T`, of which its size is a multiple. All of this
/// but the moves is known at compile time.
macro_rules! by_words {
    ($type:ty, |$i:ident, $word:ident| $copy:expr) => {
        match align_of::<$type>() {
            1 => by_words!(u8, $type, $i, $word, $copy),
            2 => by_words!(u16, $type, $i, $word, $copy),
            4 => by_words!(u32, $type, $i, $word, $copy),
            _ => by_words!(u64, $type, $i, $word, $copy),
        }
    };
    ($actual:ty, $type:ty, $i:ident, $word:ident, $copy:expr) => {{
        type $word = $actual;
        for $i in 0..size_of::<$type>() / size_of::<$word>() {
            $copy
        }
    }};
}

/// Copies from shared to private memory, reading each word once.
///
/// # Safety
///
/// `shared` is valid for reads, `private` for writes of a `T`, and both are aligned for it.
#[inline(always)]
unsafe fn copy_out<T>(shared: *const T, private: *mut T) {
    by_words!(T, |i, Word| {
        // SAFETY: By the requirement of this function.
        unsafe {
            let word = shared.cast::<Word>().add(i).read_volatile();
            private.cast::<Word>().add(i).write(word);
        }
    })
}

/// Copies from private to shared memory, writing each word once.
///
/// # Safety
///
/// `shared` is valid for writes of a `T` and aligned for it; `T` has no uninitialised bytes.
#[inline(always)]
unsafe fn copy_in<T>(private: &T, shared: *mut T) {
    by_words!(T, |i, Word| {
        // SAFETY: By the requirement of this function.
        unsafe {
            let word = ptr::from_ref(private).cast::<Word>().add(i).read();
            shared.cast::<Word>().add(i).write_volatile(word);
        }
    })
}
