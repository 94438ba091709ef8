// SPDX-License-Identifier: GPL-2.0

//! Other domains' grants, mapped at pages of ours: what the hypervisor is asked for, and how it ends.
//!
//! Pages that somebody uses (I/O that is under way) cannot be unmapped at once. The kernel tries again until
//! nobody does, and calls back; until then the [`Mapped`] has a share in itself. What could not be unmapped
//! is never used again.

use core::slice;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::new_mutex;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::atomic::{Acquire, Atomic, AtomicFlag, AtomicType, Full, Relaxed, Release};
use kernel::sync::{Arc, Mutex};
use kernel::types::Opaque;
use kernel_ext::module::OwnModule;
use xen_abi::grant_table::op::map_flag;
use xen_abi::grant_table::status;
use xen_bindings as bindings;

use super::operations::{Map, Operations, Unmap, NO_HANDLE};
use crate::domain;
use crate::event::port::SharedPort;

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

// SAFETY: The enumeration has the size and alignment of an `i32`, and is round-trip transmutable to it.
unsafe impl AtomicType for MapPhase {
    type Repr = i32;
}

/// What grants are mapped for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A program reads.
    Reading,
    /// A program reads and writes; devices too, which in auto-translated domains see whatever pages the domain has. (Xen
    /// refuses to map for devices by name there.)
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

/// Grants that are mapped at pages of ours, at most once.
///
/// # Invariants
///
/// - What maps and unmaps in `operations`, and `queue`, are used by whoever has the right to: [`map`](Self::map), which is
///   called once, before `phase` is `Live`; then whoever changes `phase` from `Live` to `Ended`, and the kernel after that.
#[pin_data(PinnedDrop)]
pub(crate) struct Mapped {
    operations: Operations,
    /// The request to unmap, while the kernel has it.
    queue: Opaque<bindings::gntab_unmap_queue_data>,
    phase: Atomic<MapPhase>,
    writable: AtomicFlag,
    /// A byte that is cleared before the grants are unmapped.
    clear: Atomic<usize>,
    /// An event that is sent when they are.
    #[pin]
    event: Mutex<Option<SharedPort>>,
}

