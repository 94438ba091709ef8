// SPDX-License-Identifier: GPL-2.0

//! Pages of this kernel that a program passes to hypercalls.
//!
//! The hypervisor finds a hypercall's arguments by their address in the program, and gives up if
//! the page is not there. These pages are always there: they are mapped at once, neither swapped
//! nor moved nor copied on write, and stay until the last area that shows them is gone.

use kernel::{
    bindings as k,
    error::to_result,
    page::Page,
    prelude::*,
    sync::Arc, //
};

use kernel_ext::vma::{
    Callbacks,
    NewArea, //
};

use crate::debug;

/// Zeroed pages.
struct Buffer(KVVec<Page>);

impl Drop for Buffer {
    fn drop(&mut self) {
        debug::BUFFER_PAGES.sub(self.0.len());
    }
}

// SAFETY: There are no more callbacks.
static CALLBACKS: Callbacks = unsafe { Callbacks::new::<Buffer>(pin_init::zeroed()) };

/// Fills an area with zeroed pages, which are charged to the program. May sleep.
///
/// # Errors
///
/// `EINVAL` if the area is private: a write would replace the page. `ENOMEM` if there is no memory.
pub fn fill(area: NewArea<'_>) -> Result {
    if !area.is_shared() {
        return Err(EINVAL);
    }
    let count = area.pages();
    let flags = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
    let mut pages = KVVec::with_capacity(count, flags)?;
    let mut raw = KVVec::with_capacity(count, flags)?;
    for _ in 0..count {
        let page = Page::alloc_page(flags)?;
        raw.push(page.as_ptr(), flags)?;
        pages.push(page, flags)?;
    }
    let data = Arc::new(Buffer(pages), GFP_KERNEL_ACCOUNT)?;
    debug::BUFFER_PAGES.add(count);
    // SAFETY: The flags require nothing of the pages: the area is not expanded, and its pages are
    // not pinned.
    unsafe { area.set_flags((k::VM_IO | k::VM_DONTEXPAND) as k::vm_flags_t) };
    // SAFETY: The area is being set up, and there are as many pages as it has.
    to_result(unsafe { k::vm_map_pages_zero(area.as_raw(), raw.as_mut_ptr(), count) })?;
    // SAFETY: The callbacks were made for a `Buffer`.
    unsafe { area.finish(&CALLBACKS, data) };
    Ok(())
}
