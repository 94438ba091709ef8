// SPDX-License-Identifier: GPL-2.0

//! Grants of other domains, mapped at pages of this kernel: mapping and unmapping.
//!
//! Pages with references (I/O in progress) cannot be unmapped at once. The kernel tries again until
//! there are none, and calls back; until then the [`Mapped`] has a reference to itself. Pages that
//! could not be unmapped are never used again.

use core::{
    ops::Range,
    slice, //
};

use kernel::{
    bindings as k,
    error::to_result,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            AtomicFlag,
            AtomicType,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        Mutex, //
    },
    types::Opaque, //
};

use kernel_ext::module::OwnModule;

use xen_abi::grant_table::{
    op::map_flag,
    status, //
};

use xen_bindings as bindings;

use crate::{
    domain,
    event::port::SharedPort, //
};

use super::{
    operations::{
        Map,
        Operations,
        Unmap,
        NO_HANDLE, //
    },
    part::Part, //
};

/// A grant of another domain's.
#[derive(Clone, Copy)]
pub struct ForeignGrant {
    /// The domain.
    pub domain: crate::domain::DomId,
    /// The reference.
    pub reference: u32,
}

/// No byte is to be cleared.
const NOTHING: usize = usize::MAX;

/// How far a [`Mapped`] is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum MapPhase {
    /// Nothing has been mapped yet.
    New,
    /// Some grants are mapped.
    Live,
    /// They are being unmapped, or have been.
    Ended,
}

// SAFETY: The enumeration has the size and alignment of an `i32`, and is round-trip transmutable to
// it.
unsafe impl AtomicType for MapPhase {
    type Repr = i32;
}

/// What grants are mapped for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A program reads.
    Reading,
    /// A program reads and writes; devices too, which in auto-translated domains see whatever pages
    /// the domain has. (Xen refuses to map for devices by name there.)
    Writing,
}

impl Purpose {
    fn flags(self) -> u32 {
        match self {
            Purpose::Reading => map_flag::HOST_MAP | map_flag::READONLY,
            Purpose::Writing => map_flag::HOST_MAP,
        }
    }
}

/// Grants that are mapped at pages of this kernel, at most once.
///
/// # Invariants
///
/// `queue` and the map and unmap operations of `operations` have one user at a time:
/// [`map`](Self::map), which is called once, while `phase` is `New`; while it is `Live`, who holds
/// `unmapping`; then the caller of [`unmap`](Self::unmap) that changes it to `Ended`; then the
/// kernel, until it calls [`done`].
#[pin_data(PinnedDrop)]
pub(crate) struct Mapped {
    operations: Operations,
    /// The request to unmap, while the kernel has it.
    queue: Opaque<bindings::gntab_unmap_queue_data>,
    phase: Atomic<MapPhase>,
    /// Held while the grants are being unmapped, so that whoever asks for that too, because page
    /// table entries are about to change, does not go on before it is done.
    #[pin]
    unmapping: Mutex<()>,
    writable: AtomicFlag,
    /// A byte that is cleared before the grants are unmapped.
    clear: Atomic<usize>,
    /// An event that is sent when they are.
    #[pin]
    event: Mutex<Option<SharedPort>>,
}

