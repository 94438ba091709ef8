// SPDX-License-Identifier: GPL-2.0

//! Pages of this kernel that a program shares with another domain.

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::Arc;

use super::{bounds, no_page, open, take, Callbacks, NewArea};
use crate::page::GrantablePage;

/// What owns a page that areas show.
pub trait OwnsPage: Send + Sync + 'static {
    /// The page, always the same.
    fn page(&self) -> &GrantablePage;
}

/// The data of an area: a share in each page's owner.
struct Shared<T>(#[allow(dead_code)] KVVec<Arc<T>>);

impl<T: OwnsPage> Shared<T> {
    const CALLBACKS: &'static Callbacks = &Callbacks(k::vm_operations_struct {
        open: Some(open::<Self>),
        close: Some(Self::close),
        fault: Some(no_page),
        ..pin_init::zeroed()
    });

    /// # Safety
    ///
    /// To be called as `close` of an area of this kind.
    unsafe extern "C" fn close(vma: *mut k::vm_area_struct) {
        // SAFETY: The area's data is a share in an `Arc<Self>`, and this its last use.
        drop(unsafe { take::<Self>(vma) });
    }
}

/// Shows pages in an area, which has a share in their owners until it is gone. May sleep.
///
/// # Errors
///
/// `EINVAL` if the area is private, or does not have as many pages.
pub fn show<T: OwnsPage>(area: NewArea<'_>, owners: KVVec<Arc<T>>) -> Result {
    if !area.is_shared() || owners.len() != area.pages() {
        return Err(EINVAL);
    }
    area.set_flags((k::VM_DONTEXPAND | k::VM_DONTDUMP) as k::vm_flags_t);
    // SAFETY: The area is being set up.
    let (start, _) = unsafe { bounds(area.vma) };
    for (index, owner) in owners.iter().enumerate() {
        let at = start + index * PAGE_SIZE;
        // SAFETY: The area is being set up and has this address; the page is one of its own, and the area
        // takes a reference to it.
        to_result(unsafe { k::vm_insert_page(area.vma, at, owner.page().as_ptr()) })?;
    }
    let data = Arc::new(Shared(owners), GFP_KERNEL_ACCOUNT)?;
    // SAFETY: The callbacks are those of a `Shared<T>`.
    unsafe { area.finish(Shared::<T>::CALLBACKS, data) };
    Ok(())
}