// SAFETY: By the type invariants what is not atomic is used by one at a time; the pages are owned.
unsafe impl Send for Mapped {}
// SAFETY: As above.
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
    /// Whoever calls this has the right to use them, by the type invariant, and does not have them already.
    #[allow(clippy::mut_from_ref)]
    unsafe fn maps(&self) -> &mut [Map] {
        let (maps, count) = (self.operations.maps(), self.operations.mappings());
        // SAFETY: There are as many, and by the requirement of this function nobody else uses them.
        unsafe { slice::from_raw_parts_mut(maps, count) }
    }

    /// The operations that unmap.
    ///
    /// # Safety
    ///
    /// As for [`maps`](Self::maps).
    #[allow(clippy::mut_from_ref)]
    unsafe fn unmaps(&self) -> &mut [Unmap] {
        let (unmaps, count) = (self.operations.unmaps(), self.operations.mappings());
        // SAFETY: As above.
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

    /// The same for functions of C that do not change the array.
    pub(crate) fn pages_ptr(&self) -> *mut *mut k::page {
        self.pages().as_ptr().cast_mut()
    }

    /// One of the pages.
    pub(crate) fn page(&self, index: usize) -> Option<*mut k::page> {
        self.pages().get(index).copied()
    }

    /// Maps the grants at the pages and, in a PV domain, also at page table entries: `entries` is called there to set
    /// `host_addr` of each operation to the machine address of an entry. If some grants could not be mapped, those that
    /// were have to be [unmapped](Self::unmap) all the same. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a grant could not be mapped; what `entries` returned.
    ///
    /// # Safety
    ///
    /// To be called once. The page table entries are empty, and do not go before the grants are unmapped or
    /// the address space has gone.
    pub(crate) unsafe fn map(
        &self,
        purpose: Purpose,
        entries: impl FnOnce(&mut [Map]) -> Result,
    ) -> Result {
        let flags = purpose.flags();
        let writable = purpose != Purpose::Reading;
        self.writable.store(writable, Relaxed);
        // SAFETY: By the requirement of this function and the type invariant nobody else uses them.
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
                // The bit is the first of those left to the guest, by which a special mapping is known.
                operation.flags |= map_flag::APPLICATION_MAP | map_flag::CONTAINS_PTE | 1 << 16;
            }
        }
        let (asked, kernel) = pointers(maps, self.count());
        // SAFETY: There are as many of each. The kernel maps the grants at pages of ours that have no memory
        // and, as required, at empty page table entries.
        let result = to_result(unsafe {
            bindings::gnttab_map_refs(asked, kernel, self.pages_ptr(), self.count() as u32)
        });
        let all = note(maps, unmaps);
        // INVARIANT: From here on the operations belong to whoever ends this.
        self.phase.store(MapPhase::Live, Release);
        result?;
        if all {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Unmaps the grants, if they are mapped: at once, or when nobody uses the pages any more. May sleep, but
    /// waits for no I/O.
    pub(crate) fn unmap(self: &Arc<Self>) {
        let first = self.phase.cmpxchg(MapPhase::Live, MapPhase::Ended, Full);
        if first.is_err() {
            return;
        }
        self.clear_byte();
        // SAFETY: By the type invariant this is now the only user of the operations, up to the call below.
        let (asked, kernel) = pointers(unsafe { self.unmaps() }, self.count());
        let queue = self.queue.get();
        // SAFETY: As above. Zeroes are what the kernel makes the rest of itself.
        unsafe {
            (*queue).unmap_ops = asked;
            (*queue).kunmap_ops = kernel;
            (*queue).pages = self.pages_ptr();
            (*queue).count = self.count() as u32;
            (*queue).done = Some(done);
            (*queue).data = Arc::into_raw(self.clone()).cast_mut().cast();
        }
        OwnModule::get().leave();
        // SAFETY: What the request points at is part of this value, in which `data` has a share; the kernel
        // uses it until it calls back.
        unsafe { bindings::gnttab_unmap_refs_async(queue) };
    }

    fn clear_byte(&self) {
        let clear = self.clear.xchg(NOTHING, Relaxed);
        if clear == NOTHING || !self.writable.load(Relaxed) {
            return;
        }
        let index = clear / PAGE_SIZE;
        let kernel = if domain::is_pv() { self.count() } else { 0 };
        // SAFETY: By the type invariant this is the only user of the operations.
        let kernel = unsafe { self.unmaps() }.get(kernel + index);
        // Only where there is something: a grant that could not be mapped has no memory behind its page.
        let is_mapped = kernel.is_some_and(|op| op.handle != NO_HANDLE);
        if let (Some(page), true) = (self.page(index), is_mapped) {
            // SAFETY: The page is valid and not in high memory.
            let at = unsafe { bindings::xen_rs_page_address(page) }.cast::<u8>();
            // SAFETY: The offset is in the page, where the grant is mapped for writing. Another domain writes
            // there too, so that nothing but a volatile access will do.
            unsafe { at.add(clear % PAGE_SIZE).write_volatile(0) };
        }
    }
}

/// The operations that were asked for, and the kernel's own, if there are any.
fn parts<T>(operations: &mut [T], count: usize) -> (&mut [T], &mut [T]) {
    operations.split_at_mut(count.min(operations.len()))
}

/// The same for C, with null for none.
fn pointers<T>(operations: &mut [T], count: usize) -> (*mut T, *mut T) {
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
    // SAFETY: The kernel has given the operations back, and nobody else uses them after the end.
    let unmaps: &[Unmap] = unsafe { mapped.unmaps() };
    let stays = |op: &Unmap| op.handle != NO_HANDLE && op.status != status::OKAY;
    let left = unmaps.iter().filter(|op| stays(op)).count();
    if left != 0 {
        mapped.operations.lose_pages();
        pr_err!(
            "{} grants could not be unmapped, {} pages are lost\n",
            left,
            mapped.count()
        );
    }
    drop(mapped);
    // SAFETY: `unmap` has left a reference for each request.
    drop(unsafe { OwnModule::recall() });
}

#[pinned_drop]
impl PinnedDrop for Mapped {
    fn drop(self: Pin<&mut Self>) {
        // Nothing is mapped: either nothing was, or the request to unmap has had a share in this until it was
        // fulfilled. Who owns this sees to it that the request is made.
        let event = self.event.lock().take();
        if let Some(event) = event {
            event.notify();
        }
    }
}
