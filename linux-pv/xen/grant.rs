// SPDX-License-Identifier: GPL-2.0

//! Grants: what lets another domain use our pages, and what ends it.
//!
//! A grant is a value. It owns its page until ending the peer's access has succeeded; what the peer
//! still holds is never used again but handed to the kernel, which frees it once the peer lets go
//! (XSA-396). The steps, each a type:
//!
//! | type | what it is |
//! |---|---|
//! | [`GrantRefs`] | a private stock of unused references, reserved in one go |
//! | [`FreeRef`] | one unused reference, claimed from a stock or from the kernel |
//! | [`Grant`] | a reference in use, with the [`GrantablePage`] it shows to the peer |
//! | [`LoanedGrant`] | a reference in use for a page somebody else owns, such as a request's data |
//! | [`SharedPage`] | a [`Grant`] whose page a program has mapped |
//! | [`GrantPool`] | grants that stay in force between uses (persistent grants), bounded |
//!
//! Claiming from a stock, granting and revoking allocate nothing and take no lock, so they fit under
//! a ring's lock; reserving and dropping a stock take the kernel's grant-table lock once.
//!
//! The other way round, a program sees other domains' grants by `vma::granted` and has
//! the hypervisor copy from and to them by [`CopyBatch`]; devices see them by `DeviceGrants`.
//!
//! C header: `include/xen/grant_table.h`.
//!
//! [`GrantablePage`]: crate::page::GrantablePage

mod copy;
#[cfg(all(CONFIG_MMU_NOTIFIER, CONFIG_DMA_SHARED_BUFFER))]
mod devices;
mod loan;
#[cfg(CONFIG_MMU_NOTIFIER)]
pub(crate) mod mapped;
#[cfg(CONFIG_MMU_NOTIFIER)]
mod operations;
mod owned;
mod pool;
mod refs;
mod shared;

pub use copy::CopyBatch;
#[cfg(all(CONFIG_MMU_NOTIFIER, CONFIG_DMA_SHARED_BUFFER))]
pub use devices::DeviceGrants;
pub use loan::LoanedGrant;
#[cfg(CONFIG_MMU_NOTIFIER)]
pub use mapped::ForeignGrant;
pub use owned::Grant;
pub use pool::{GrantPool, PoolEmpty};
pub use refs::{FreeRef, GrantRefs};
pub use shared::{SharedPage, UnmapNotification};

/// What the peer may do with a granted page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read only (`GTF_readonly`).
    ReadOnly,
}

/// The number of a grant reference, as it is told to the peer.
pub type GrantRefNumber = u32;
