// SPDX-License-Identifier: GPL-2.0

//! Exchanging the memory of the kernel's pool of bounce buffers for contiguous memory, at boot
//! before the pool is used.

use core::ffi::c_void;

use core_bindings as bindings;
use kernel::bindings as k;

use xen_dma::{
    order_of,
    PhysAddr,
    PAGE_SHIFT, //
};

use crate::pool::SEGMENT_SIZE;

/// The memory of the pool, before it is used.
///
/// # Invariants
///
/// The memory is in the direct map, belongs to this value, and has no content that is used.
pub struct PoolMemory {
    start: PhysAddr,
    segments: u64,
}

impl PoolMemory {
    /// `slots` slots at the kernel address `start`. For [`pool_fixup!`](crate::pool_fixup).
    ///
    /// # Safety
    ///
    /// The memory is in the kernel's direct map, belongs to the caller, and is not used yet.
    pub unsafe fn new(start: *mut c_void, slots: usize) -> Self {
        let bytes = (slots as u64) << bindings::IO_TLB_SHIFT;
        // INVARIANT: By the requirement of this function.
        Self {
            // SAFETY: By the requirement of this function the address is in the direct map.
            start: PhysAddr(unsafe { bindings::xen_core_virt_to_phys(start) }),
            segments: bytes / SEGMENT_SIZE,
        }
    }

    /// The number of segments.
    pub fn segments(&self) -> u64 {
        self.segments
    }

    /// The smallest width of machine addresses: the bits of an offset in a segment.
    pub fn min_bits(&self) -> u32 {
        order_of(SEGMENT_SIZE) + PAGE_SHIFT
    }

    /// Exchanges a segment for contiguous memory with machine addresses of at most `bits` bits.
    ///
    /// # Errors
    ///
    /// A negative error number if the hypervisor has no such memory, or there is no such segment.
    pub fn exchange(&mut self, segment: u64, bits: u32) -> Result<(), i32> {
        if segment >= self.segments {
            return Err(-(k::EINVAL as i32));
        }
        let mut handle = 0;
        let at = self.start.0 + segment * SEGMENT_SIZE;
        // SAFETY: The memory belongs to this value by the type's invariant, and is not used.
        let result = unsafe {
            bindings::xen_create_contiguous_region(at, order_of(SEGMENT_SIZE), bits, &mut handle)
        };
        match result {
            0 => Ok(()),
            error => Err(error),
        }
    }
}

/// Defines the C function that exchanges the pool's memory, from a
/// `fn(PoolMemory) -> Result<(), i32>`.
#[macro_export]
macro_rules! pool_fixup {
    ($(#[$doc:meta])* $name:ident, $function:path) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// `start` is `slots` slots of the kernel's pool of bounce buffers, which is not used yet.
        #[no_mangle]
        pub unsafe extern "C" fn $name(start: *mut ::core::ffi::c_void, slots: usize) -> i32 {
            // SAFETY: By the requirement of this function; the pool is in the direct map.
            match $function(unsafe { $crate::pool_memory::PoolMemory::new(start, slots) }) {
                Ok(()) => 0,
                Err(error) => error,
            }
        }
    };
}