// SAFETY: The pages are owned, and any task may free them; `event` is `Send`.
unsafe impl Send for Mapped {}
// SAFETY: By the type invariant `queue` and the operations have one user at a time. The other
// fields are atomic, `Sync`, or do not change.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Gets pages to map these grants at. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `grants`; `ENOMEM`.
    pub(crate) fn new(
        grants: impl ExactSizeIterator<Item = Result<ForeignGrant>>,
    ) -> Result<Arc<Self>> {
        let operations = Operations::new(grants)?;
        Arc::pin_init(
            pin_init!(Self {
                operations,
                queue: Opaque::zeroed(),
                phase: Atomic::new(MapPhase::New),
                unmapping <- new_mutex!((), "xen::mapped unmapping"),
                writable: AtomicFlag::new(false),
                clear: Atomic::new(NOTHING),
                event <- new_mutex!(None, "xen::mapped event"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// How many grants there are.
    pub(crate) fn count(&self) -> usize {
        self.operations.count()
    }

    /// The operations that map.
    ///
    /// # Safety
    ///
    /// The caller is the user of the operations, by the type invariant, and has no other reference
    /// to those that map.
    #[allow(clippy::mut_from_ref)]
    unsafe fn maps(&self) -> &mut [Map] {
        let (maps, count) = (self.operations.maps(), self.operations.mappings());
        // SAFETY: `Operations` has `mappings()` operations there, as long as `self`. By the
        // requirement of this function this is the only reference to them.
        unsafe { slice::from_raw_parts_mut(maps, count) }
    }

    /// The operations that unmap.
    ///
    /// # Safety
    ///
    /// The caller is the user of the operations, by the type invariant, and has no other reference
    /// to those that unmap.
    #[allow(clippy::mut_from_ref)]
    unsafe fn unmaps(&self) -> &mut [Unmap] {
        let (unmaps, count) = (self.operations.unmaps(), self.operations.mappings());
        // SAFETY: `Operations` has `mappings()` operations there, as long as `self`. By the
        // requirement of this function this is the only reference to them.
        unsafe { slice::from_raw_parts_mut(unmaps, count) }
    }

    /// Whether the grants were mapped, but not for writing.
    pub(crate) fn is_read_only(&self) -> bool {
        self.phase.load(Acquire) != MapPhase::New && !self.writable.load(Relaxed)
    }

    /// What happens when the grants are unmapped. May sleep.
    pub(crate) fn set_unmap_notification(&self, clear: Option<usize>, event: Option<SharedPort>) {
        self.clear.store(clear.unwrap_or(NOTHING), Relaxed);
        let old = core::mem::replace(&mut *self.event.lock(), event);
        // Not under the lock, since closing a port may take long.
        drop(old);
    }

    /// The pages, which stay the same.
    pub(crate) fn pages(&self) -> &[*mut k::page] {
        self.operations.pages()
    }

    /// The pages, for C functions that do not change the array.
    pub(crate) fn pages_ptr(&self) -> *mut *mut k::page {
        self.pages().as_ptr().cast_mut()
    }

    /// One of the pages.
    pub(crate) fn page(&self, index: usize) -> Option<*mut k::page> {
        self.pages().get(index).copied()
    }

    /// Some grants could not be unmapped, so the pages are never used again.
    #[cold]
    pub(super) fn lose_pages(&self, left: usize) {
        self.operations.lose_pages();
        pr_err!(
            "{} grants could not be unmapped, {} pages are lost\n",
            left,
            self.count()
        );
    }

    /// Maps the grants at the pages and, in a PV domain, also at page table entries: `entries` is
    /// called there to set `host_addr` of each operation to the machine address of an entry. If
    /// some grants could not be mapped, those that were have to be [unmapped](Self::unmap) all the
    /// same. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a grant could not be mapped; what `entries` returned.
    ///
    /// # Safety
    ///
    /// To be called once. The page table entries are empty, and do not go before the grants are
    /// unmapped or the address space has gone.
    pub(crate) unsafe fn map(
        &self,
        purpose: Purpose,
        entries: impl FnOnce(&mut [Map]) -> Result,
    ) -> Result {
        let flags = purpose.flags();
        let writable = purpose != Purpose::Reading;
        self.writable.store(writable, Relaxed);
        // SAFETY: By the requirement of this function this is the only call, and `phase` is `New`,
        // so by the type invariant this function is the user of the operations.
        let (maps, unmaps) = unsafe { (self.maps(), self.unmaps()) };
        let (asked, kernel) = parts(maps, self.count());
        for (operation, page) in asked.iter_mut().zip(self.pages()) {
            // SAFETY: The page is valid.
            operation.host_addr = unsafe { bindings::xen_rs_grant_address(*page) };
            operation.flags = flags;
        }
        if domain::is_pv() {
            for (kernel, asked) in kernel.iter_mut().zip(&*asked) {
                *kernel = *asked;
            }
            entries(asked)?;
            for operation in asked {
                // The bit is the first of those left to the guest, by which a special mapping is
                // known.
                operation.flags |= map_flag::APPLICATION_MAP | map_flag::CONTAINS_PTE | 1 << 16;
            }
        }
        let (asked, kernel) = pointers(maps, self.count());
        // SAFETY: There are `count` operations and pages, and as many operations of the kernel
        // unless `kernel` is null. The pages are owned and have no memory; by the requirement of
        // this function the page table entries are empty.
        let result = to_result(unsafe {
            bindings::gnttab_map_refs(asked, kernel, self.pages_ptr(), self.count() as u32)
        });
        let all = note(maps, unmaps);
        // INVARIANT: The operations are not used any more here.
        self.phase.store(MapPhase::Live, Release);
        result?;
        if all {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Unmaps the grants, if they are mapped: at once, or when there are no other references to the
    /// pages. If another task is doing that, waits for it. May sleep, but waits for no I/O.
    pub(crate) fn unmap(self: &Arc<Self>) {
        let _unmapping = self.unmapping.lock();
        self.unmap_all();
    }

    /// Unmaps `count` grants from number `first` on, as [`unmap`](Self::unmap) does: the page table
    /// entries of these are about to change. If there is no memory for that, unmaps all.
    pub(crate) fn unmap_part(self: &Arc<Self>, first: usize, count: usize) {
        let _unmapping = self.unmapping.lock();
        if self.phase.load(Acquire) != MapPhase::Live {
            return;
        }
        if count >= self.count() {
            return self.unmap_all();
        }
        let Ok(part) = Part::new(self, first, count) else {
            return self.unmap_all();
        };
        self.clear_byte(first..first + count);
        self.take_part(part, first, count);
    }

    /// Moves the operations that unmap a part to a request of their own, and makes that. With
    /// `unmapping` held, while the grants are mapped.
    fn take_part(&self, mut part: KBox<Part>, first: usize, count: usize) {
        // SAFETY: `unmapping` is held and `phase` is `Live`, so by the type invariant this function
        // is the user of the operations.
        let unmaps = unsafe { self.unmaps() };
        let (asked, kernel) = parts(unmaps, self.count());
        for half in [asked, kernel] {
            for unmap in half.iter_mut().skip(first).take(count) {
                part.push(*unmap);
                // They are not made a second time.
                unmap.handle = NO_HANDLE;
            }
        }
        // SAFETY: The operations were moved there.
        unsafe { part.start() };
    }

    /// Unmaps what is mapped. With `unmapping` held.
    fn unmap_all(self: &Arc<Self>) {
        let first = self.phase.cmpxchg(MapPhase::Live, MapPhase::Ended, Full);
        if first.is_err() {
            return;
        }
        self.clear_byte(0..self.count());
        // SAFETY: `phase` was changed from `Live` to `Ended` above, so by the type invariant this
        // function is the user of the operations, until the call below.
        let (asked, kernel) = pointers(unsafe { self.unmaps() }, self.count());
        let queue = self.queue.get();
        // SAFETY: By the type invariant this function is also the user of `queue`. The other fields
        // are zero, and initialised by the call below.
        unsafe {
            (*queue).unmap_ops = asked;
            (*queue).kunmap_ops = kernel;
            (*queue).pages = self.pages_ptr();
            (*queue).count = self.count() as u32;
            (*queue).done = Some(done);
            (*queue).data = Arc::into_raw(self.clone()).cast_mut().cast();
        }
        OwnModule::get().leave();
        // SAFETY: `queue`, the operations and the pages are part of this value, to which `data`
        // owns a reference that `done` takes.
        unsafe { bindings::gnttab_unmap_refs_async(queue) };
    }

    /// Clears the byte that is to be cleared, if it is in these grants.
    fn clear_byte(&self, grants: Range<usize>) {
        let clear = self.clear.load(Relaxed);
        let index = clear / PAGE_SIZE;
        if clear == NOTHING || !grants.contains(&index) || !self.writable.load(Relaxed) {
            return;
        }
        self.clear.store(NOTHING, Relaxed);
        let kernel = if domain::is_pv() { self.count() } else { 0 };
        // SAFETY: The callers hold `unmapping`, are the user of the operations and have no
        // reference to them.
        let kernel = unsafe { self.unmaps() }.get(kernel + index);
        // Only where there is something: a grant that could not be mapped has no memory behind its
        // page.
        let is_mapped = kernel.is_some_and(|op| op.handle != NO_HANDLE);
        if let (Some(page), true) = (self.page(index), is_mapped) {
            // SAFETY: The page is valid and not in high memory.
            let at = unsafe { bindings::xen_rs_page_address(page) }.cast::<u8>();
            // SAFETY: The offset is in the page, where the grant is mapped for writing. Another
            // domain writes there too, so that nothing but a volatile access will do.
            unsafe { at.add(clear % PAGE_SIZE).write_volatile(0) };
        }
    }
}

/// The operations that were asked for, and the kernel's own, if there are any.
fn parts<T>(operations: &mut [T], count: usize) -> (&mut [T], &mut [T]) {
    operations.split_at_mut(count.min(operations.len()))
}

/// How many grants are still mapped that should not be.
pub(super) fn count_left(unmaps: &[Unmap]) -> usize {
    let stays = |op: &&Unmap| op.handle != NO_HANDLE && op.status != status::OKAY;
    unmaps.iter().filter(stays).count()
}

/// The same for C, with null for none.
pub(super) fn pointers<T>(operations: &mut [T], count: usize) -> (*mut T, *mut T) {
    let (asked, kernel) = parts(operations, count);
    let kernel = if kernel.is_empty() {
        core::ptr::null_mut()
    } else {
        kernel.as_mut_ptr()
    };
    (asked.as_mut_ptr(), kernel)
}

/// Notes what has to be unmapped of what was mapped; returns whether that is all.
fn note(maps: &[Map], unmaps: &mut [Unmap]) -> bool {
    let mut all = true;
    for (map, unmap) in maps.iter().zip(unmaps) {
        let mapped = map.status == status::OKAY;
        unmap.host_addr = map.host_addr;
        unmap.handle = if mapped { map.handle } else { NO_HANDLE };
        all &= mapped;
    }
    all
}

/// The kernel has done what it was asked for in `unmap`.
///
/// # Safety
///
/// To be called by the kernel, once for each request.
unsafe extern "C" fn done(_result: i32, queue: *mut bindings::gntab_unmap_queue_data) {
    // SAFETY: `unmap` has made the data from an `Arc<Mapped>`, and left it to this function.
    let mapped = unsafe { Arc::from_raw((*queue).data.cast::<Mapped>()) };
    // SAFETY: `phase` is `Ended`, and the kernel does not use the operations any more, so by the
    // type invariant this function is their user.
    let left = count_left(unsafe { mapped.unmaps() });
    if left != 0 {
        mapped.lose_pages(left);
    }
    drop(mapped);
    // SAFETY: `unmap` has left a reference for each request.
    drop(unsafe { OwnModule::recall() });
}

#[pinned_drop]
impl PinnedDrop for Mapped {
    fn drop(self: Pin<&mut Self>) {
        // Nothing is mapped: either nothing was, or the request to unmap had a reference to this
        // value until it was completed. Each owner makes that request before it drops the value.
        let event = self.event.lock().take();
        if let Some(event) = event {
            event.notify();
        }
    }
}
