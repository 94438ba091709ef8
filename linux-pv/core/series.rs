// SPDX-License-Identifier: GPL-2.0

//! What the supported series of the kernel call or shape differently; see `kernel/series.rs` about the `cfg`s.

use core_bindings as bindings;
use kernel::bindings as k;

#[path = "../kernel/series/dma.rs"]
mod dma;

pub(crate) use dma::*;

/// Takes a buffer from the pool; all ones if there is none. Since 7.3 (`xen_rs_swiotlb_attrs`) the kernel tells by the attributes
/// whether the pool is shared with an encrypted guest's host, which no domain of this kind is.
///
/// # Safety
///
/// As for `swiotlb_tbl_map_single` (`kernel/dma/swiotlb.c`): the device is valid, and the memory is the caller's.
pub(crate) unsafe fn take_from_pool(
    device: *mut k::device,
    at: u64,
    size: usize,
    direction: k::dma_data_direction,
    attrs: usize,
) -> u64 {
    #[cfg(xen_rs_swiotlb_attrs)]
    let attrs = &mut { attrs };
    // SAFETY: The caller's promise; the attributes are a local variable.
    unsafe { bindings::swiotlb_tbl_map_single(device, at, size, 0, direction, attrs) }
}
