//! Memory: who owns each machine frame ([`frames`]), where a domain sees it ([`p2m`]), and how the hypervisor
//! reads and writes what a guest points at ([`access`], [`walk`]), always by copying.

pub mod access;
pub mod addr;
pub mod buddy;
pub mod frames;
#[cfg(any(test, feature = "heap"))]
pub mod heap;
#[cfg(test)]
pub mod meddling;
pub mod p2m;
pub mod walk;

pub use access::{GuestMemory, MachineMemory};
pub use addr::{Gfn, Mfn, PAGE_SHIFT, PAGE_SIZE};
pub use frames::{FrameTable, Hold, HypFrames, Owner};
