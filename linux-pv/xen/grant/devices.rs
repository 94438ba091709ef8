// SPDX-License-Identifier: GPL-2.0

//! Grants of other domains, mapped at pages of this kernel for devices.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::dmabuf::Pages;

use super::{
    mapped::{
        Mapped,
        Purpose, //
    },
    ForeignGrant, //
};

/// Grants that are mapped for reading and writing, for devices and all who share the pages with
/// them. Dropping it unmaps them: at once, or when there are no other references to the pages.
///
/// # Invariants
///
/// The grants are mapped, all of them, until this is dropped.
pub struct DeviceGrants(Arc<Mapped>);

impl DeviceGrants {
    /// Maps grants, at least one. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `grants`; `EINVAL` if one of them cannot be mapped, and always in PV domains: there
    /// a device that is given such a page does not find the other domain's.
    pub fn map(grants: impl ExactSizeIterator<Item = Result<ForeignGrant>>) -> Result<Self> {
        // Dropped if mapping fails, for some may have been mapped.
        let this = Self(Mapped::new(grants)?);
        // SAFETY: Called once. No page table entry is named.
        unsafe { this.0.map(Purpose::Writing, |_| Err(EINVAL)) }?;
        // INVARIANT: All are mapped.
        Ok(this)
    }

    /// The pages that they are mapped at.
    pub fn pages(&self) -> Pages<'_> {
        // SAFETY: The pages are owned and not in high memory. The grants are mapped there until
        // this is dropped, and what is in use even then is unmapped later.
        unsafe { Pages::new(self.0.pages()) }
    }
}

impl Drop for DeviceGrants {
    fn drop(&mut self) {
        self.0.unmap();
    }
}
