// SPDX-License-Identifier: GPL-2.0

//! Pages of this kernel that a program shares with another domain.

use kernel::{
    bindings as k,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

use kernel_ext::vma::{
    bounds,
    Callbacks,
    NewArea, //
};

use crate::page::GrantablePage;

/// What owns a page that areas show.
pub trait OwnsPage: Send + Sync + 'static {
    /// The page, always the same.
    fn page(&self) -> &GrantablePage;
}

/// Shares in the owners of the pages that an area is to show. One page is the usual number, for
/// which nothing is allocated.
pub struct Owners<T> {
    first: Option<Arc<T>>,
    others: KVVec<Arc<T>>,
}

impl<T> Owners<T> {
    /// Room for so many.
    pub fn with_capacity(count: usize) -> Result<Self> {
        let others = count.saturating_sub(1);
        Ok(Self {
            first: None,
            others: KVVec::with_capacity(others, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?,
        })
    }

    /// Adds one, behind the others.
    pub fn push(&mut self, owner: Arc<T>) -> Result {
        if self.first.is_none() {
            self.first = Some(owner);
            return Ok(());
        }
        Ok(self.others.push(owner, GFP_KERNEL_ACCOUNT)?)
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        // In words, for initialisers have a method of this name too.
        Iterator::chain(self.first.iter(), &self.others)
    }
}

/// The data of an area.
struct Shared<T>(#[allow(dead_code)] Owners<T>);

impl<T: OwnsPage> Shared<T> {
    const CALLBACKS: &'static Callbacks = {
        // SAFETY: There are no more callbacks.
        &unsafe { Callbacks::new::<Self>(pin_init::zeroed()) }
    };
}

/// Maps pages in an area, which has a reference to their owners until it is removed. May sleep.
///
/// # Errors
///
/// `EINVAL` if the area is private, or does not have as many pages.
pub fn map<T: OwnsPage>(area: NewArea<'_>, owners: Owners<T>) -> Result {
    if !area.is_shared() || owners.iter().count() != area.pages() {
        return Err(EINVAL);
    }
    // SAFETY: They promise nothing of the area's pages.
    unsafe { area.set_flags((k::VM_DONTEXPAND | k::VM_DONTDUMP) as k::vm_flags_t) };
    // SAFETY: The area is being set up.
    let (start, _) = unsafe { bounds(area.as_raw()) };
    for (index, owner) in owners.iter().enumerate() {
        let at = start + index * PAGE_SIZE;
        // SAFETY: The area is being set up and has this address; the page is one of its own, and
        // the area takes a reference to it.
        to_result(unsafe { k::vm_insert_page(area.as_raw(), at, owner.page().as_ptr()) })?;
    }
    let data = Arc::new(Shared(owners), GFP_KERNEL_ACCOUNT)?;
    // SAFETY: The callbacks were made for a `Shared<T>`.
    unsafe { area.finish(Shared::<T>::CALLBACKS, data) };
    Ok(())
}
