// SPDX-License-Identifier: GPL-2.0

//! Other domains' grants, mapped at pages of ours for devices.

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::dmabuf::Pages;

use super::mapped::{Mapped, Purpose};
use super::ForeignGrant;

/// Grants that are mapped for reading and writing, for devices and all who share the pages with them. Dropped, they
/// are unmapped: at once, or when nobody uses the pages any more.
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
    /// Those of `grants`; `EINVAL` if one of them cannot be mapped, and always in PV domains: there a device that is given such a page
    /// does not find the other domain's.
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
        // SAFETY: They are ours and not in high memory. The grants are mapped there until this is dropped, and what
        // is in use even then is unmapped later.
        unsafe { Pages::new(self.0.pages()) }
    }
}

impl Drop for DeviceGrants {
    fn drop(&mut self) {
        self.0.unmap();
    }
}
