// SPDX-License-Identifier: GPL-2.0

//! Differences between the supported series of the kernel; `kernel/series.rs` explains the `cfg`s.

use core_bindings as bindings;
use kernel::bindings as k;

#[path = "../kernel/series/dma.rs"]
mod dma;

pub(crate) use dma::*;

/// Allocates a buffer of the pool; all ones if there is none. Since 7.3 (`xen_rs_swiotlb_attrs`)
/// the attributes are also returned, with whether the pool is shared with the host of an encrypted
/// guest, which a PV domain is not.
///
/// # Safety
///
/// That of `swiotlb_tbl_map_single` (`kernel/dma/swiotlb.c`): the device is valid, and the memory
/// belongs to the caller.
pub(crate) unsafe fn swiotlb_map(
    device: *mut k::device,
    at: u64,
    size: usize,
    direction: k::dma_data_direction,
    attrs: usize,
) -> u64 {
    #[cfg(xen_rs_swiotlb_attrs)]
    let attrs = &mut { attrs };
    // SAFETY: By the requirements of this function; the attributes are a local.
    unsafe { bindings::swiotlb_tbl_map_single(device, at, size, 0, direction, attrs) }
}
