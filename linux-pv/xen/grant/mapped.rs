// SPDX-License-Identifier: GPL-2.0

//! Other domains' grants, mapped at pages of ours: what the hypervisor is asked for, and how it ends.
//!
//! Pages that somebody uses (I/O that is under way) cannot be unmapped at once. The kernel tries again until
//! nobody does, and calls back; until then the [`Mapped`] has a share in itself. What could not be unmapped
//! is never used again.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::new_mutex;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::{Arc, Mutex};
use xen_abi::grant_table::op::map_flag;
use xen_abi::grant_table::status;
use xen_bindings as bindings;

use crate::debug;
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

/// Nothing is mapped by a handle of this value (`INVALID_GRANT_HANDLE`).
const NO_HANDLE: u32 = u32::MAX;
/// No byte is to be cleared.
const NOTHING: usize = usize::MAX;

/// Nothing has been mapped yet.
const NEW: u8 = 0;
/// Some grants are mapped.
const LIVE: u8 = 1;
/// They are being unmapped, or have been.
const ENDED: u8 = 2;

/// What the hypervisor is asked for, a grant each; in PV domains the same follows once more for the kernel's own
/// mapping.
struct Operations {
    map: KVVec<bindings::gnttab_map_grant_ref>,
    unmap: KVVec<bindings::gnttab_unmap_grant_ref>,
    /// The request to unmap, while the kernel has it.
    queue: bindings::gntab_unmap_queue_data,
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
/// - `operations` and `pages` are used by whoever has the right to: [`map`](Self::map), which is called once,
///   before `phase` is `LIVE`; then whoever changes `phase` from `LIVE` to `ENDED`, and the kernel after that.
/// - The vector in `pages` does not change until this is dropped. It is as long as there are grants.
#[pin_data(PinnedDrop)]
pub(crate) struct Mapped {
    pages: UnsafeCell<Pages>,
    operations: UnsafeCell<Operations>,
    phase: AtomicU8,
    writable: AtomicBool,
    /// Some could not be unmapped, so their pages are lost.
    lost: AtomicBool,
    /// A byte that is cleared before the grants are unmapped.
    clear: AtomicUsize,
    /// An event that is sent when they are.
    #[pin]
    event: Mutex<Option<SharedPort>>,
}

// SAFETY: By the type invariants what is not atomic is used by one at a time; the pages are owned.
unsafe impl Send for Mapped {}
// SAFETY: As above.
unsafe impl Sync for Mapped {}

fn repeat<T: Copy>(value: T, count: usize) -> Result<KVVec<T>> {
    let mut values = KVVec::new();
    values.resize(count, value, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
    Ok(values)
}

impl Mapped {
    /// Gets pages to map these grants at. May sleep.
    pub(crate) fn new(grants: impl ExactSizeIterator<Item = ForeignGrant>) -> Result<Arc<Self>> {
        let count = grants.len();
        // Few allocations, since one grant at a time is what many programs map.
        let mappings = if domain::is_pv() { 2 * count } else { count };
        let no_map = bindings::gnttab_map_grant_ref {
            handle: NO_HANDLE,
            // Whatever is not touched has failed.
            status: status::GENERAL_ERROR,
            ..Default::default()
        };
        let no_unmap = bindings::gnttab_unmap_grant_ref {
            handle: NO_HANDLE,
            status: status::GENERAL_ERROR,
            ..Default::default()
        };
        let mut operations = Operations {
            map: repeat(no_map, mappings)?,
            unmap: repeat(no_unmap, mappings)?,
            queue: Default::default(),
        };
        for (operation, grant) in operations.map.iter_mut().zip(grants) {
            operation.dom = grant.domain.get();
            operation.ref_ = grant.reference;
        }
        let pages = Pages::new(count)?;
        Arc::pin_init(
            pin_init!(Self {
                pages: UnsafeCell::new(pages),
                operations: UnsafeCell::new(operations),
                phase: AtomicU8::new(NEW),
                writable: AtomicBool::new(false),
                lost: AtomicBool::new(false),
                clear: AtomicUsize::new(NOTHING),
                event <- new_mutex!(None, "xen::mapped event"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// How many grants there are.
    pub(crate) fn count(&self) -> usize {
        // SAFETY: By the type invariant the vector does not change.
        unsafe { (*self.pages.get()).0.len() }
    }

    /// Whether the grants were mapped, but not for writing.
    pub(crate) fn is_read_only(&self) -> bool {
        self.phase.load(Ordering::Acquire) != NEW && !self.writable.load(Ordering::Relaxed)
    }

    /// What happens when the grants are unmapped. May sleep.
    pub(crate) fn set_farewell(&self, clear: Option<usize>, event: Option<SharedPort>) {
        self.clear
            .store(clear.unwrap_or(NOTHING), Ordering::Relaxed);
        let old = core::mem::replace(&mut *self.event.lock(), event);
        // Not under the lock, since closing a port may take long.
        drop(old);
    }

    /// The pages, for functions that want an array.
    pub(crate) fn pages(&self) -> *mut *mut k::page {
        // SAFETY: By the type invariant the vector does not change.
        unsafe { (*self.pages.get()).0.as_mut_ptr() }
    }

    /// The pages.
    #[cfg(CONFIG_DMA_SHARED_BUFFER)]
    pub(crate) fn all_pages(&self) -> &[*mut k::page] {
        // SAFETY: By the type invariant the vector does not change.
        unsafe { &(*self.pages.get()).0 }
    }

    /// One of the pages.
    pub(crate) fn page(&self, index: usize) -> Option<*mut k::page> {
        // SAFETY: As above.
        let pages = unsafe { &(*self.pages.get()).0 };
        pages.get(index).copied()
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
        entries: impl FnOnce(&mut [bindings::gnttab_map_grant_ref]) -> Result,
    ) -> Result {
        let flags = purpose.flags();
        let writable = purpose != Purpose::Reading;
        self.writable.store(writable, Ordering::Relaxed);
        // SAFETY: By the requirement of this function and the type invariant nobody else uses them.
        let operations = unsafe { &mut *self.operations.get() };
        let (asked, kernel) = parts(&mut operations.map, self.count());
        for (index, operation) in asked.iter_mut().enumerate() {
            let page = self.page(index).ok_or(EINVAL)?;
            // SAFETY: The page is valid.
            operation.host_addr = unsafe { bindings::xen_rs_grant_address(page) };
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
        let (asked, kernel) = pointers(&mut operations.map, self.count());
        // SAFETY: There are as many of each. The kernel maps the grants at pages of ours that have no memory
        // and, as required, at empty page table entries.
        let result = to_result(unsafe {
            bindings::gnttab_map_refs(asked, kernel, self.pages(), self.count() as u32)
        });
        let all = note(&operations.map, &mut operations.unmap);
        // INVARIANT: From here on the operations belong to whoever ends this.
        self.phase.store(LIVE, Ordering::Release);
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
        let first = self
            .phase
            .compare_exchange(LIVE, ENDED, Ordering::AcqRel, Ordering::Relaxed);
        if first.is_err() {
            return;
        }
        self.clear_byte();
        // SAFETY: By the type invariant this is now the only user of the operations, up to the call below.
        let operations = unsafe { &mut *self.operations.get() };
        let (asked, kernel) = pointers(&mut operations.unmap, self.count());
        operations.queue.unmap_ops = asked;
        operations.queue.kunmap_ops = kernel;
        operations.queue.pages = self.pages();
        operations.queue.count = self.count() as u32;
        operations.queue.done = Some(done);
        operations.queue.data = Arc::into_raw(self.clone()).cast_mut().cast();
        // The module cannot be on its way out: whoever calls this uses it.
        // SAFETY: The shim takes nothing.
        let _ = unsafe { bindings::xen_rs_module_get() };
        let queue: *mut bindings::gntab_unmap_queue_data = &mut operations.queue;
        // SAFETY: What the request points at is part of this value, in which `data` has a share; the kernel
        // uses it until it calls back.
        unsafe { bindings::gnttab_unmap_refs_async(queue) };
    }

    fn clear_byte(&self) {
        let clear = self.clear.swap(NOTHING, Ordering::Relaxed);
        if clear == NOTHING || !self.writable.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: By the type invariant this is the only user of the operations.
        let operations = unsafe { &*self.operations.get() };
        let index = clear / PAGE_SIZE;
        let kernel = if domain::is_pv() { self.count() } else { 0 };
        let kernel = operations.unmap.get(kernel + index);
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
fn note(
    maps: &[bindings::gnttab_map_grant_ref],
    unmaps: &mut [bindings::gnttab_unmap_grant_ref],
) -> bool {
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
    let operations = unsafe { &*mapped.operations.get() };
    let stays =
        |op: &bindings::gnttab_unmap_grant_ref| op.handle != NO_HANDLE && op.status != status::OKAY;
    let left = operations.unmap.iter().filter(|op| stays(op)).count();
    if left != 0 {
        mapped.lost.store(true, Ordering::Relaxed);
        pr_err!(
            "{} grants could not be unmapped, {} pages are lost\n",
            left,
            mapped.count()
        );
    }
    drop(mapped);
    // SAFETY: `unmap` has got it.
    unsafe { bindings::xen_rs_module_put() };
}

/// Pages to map grants at. Dropped, they go back to where they came from.
///
/// # Invariants
///
/// They came from `gnttab_alloc_pages`, and when this is dropped nothing is mapped there.
struct Pages(KVVec<*mut k::page>);

impl Pages {
    fn new(count: usize) -> Result<Self> {
        let mut pages = repeat(core::ptr::null_mut(), count)?;
        let number = i32::try_from(count).map_err(|_| ENOMEM)?;
        // SAFETY: There is room for as many pages.
        let got = unsafe { bindings::gnttab_alloc_pages(number, pages.as_mut_ptr()) };
        to_result(got).map_err(|_| ENOMEM)?;
        debug::MAPPED_PAGES.add(count);
        Ok(Self(pages))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let count = self.0.len();
        if count != 0 {
            // SAFETY: By the type invariant.
            unsafe { bindings::gnttab_free_pages(count as i32, self.0.as_mut_ptr()) };
            debug::MAPPED_PAGES.sub(count);
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Mapped {
    fn drop(self: Pin<&mut Self>) {
        // Nothing is mapped: either nothing was, or the request to unmap has had a share in this until it was
        // fulfilled. Who owns this sees to it that the request is made.
        if self.lost.load(Ordering::Relaxed) {
            // SAFETY: This is the last use, so nobody else uses them.
            let pages = unsafe { &mut *self.pages.get() };
            // INVARIANT: What is mapped somewhere is forgotten.
            core::mem::forget(core::mem::take(&mut pages.0));
        }
        let event = self.event.lock().take();
        if let Some(event) = event {
            event.notify();
        }
    }
}
