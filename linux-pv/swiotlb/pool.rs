// SPDX-License-Identifier: GPL-2.0

//! The memory of the kernel's pool of bounce buffers, which is exchanged for low and contiguous
//! memory at boot.

use kernel::prelude::*;

use xen_core::{
    device::Device,
    p2m::P2m,
    pool,
    pool_memory::PoolMemory, //
};

use xen_dma::exchange::exchange_pool;

/// The maximum width of the pool's machine addresses in bits: practically all devices can access
/// 4 GiB.
const MAX_BITS: u32 = 32;

/// Exchanges the pool, segment by segment.
pub(crate) fn exchange(mut memory: PoolMemory) -> Result<(), i32> {
    let bits = memory.min_bits()..=MAX_BITS;
    let result = exchange_pool(memory.segments(), bits, |segment, bits| {
        memory.exchange(segment, bits)
    });
    // Shows in the log that this kernel has the Rust object.
    match result {
        Ok(()) => pr_info!("pool exchanged by the Rust object\n"),
        Err(error) => pr_warn!(
            "the hypervisor has not enough memory below 4 GiB for the bounce buffers (error {})\n",
            error
        ),
    }
    result
}

/// Whether a device with this mask can access all of the pool.
pub(crate) fn is_in_reach(device: Device<'_>, mask: u64) -> bool {
    device.bus(&P2m, pool::last()).0 <= mask
}
