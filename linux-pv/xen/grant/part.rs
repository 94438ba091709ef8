// SPDX-License-Identifier: GPL-2.0

//! Unmapping some of the grants of a [`Mapped`], with operations of their own.

use kernel::{
    alloc::flags::GFP_NOWAIT,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

use kernel_ext::module::OwnModule;

use xen_bindings as bindings;

use super::{
    mapped::{
        count_left,
        pointers,
        Mapped, //
    },
    operations::Unmap, //
};

/// Allocation while memory is being reclaimed, perhaps; who asks can do without.
const ATOMIC: kernel::alloc::Flags = GFP_NOWAIT;

/// A request to unmap a part. The kernel has it until it calls [`done`].
pub(super) struct Part {
    queue: Opaque<bindings::gntab_unmap_queue_data>,
    /// The operations that were asked for, then the kernel's own, if there are any.
    unmaps: KVec<Unmap>,
    /// Its pages are those that the part is mapped at.
    mapped: Arc<Mapped>,
    first: usize,
    count: usize,
}

impl Part {
    /// A request for `count` grants from number `first` on, without operations yet. Does not sleep.
    pub(super) fn new(mapped: &Arc<Mapped>, first: usize, count: usize) -> Result<KBox<Self>> {
        let part = Self {
            queue: Opaque::zeroed(),
            unmaps: KVec::with_capacity(2 * count, ATOMIC | __GFP_NOWARN)?,
            mapped: mapped.clone(),
            first,
            count,
        };
        Ok(KBox::new(part, ATOMIC | __GFP_NOWARN)?)
    }

    /// Adds an operation, of which there may be two for each grant.
    pub(super) fn push(&mut self, unmap: Unmap) {
        // There is room, by `new`.
        let _ = self.unmaps.push_within_capacity(unmap);
    }

    /// Has the kernel unmap the part: at once, or when there are no other references to the pages.
    /// May sleep, but waits for no I/O.
    ///
    /// # Safety
    ///
    /// The operations are those of the part, all of them, and nobody else will make them.
    pub(super) unsafe fn start(mut self: KBox<Self>) {
        let count = self.count;
        let (asked, kernel) = pointers(&mut self.unmaps, count);
        let pages = self.mapped.pages_ptr().wrapping_add(self.first);
        let this = KBox::into_raw(self);
        // SAFETY: `this` is valid; only the field's address is computed.
        let queue = unsafe { (*this).queue.get() };
        // SAFETY: Nobody else uses `queue` yet. The other fields are zero, and initialised by the
        // call below.
        unsafe {
            (*queue).unmap_ops = asked;
            (*queue).kunmap_ops = kernel;
            (*queue).pages = pages;
            (*queue).count = count as u32;
            (*queue).done = Some(done);
            (*queue).data = this.cast();
        }
        OwnModule::get().leave();
        // SAFETY: `queue` and the operations are part of `this`, which `done` takes, and the pages
        // of what it has a reference to.
        unsafe { bindings::gnttab_unmap_refs_async(queue) };
    }
}

/// The kernel has done what it was asked for in [`Part::start`].
///
/// # Safety
///
/// To be called by the kernel, once for each request.
unsafe extern "C" fn done(_result: i32, queue: *mut bindings::gntab_unmap_queue_data) {
    // SAFETY: `start` has made the data from a box, and left it to this function.
    let part = unsafe { KBox::from_raw((*queue).data.cast::<Part>()) };
    let left = count_left(&part.unmaps);
    if left != 0 {
        part.mapped.lose_pages(left);
    }
    drop(part);
    // SAFETY: `start` has left a reference for each request.
    drop(unsafe { OwnModule::recall() });
}
