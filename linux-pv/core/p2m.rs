// SPDX-License-Identifier: GPL-2.0

//! The domain's table from pfn to mfn, and back (`asm/xen/page.h`).

use core::ptr::addr_of;

use core_bindings as bindings;

use xen_dma::{
    p2m::{
        PhysToMachine,
        INVALID_MFN, //
    },
    BusAddr,
    PhysAddr,
    PAGE_SHIFT, //
};

/// Flag of a frame of another domain (`FOREIGN_FRAME_BIT`).
const FOREIGN: u64 = 1 << 63;
/// Flag of a frame that is mapped one to one, such as a device's (`IDENTITY_FRAME_BIT`).
const IDENTITY: u64 = 1 << 62;

/// The table of this domain. In a domain that is not PV, the mfn is the pfn.
#[derive(Clone, Copy)]
pub struct P2m;

impl PhysToMachine for P2m {
    /// Any context.
    #[inline]
    fn mfn(&self, pfn: u64) -> u64 {
        // SAFETY: Both are written at boot, before any device is found.
        let (size, table) = unsafe {
            (
                addr_of!(bindings::xen_p2m_size).read() as u64,
                addr_of!(bindings::xen_p2m_addr).read(),
            )
        };
        let mut entry = if pfn < size {
            // SAFETY: The table has `size` entries and is never freed. Entries are changed as a
            // whole.
            unsafe { table.add(pfn as usize).read_volatile() as u64 }
        // SAFETY: The variable is written at boot, before any device is found.
        } else if pfn < unsafe { addr_of!(bindings::xen_max_p2m_pfn).read() as u64 } {
            INVALID_MFN
        } else {
            return pfn;
        };
        if entry == INVALID_MFN {
            entry = slow(pfn);
        }
        match entry {
            INVALID_MFN => INVALID_MFN,
            entry => entry & !(FOREIGN | IDENTITY),
        }
    }
}

/// Looks up an entry that may be invalid or one to one.
#[cold]
fn slow(pfn: u64) -> u64 {
    // SAFETY: The function takes any number.
    unsafe { bindings::get_phys_to_machine(pfn as usize) as u64 }
}

/// The physical address of a machine address; an address beyond all memory if the frame is not this
/// domain's. Any context.
#[inline]
pub fn local_phys(at: BusAddr) -> PhysAddr {
    // SAFETY: The function takes any number.
    let pfn = unsafe { bindings::xen_core_bfn_to_local_pfn(at.mfn() as usize) } as u64;
    PhysAddr(pfn.wrapping_shl(PAGE_SHIFT) | at.offset())
}
