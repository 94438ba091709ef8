// SPDX-License-Identifier: GPL-2.0

//! Memory: who owns each machine frame ([`frames`]), at which gfn a domain maps it ([`p2m`]), and how the hypervisor
//! copies from and to guest memory ([`access`], [`walk`]).

pub mod access;
pub mod addr;
pub mod buddy;
pub mod frames;
#[cfg(any(test, feature = "heap"))]
pub mod heap;
pub mod p2m;
mod page_info;
pub mod pod_cache;
#[cfg(test)]
pub mod racing;
pub mod walk;
pub mod word;

pub use access::{GuestMemory, MachineMemory, NativeStructures};
pub use addr::{Gfn, Mfn, PAGE_SHIFT, PAGE_SIZE};
pub use frames::{FrameTable, HypFrames, Owner, PageRef};
