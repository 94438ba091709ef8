// SPDX-License-Identifier: GPL-2.0

//! The memory of the kernel's pool of bounce buffers: made contiguous and low while the kernel boots, and whether a device
//! reaches it.

use kernel::prelude::*;
use xen_core::device::Device;
use xen_core::p2m::P2m;
use xen_core::pages::Early;
use xen_core::pool;
use xen_dma::exchange::exchange_pool;

/// The most bits of an address that the pool may have: what any device of today reaches.
const MOST_BITS: u32 = 32;

/// Exchanges the pool, piece by piece.
pub(crate) fn exchange(mut memory: Early) -> Result<(), i32> {
    let bits = memory.fewest_bits()..=MOST_BITS;
    let result = exchange_pool(memory.pieces(), bits, |piece, bits| {
        memory.exchange(piece, bits)
    });
    // Said while the kernel boots, so that the log shows which code this kernel has.
    match result {
        Ok(()) => pr_info!("pool exchanged by the Rust object\n"),
        Err(error) => pr_warn!(
            "the hypervisor has not enough memory below 4 GiB for the bounce buffers (error {})\n",
            error
        ),
    }
    result
}

/// Whether a device with this mask reaches all of the pool, which is the least it must.
pub(crate) fn is_in_reach(device: Device<'_>, mask: u64) -> bool {
    device.bus(&P2m, pool::last()).0 <= mask
}
