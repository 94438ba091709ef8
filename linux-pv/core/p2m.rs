// SPDX-License-Identifier: GPL-2.0

//! Which of the machine's frames are behind the domain's, and the other way (`asm/xen/page.h`).

use core::ptr::addr_of;

use core_bindings as bindings;
use xen_dma::frames::{Frames, NO_FRAME};
use xen_dma::{Bus, Phys, PAGE_SHIFT};

/// Marks a frame of another domain (`FOREIGN_FRAME_BIT`).
const FOREIGN: u64 = 1 << 63;
/// Marks a frame that stands for itself, as a device's (`IDENTITY_FRAME_BIT`).
const IDENTITY: u64 = 1 << 62;

/// The table of this domain. In a domain that is not PV every frame stands for itself.
#[derive(Clone, Copy)]
pub struct P2m;

impl Frames for P2m {
    /// Any context.
    #[inline]
    fn machine(&self, pfn: u64) -> u64 {
        // SAFETY: The three are written while the kernel boots, before any device is known.
        let (size, table) = unsafe {
            (
                addr_of!(bindings::xen_p2m_size).read() as u64,
                addr_of!(bindings::xen_p2m_addr).read(),
            )
        };
        let mut entry = if pfn < size {
            // SAFETY: The table has `size` entries and is never freed; others may change an entry meanwhile, as a whole.
            unsafe { table.add(pfn as usize).read_volatile() as u64 }
        // SAFETY: As above.
        } else if pfn < unsafe { addr_of!(bindings::xen_max_p2m_pfn).read() as u64 } {
            NO_FRAME
        } else {
            return pfn;
        };
        if entry == NO_FRAME {
            entry = slow(pfn);
        }
        match entry {
            NO_FRAME => NO_FRAME,
            entry => entry & !(FOREIGN | IDENTITY),
        }
    }
}

/// What the table means where it has no entry of its own.
#[cold]
fn slow(pfn: u64) -> u64 {
    // SAFETY: Takes any number.
    unsafe { bindings::get_phys_to_machine(pfn as usize) as u64 }
}

/// The address in this domain's own memory that a machine address belongs to; an address beyond all memory if the machine
/// frame is not this domain's. Any context.
#[inline]
pub fn local(at: Bus) -> Phys {
    // SAFETY: Takes any number.
    let pfn = unsafe { bindings::xen_core_bfn_to_local_pfn(at.mfn() as usize) } as u64;
    Phys(pfn.wrapping_shl(PAGE_SHIFT) | at.offset())
}
