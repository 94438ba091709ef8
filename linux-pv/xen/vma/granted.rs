// SPDX-License-Identifier: GPL-2.0

//! Other domains' grants in a program's address space.
//!
//! In an auto-translated domain an area shows the pages that the grants are mapped at. In a PV
//! domain the hypervisor changes the area's page table entries, and has to be asked to change them
//! back before the kernel does anything to them; so the kernel's notice that it is about to is
//! waited for, and the grants of the part of an area that it is about are unmapped.

use core::marker::PhantomPinned;

use kernel::{
    bindings as k,
    error::to_result,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            AtomicFlag,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

use kernel_ext::vma::{
    bounds,
    AddressSpace,
    Callbacks,
    NewArea, //
};

use xen_bindings as bindings;

use crate::{
    domain,
    event::port::SharedPort,
    grant::{
        mapped::{
            Mapped,
            Purpose, //
        },
        ForeignGrant, //
    },
};

/// Grants that a program has announced, and may map once.
///
/// # Invariants
///
/// If `watched` is set, `notifier` is registered; it is pinned, and taken off before this goes.
#[pin_data(PinnedDrop)]
pub struct Granted {
    mapped: Arc<Mapped>,
    /// There is an area, or was.
    used: AtomicFlag,
    /// Where the area begins.
    start: Atomic<usize>,
    /// What the driver knows it by.
    offset: Atomic<u64>,
    watched: AtomicFlag,
    #[pin]
    notifier: Opaque<k::mmu_interval_notifier>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: `notifier` is only accessed by the kernel, which has locks for it, and any task may
// remove it. The other fields are `Send`.
unsafe impl Send for Granted {}
// SAFETY: `notifier` is only accessed by the kernel, which has locks for it. The other fields are
// `Sync`.
unsafe impl Sync for Granted {}

// SAFETY: The callbacks expect an `Arc<Granted>` as the area's data.
static CALLBACKS: Callbacks = unsafe {
    Callbacks::new::<Granted>(k::vm_operations_struct {
        may_split: Some(may_split),
        #[cfg(CONFIG_FIND_NORMAL_PAGE)]
        find_normal_page: Some(find_normal_page),
        ..pin_init::zeroed()
    })
};

/// Grants are unmapped all at once.
///
/// # Safety
///
/// None.
unsafe extern "C" fn may_split(_vma: *mut k::vm_area_struct, _addr: usize) -> i32 {
    EINVAL.to_errno()
}

/// The page that a grant at this address is also mapped at, for I/O to and from the area.
///
/// # Safety
///
/// To be called as `find_normal_page` of an area of this kind, with an address in it.
#[cfg(CONFIG_FIND_NORMAL_PAGE)]
unsafe extern "C" fn find_normal_page(vma: *mut k::vm_area_struct, addr: usize) -> *mut k::page {
    // SAFETY: The area's data is an `Arc<Granted>`, which it owns during this call.
    let granted = unsafe { ArcBorrow::from_raw((*vma).vm_private_data.cast::<Granted>()) };
    // Relative to where the grants were mapped: a PV area that moves takes none of them along.
    let offset = addr.checked_sub(granted.start.load(Relaxed));
    let page = offset.and_then(|offset| granted.mapped.page(offset >> PAGE_SHIFT));
    page.unwrap_or(core::ptr::null_mut())
}

static NOTICES: Notices = Notices(k::mmu_interval_notifier_ops {
    invalidate: Some(invalidate),
    ..pin_init::zeroed()
});

struct Notices(k::mmu_interval_notifier_ops);

// SAFETY: It is only read.
unsafe impl Sync for Notices {}

/// The kernel is about to change page table entries.
///
/// # Safety
///
/// To be called by the memory management, for the notifier of a [`Granted`].
unsafe extern "C" fn invalidate(
    notifier: *mut k::mmu_interval_notifier,
    range: *const k::mmu_notifier_range,
    sequence: usize,
) -> bool {
    // SAFETY: The notifier is part of a `Granted`, which takes it off, waiting for this, before it
    // goes.
    let granted = unsafe {
        let granted = kernel::container_of!(Opaque::cast_from(notifier), Granted, notifier);
        &*granted
    };
    // SAFETY: The memory management passes a valid range.
    let (start, end, flags) = unsafe { ((*range).start, (*range).end, (*range).flags) };
    if flags & k::MMU_NOTIFIER_RANGE_BLOCKABLE == 0 {
        return false;
    }
    // SAFETY: As the memory management wants it; the field is only written here, one call at a
    // time.
    unsafe { (&raw mut (*notifier).invalidate_seq).write_volatile(sequence) };
    let first = granted.start.load(Relaxed);
    let last = first + (granted.mapped.count() << PAGE_SHIFT);
    let (from, to) = (start.max(first), end.min(last));
    if from < to {
        let (from, to) = (from - first, to - first);
        let pages = (from >> PAGE_SHIFT)..to.div_ceil(PAGE_SIZE);
        granted.mapped.unmap_part(pages.start, pages.len());
    }
    true
}

impl Granted {
    /// Grants that are to be mapped, at least one. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `grants`; `ENOMEM`.
    pub fn new(grants: impl ExactSizeIterator<Item = Result<ForeignGrant>>) -> Result<Arc<Self>> {
        let mapped = Mapped::new(grants)?;
        Arc::pin_init(
            pin_init!(Self {
                mapped,
                used: AtomicFlag::new(false),
                start: Atomic::new(0),
                offset: Atomic::new(0),
                watched: AtomicFlag::new(false),
                notifier: Opaque::zeroed(),
                _pin: PhantomPinned,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The grants that are mapped in the area that an address is in.
    pub fn find(space: &AddressSpace, address: usize) -> Option<Arc<Self>> {
        let vma = space.find(address, &CALLBACKS)?;
        // SAFETY: The area has these callbacks, so its data is an `Arc<Granted>`, which it owns
        // while the lock is held.
        Some(unsafe { ArcBorrow::from_raw((*vma).vm_private_data.cast::<Self>()) }.into())
    }

    /// How many grants there are.
    pub fn count(&self) -> usize {
        self.mapped.count()
    }

    /// A number of the driver's.
    pub fn offset(&self) -> u64 {
        self.offset.load(Relaxed)
    }

    /// Sets the number.
    pub fn set_offset(&self, offset: u64) {
        self.offset.store(offset, Relaxed);
    }

    /// Sets how the other domain is notified when the grants are unmapped, in place of an earlier
    /// setting: a byte, counted from the first grant on, becomes zero if the grants are mapped for
    /// writing, and an event is sent. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a byte is to be cleared that there is not, or that is mapped read-only.
    pub fn set_unmap_notification(
        &self,
        clear: Option<usize>,
        event: Option<SharedPort>,
    ) -> Result {
        if let Some(clear) = clear {
            if clear >> PAGE_SHIFT >= self.count() || self.mapped.is_read_only() {
                return Err(EINVAL);
            }
        }
        self.mapped.set_unmap_notification(clear, event);
        Ok(())
    }

    /// Maps the grants in an area, which has a reference to them until it is removed. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the area does not have as many pages, is private and can be written to, or is
    /// not the first; or if a grant cannot be mapped.
    pub fn map(self: Arc<Self>, area: NewArea<'_>) -> Result {
        let writable = area.is_writable();
        if area.pages() != self.count() || writable && !area.is_shared() {
            return Err(EINVAL);
        }
        if self.used.xchg(true, Relaxed) {
            return Err(EINVAL);
        }
        let mut flags = k::VM_DONTEXPAND | k::VM_DONTDUMP | k::VM_MIXEDMAP;
        if domain::is_pv() {
            // The entries are in the current process's page tables, so no other may have the area.
            flags |= k::VM_DONTCOPY;
        }
        // SAFETY: The area shows pages of the grants', or entries that the hypervisor changes.
        unsafe { area.set_flags(flags as k::vm_flags_t) };
        let filled = self.fill(&area, writable);
        if let Err(error) = filled {
            self.mapped.unmap();
            return Err(error);
        }
        // SAFETY: The callbacks were made for a `Granted`.
        unsafe { area.finish(&CALLBACKS, self) };
        Ok(())
    }

    fn fill(&self, area: &NewArea<'_>, writable: bool) -> Result {
        // SAFETY: The area is being set up.
        let (start, end) = unsafe { bounds(area.as_raw()) };
        self.start.store(start, Relaxed);
        if domain::is_pv() {
            // SAFETY: The notifier is pinned, and taken off before it goes; the address space is
            // locked.
            to_result(unsafe {
                k::mmu_interval_notifier_insert_locked(
                    self.notifier.get(),
                    (*area.as_raw()).vm_mm,
                    start,
                    end - start,
                    &raw const NOTICES.0,
                )
            })?;
            // INVARIANT: It is registered.
            self.watched.store(true, Relaxed);
            // SAFETY: The notifier is registered. While the address space is locked, the area's
            // page table entries do not change, so the sequence number need not be checked again.
            unsafe { k::mmu_interval_read_begin(self.notifier.get()) };
        }
        let purpose = if writable {
            Purpose::Writing
        } else {
            Purpose::Reading
        };
        let entries = |operations: &mut [_]| {
            // SAFETY: The area has as many pages as there are operations.
            to_result(unsafe {
                bindings::xen_rs_pte_addresses(area.as_raw(), operations.as_mut_ptr())
            })
        };
        // SAFETY: Called once, which `used` sees to. The entries are those of a new area, and
        // before they go the notifier's call unmaps the grants.
        unsafe { self.mapped.map(purpose, entries) }?;
        if !domain::is_pv() {
            // SAFETY: There are as many pages as the area has.
            to_result(unsafe {
                k::vm_map_pages_zero(area.as_raw(), self.mapped.pages_ptr(), self.count())
            })?;
        }
        Ok(())
    }
}

#[pinned_drop]
impl PinnedDrop for Granted {
    fn drop(self: Pin<&mut Self>) {
        if self.watched.load(Relaxed) {
            // SAFETY: By the type invariant it is registered. This waits for a call that is
            // running.
            unsafe { k::mmu_interval_notifier_remove(self.notifier.get()) };
        }
        self.mapped.unmap();
    }
}
