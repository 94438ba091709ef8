// SPDX-License-Identifier: GPL-2.0

//! What the supported series of the kernel call or shape differently. `Kbuild` looks into the kernel's source and sets a `cfg`
//! for each; the versions themselves are never asked for, since distributions take changes back.

use kernel::bindings as k;

#[cfg(CONFIG_DMA_SHARED_BUFFER)]
mod dma;

#[cfg(CONFIG_DMA_SHARED_BUFFER)]
pub(crate) use dma::*;

/// `enum irqreturn` is a type of its own since 7.3 (`xen_rs_enum_types`), and was an integer.
#[cfg(xen_rs_enum_types)]
mod irq {
    use super::k::irqreturn_t;

    /// Not our interrupt.
    pub const IRQ_NONE: irqreturn_t = irqreturn_t::IRQ_NONE;
    /// Handled.
    pub const IRQ_HANDLED: irqreturn_t = irqreturn_t::IRQ_HANDLED;
}

#[cfg(not(xen_rs_enum_types))]
mod irq {
    pub use super::k::{irqreturn_IRQ_HANDLED as IRQ_HANDLED, irqreturn_IRQ_NONE as IRQ_NONE};
}

pub use irq::*;

/// Bytes of the current segment that a position in a bio is past: `bi_offset` (`xen_rs_bvec_offset`, since 7.3), or
/// `bi_bvec_done`.
///
/// # Safety
///
/// `iter` must be readable.
#[inline]
pub(crate) unsafe fn bvec_done(iter: *const k::bvec_iter) -> u32 {
    #[cfg(xen_rs_bvec_offset)]
    // SAFETY: The caller's promise; the structure is packed, so the field may lie anywhere.
    let field = unsafe { &raw const (*iter).bi_offset };
    #[cfg(not(xen_rs_bvec_offset))]
    // SAFETY: As above.
    let field = unsafe { &raw const (*iter).bi_bvec_done };
    // SAFETY: As above.
    unsafe { field.read_unaligned() }
}
