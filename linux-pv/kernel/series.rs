// SPDX-License-Identifier: GPL-2.0

//! Differences between the supported series of the kernel. `Kbuild` searches the kernel's source
//! and sets a `cfg` for each difference. It does not compare versions, since distributions backport
//! changes.

use kernel::bindings as k;

#[cfg(CONFIG_DMA_SHARED_BUFFER)]
mod dma;

#[cfg(CONFIG_DMA_SHARED_BUFFER)]
pub(crate) use dma::*;

/// `enum irqreturn` is a type of its own since 7.3 (`xen_rs_enum_types`), and an integer before.
#[cfg(xen_rs_enum_types)]
mod irq {
    use super::k::irqreturn_t;

    /// The interrupt is not from this device.
    pub const IRQ_NONE: irqreturn_t = irqreturn_t::IRQ_NONE;
    /// The interrupt was handled.
    pub const IRQ_HANDLED: irqreturn_t = irqreturn_t::IRQ_HANDLED;
}

#[cfg(not(xen_rs_enum_types))]
mod irq {
    pub use super::k::{
        irqreturn_IRQ_HANDLED as IRQ_HANDLED,
        irqreturn_IRQ_NONE as IRQ_NONE, //
    };
}

pub use irq::*;

/// Bytes of the current segment before the position of an iterator: `bi_offset` since 7.3
/// (`xen_rs_bvec_offset`), `bi_bvec_done` before.
///
/// # Safety
///
/// `iter` must be readable.
#[inline]
pub(crate) unsafe fn bvec_done(iter: *const k::bvec_iter) -> u32 {
    #[cfg(xen_rs_bvec_offset)]
    // SAFETY: By the requirement of this function; only the address is computed.
    let field = unsafe { &raw const (*iter).bi_offset };
    #[cfg(not(xen_rs_bvec_offset))]
    // SAFETY: By the requirement of this function; only the address is computed.
    let field = unsafe { &raw const (*iter).bi_bvec_done };
    // SAFETY: By the requirement of this function; the structure is packed, so the field may be
    // unaligned.
    unsafe { field.read_unaligned() }
}
