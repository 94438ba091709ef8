// SPDX-License-Identifier: GPL-2.0

//! Pages for devices: allocated, and exchanged with the hypervisor for such that are contiguous in the machine and low
//! enough.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use core_bindings as bindings;
use kernel::bindings as kernel_bindings;
use kernel::ffi::c_void;
use xen_dma::frames::{loses_alignment, straddles};
use xen_dma::reach::Reach;
use xen_dma::{order_of, Phys, PAGE_SHIFT, PAGE_SIZE};

use crate::p2m::P2m;

/// How the kernel is to look for pages (`gfp_t`).
#[derive(Clone, Copy)]
pub struct Gfp(pub(crate) kernel_bindings::gfp_t);

impl Gfp {
    /// From interrupts too, and quietly if there are none.
    pub const ATOMIC_QUIET: Self =
        Self(kernel_bindings::GFP_ATOMIC | kernel_bindings::__GFP_NOWARN);
}

/// The most pages the hypervisor is asked for in any context, as a power of two: for more, the kernel's function for it
/// allocates and may sleep (`MIN_CONTIG_ORDER` of arch/x86/xen/mmu_pv.c).
pub const ANY_CONTEXT_ORDER: u32 = 9;

/// A power of two of pages that follow each other in the domain's memory. Dropping frees them, in any context; exchanged ones
/// go back to the hypervisor.
///
/// # Invariants
///
/// `start` is the first of 2^`order` pages that this value owns.
pub struct Pages {
    start: NonNull<c_void>,
    order: u32,
}

impl Pages {
    /// Allocates pages for `size` bytes. What is in them is undefined.
    pub fn new(size: u64, gfp: Gfp) -> Option<Self> {
        let order = order_of(size);
        // SAFETY: Any order may be asked for; too much is not given.
        let start = unsafe { kernel_bindings::get_free_pages_noprof(gfp.0, order) };
        // INVARIANT: They were just allocated.
        NonNull::new(start as *mut c_void).map(|start| Self { start, order })
    }

    /// Where they are in the domain's memory.
    #[inline]
    pub fn at(&self) -> Phys {
        // SAFETY: The pages are in the kernel's direct map.
        Phys(unsafe { bindings::xen_core_virt_to_phys(self.start.as_ptr()) })
    }

    /// Their size in bytes.
    pub fn size(&self) -> u64 {
        PAGE_SIZE << self.order
    }

    /// Whether the machine's memory behind the first `size` bytes is contiguous and as well aligned as the domain's.
    pub fn is_contiguous(&self, size: u64) -> bool {
        !straddles(&P2m, self.at(), size) && !loses_alignment(&P2m, self.at(), size)
    }

    /// Exchanges the machine's memory behind them for such that is contiguous and within a device's reach. What was in them
    /// is lost. Any context up to [`ANY_CONTEXT_ORDER`], else one that may sleep.
    ///
    /// False if the hypervisor has no such memory; the pages are as good as before then, and zeroed.
    pub fn exchange(&mut self, reach: Reach) -> bool {
        if !self.try_exchange(reach.bits()) {
            return false;
        }
        // SAFETY: The first page is ours; the mark tells `drop` what to do.
        unsafe { bindings::xen_core_set_exchanged(self.start.as_ptr()) };
        true
    }

    /// The call itself: `bits` is how many bits machine addresses may have.
    fn try_exchange(&self, bits: u32) -> bool {
        let mut handle = 0;
        // SAFETY: The pages are ours, and nobody uses what is in them.
        let result = unsafe {
            bindings::xen_create_contiguous_region(self.at().0, self.order, bits, &mut handle)
        };
        result == 0
    }

    /// Whether they were exchanged.
    pub fn is_exchanged(&self) -> bool {
        // SAFETY: The first page is ours.
        unsafe { bindings::xen_core_is_exchanged(self.start.as_ptr()) }
    }

    /// Zeroes the first `size` bytes.
    pub fn zero(&mut self, size: u64) {
        let size = size.min(self.size()) as usize;
        // SAFETY: The pages are ours and at least that large.
        unsafe { self.start.as_ptr().cast::<u8>().write_bytes(0, size) }
    }

    /// Lets go of them without freeing; [`Pages::from_raw`] takes them up again.
    pub(crate) fn into_raw(self) -> *mut c_void {
        ManuallyDrop::new(self).start.as_ptr()
    }

    /// Takes up pages that were let go of.
    ///
    /// # Safety
    ///
    /// `start` comes from [`Pages::into_raw`] of pages made for a size of the same order, and is taken up once.
    pub(crate) unsafe fn from_raw(start: *mut c_void, size: u64) -> Option<Self> {
        // INVARIANT: The caller's promise.
        NonNull::new(start).map(|start| Self {
            start,
            order: order_of(size),
        })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: The first page is ours.
        if unsafe { bindings::xen_core_test_clear_exchanged(self.start.as_ptr()) } {
            // SAFETY: The pages are ours and were exchanged as a whole.
            unsafe { bindings::xen_destroy_contiguous_region(self.at().0, self.order) };
        }
        // SAFETY: By the type's invariant, and nothing uses them any more.
        unsafe { kernel_bindings::free_pages(self.start.as_ptr() as usize, self.order) }
    }
}

/// A piece of memory that the kernel offers for exchange while it boots, before anything is in it.
pub struct Early {
    start: Phys,
    pieces: u64,
    piece: u64,
}

impl Early {
    /// `bytes` at `start`, a kernel address, in pieces of `piece` bytes, a power of two of pages.
    ///
    /// # Safety
    ///
    /// The memory is the caller's, in the kernel's direct map, and nothing is in it.
    pub(crate) unsafe fn new(start: *mut c_void, bytes: u64, piece: u64) -> Self {
        Self {
            // SAFETY: In the direct map, as the caller says.
            start: Phys(unsafe { bindings::xen_core_virt_to_phys(start) }),
            pieces: bytes / piece,
            piece,
        }
    }

    /// How many pieces there are.
    pub fn pieces(&self) -> u64 {
        self.pieces
    }

    /// The fewest bits that an address may be asked to have: those of an offset in a piece.
    pub fn fewest_bits(&self) -> u32 {
        order_of(self.piece) + PAGE_SHIFT
    }

    /// Exchanges one piece for contiguous memory whose addresses have at most `bits` bits.
    ///
    /// # Errors
    ///
    /// The kernel's error code if the hypervisor has no such memory, or there is no such piece.
    pub fn exchange(&mut self, piece: u64, bits: u32) -> Result<(), i32> {
        if piece >= self.pieces {
            return Err(-(kernel_bindings::EINVAL as i32));
        }
        let mut handle = 0;
        let at = self.start.0 + piece * self.piece;
        // SAFETY: The memory is ours, by the promise to `new`.
        let result = unsafe {
            bindings::xen_create_contiguous_region(at, order_of(self.piece), bits, &mut handle)
        };
        match result {
            0 => Ok(()),
            error => Err(error),
        }
    }
}
