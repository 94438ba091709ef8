// SPDX-License-Identifier: GPL-2.0

//! The safe API that objects built into the kernel use, in place of the kernel's C objects.
//!
//! | module | what it gives |
//! |---|---|
//! | [`dma_ops`] | being the DMA layer's way to devices: a trait, and the table of functions the kernel calls |
//! | [`debugfs`] | the folder of debugfs that modules use too |
//! | [`device`] | what a device says of its DMA |
//! | [`loans`] | buffers that devices use in place of others |
//! | [`p2m`] | the machine's frames behind the domain's |
//! | [`pages`] | memory that is contiguous in the machine |
//! | [`pool`] | the kernel's pool of bounce buffers |
//!
//! Unlike crate `xen` this one is never in a module, and what is called here is often not exported to any.

pub mod debugfs;
pub mod device;
pub mod dma_ops;
pub mod loans;
pub mod p2m;
pub mod pages;
pub mod pool;
mod series;

/// What messages of this crate begin with.
const __LOG_PREFIX: &[u8] = b"xen\0";
