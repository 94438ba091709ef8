// SPDX-License-Identifier: GPL-2.0

//! Grants: what lets another domain use our pages, and what ends it.
//!
//! A grant is a value. It owns its page until ending the peer's access has succeeded; what the peer
//! still has mapped is passed to the kernel, which frees it once the peer has unmapped it
//! (XSA-396). The steps, each a type:
//!
//! | type | what it is |
//! |---|---|
//! | [`GrantRefs`] | a private stock of unused references, reserved in one go |
//! | [`FreeRef`] | one unused reference, claimed from a stock or from the kernel |
//! | [`Grant`] | a reference in use, with the [`GrantablePage`] that the peer can access |
//! | [`LoanedGrant`] | a reference in use for a page of another owner, such as a request's data |
//! | [`Loan`] | that, with the owner's handle, which goes back when the grant has ended |
//! | [`Retirable`] | something lent that may have to wait until its grants can be ended |
//! | [`SharedPage`] | a [`Grant`] whose page a process has mapped |
//! | [`GrantPool`] | grants that stay in force between uses (persistent grants), bounded |
//!
//! Claiming from a stock, granting and revoking allocate nothing and take no lock, so they fit
//! under a ring's lock; reserving and dropping a stock take the kernel's grant-table lock once.
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
#[cfg(CONFIG_MMU_NOTIFIER)]
mod part;
mod pool;
mod refs;
mod retired;
mod shared;

pub use copy::CopyBatch;
#[cfg(all(CONFIG_MMU_NOTIFIER, CONFIG_DMA_SHARED_BUFFER))]
pub use devices::DeviceGrants;
pub use loan::{
    Loan,
    LoanedGrant,
    Owner, //
};
#[cfg(CONFIG_MMU_NOTIFIER)]
pub use mapped::ForeignGrant;
pub use owned::Grant;
pub use pool::{
    GrantPool,
    PoolEmpty, //
};
pub use refs::{
    FreeRef,
    GrantRefs, //
};
pub use retired::{
    has_too_many_retired,
    Lent,
    Retirable, //
};
pub(crate) use retired::{
    retire,
    Retirer, //
};
pub use shared::{
    SharedPage,
    UnmapNotification, //
};

/// What the peer may do with a granted page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read only (`GTF_readonly`).
    ReadOnly,
}

/// The number of a grant reference, which the peer maps or copies by.
pub type GrantRefNumber = u32;
