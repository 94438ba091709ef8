// SPDX-License-Identifier: GPL-2.0

//! A device model's pages of requests, and the eventfds that answer some of them.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    eventfd::EventFd,
    sync::{
        new_irq_spinlock,
        IrqSpinLock, //
    },
    vma::AddressSpace, //
};
use xen::{
    event::{
        ObservedEvent,
        Observer, //
    },
    vma::foreign::{
        self,
        KeptPage, //
    },
};
use xen_abi::linux::privcmd as abi;
use xen_devfile::ioreq::{
    pages,
    serve,
    Doorbell,
    Slot, //
};

/// An eventfd, and the doorbell for which it is signalled.
pub(super) struct Assignment {
    pub(super) doorbell: Doorbell,
    pub(super) eventfd: EventFd,
}

/// References to the pages that a process has mapped for its requests. May sleep.
///
/// # Errors
///
/// `EFAULT` if no request pages are mapped there.
pub(super) fn get_pages(args: &abi::Ioeventfd) -> Result<KVec<KeptPage>> {
    let count = pages(args.vcpus) as usize;
    let mut kept = KVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
    let space = AddressSpace::lock()?;
    let first = args.ioreq as usize;
    let area = foreign::Area::find(&space, first).ok_or(EFAULT)?;
    for index in 0..count {
        let at = first.checked_add(index * xen::page::PAGE_SIZE);
        kept.push(area.keep(at.ok_or(EFAULT)?)?, GFP_KERNEL_ACCOUNT)?;
    }
    drop(space);
    Ok(kept)
}

/// A device model's pages of requests.
#[pin_data]
pub(super) struct RequestPages {
    pub(super) pages: KVec<KeptPage>,
    /// Changed with the lock of the open file's ioeventfds held too.
    #[pin]
    assignments: IrqSpinLock<KVec<Assignment>>,
}

impl RequestPages {
    /// No eventfd is assigned yet.
    pub(super) fn new(pages: KVec<KeptPage>) -> impl PinInit<Self> {
        pin_init!(Self {
            pages,
            assignments <- new_irq_spinlock!(KVec::new(), "privcmd ioeventfds"),
        })
    }

    /// Whether the eventfd is assigned to a doorbell.
    pub(super) fn has(&self, eventfd: &EventFd) -> bool {
        let assignments = self.assignments.lock();
        assignments
            .iter()
            .any(|assignment| assignment.eventfd.is(eventfd))
    }

    /// Adds an assignment. May sleep.
    pub(super) fn add(&self, assignment: Assignment) -> Result {
        let count = self.assignments.lock().len();
        let mut longer = KVec::with_capacity(count + 1, GFP_KERNEL_ACCOUNT)?;
        let mut assignments = self.assignments.lock();
        for assignment in assignments.drain_all() {
            // There is room: the open file's lock keeps the number of assignments.
            let _ = longer.push_within_capacity(assignment);
        }
        let added = longer.push_within_capacity(assignment).map_err(|_| ENOMEM);
        core::mem::swap(&mut *assignments, &mut longer);
        drop(assignments);
        added
    }

    /// Removes an eventfd's assignment, and returns it with the number of those that are left.
    pub(super) fn remove(&self, eventfd: &EventFd) -> Option<(Assignment, usize)> {
        let mut assignments = self.assignments.lock();
        let index = assignments
            .iter()
            .position(|assignment| assignment.eventfd.is(eventfd))?;
        let assignment = assignments.remove(index).ok()?;
        Some((assignment, assignments.len()))
    }
}

/// A vCPU's slot in a page of requests.
struct RequestSlot<'a> {
    page: &'a KeptPage,
    /// Of the slot in the page, in bytes.
    offset: usize,
}

impl Slot for RequestSlot<'_> {
    #[inline]
    fn load8(&self, at: usize) -> u8 {
        self.page.load8(self.offset + at)
    }

    #[inline]
    fn load32(&self, at: usize) -> u32 {
        self.page.load32(self.offset + at)
    }

    #[inline]
    fn load64(&self, at: usize) -> u64 {
        self.page.load64(self.offset + at)
    }

    #[inline]
    fn read_barrier(&self) {
        self.page.read_barrier();
    }

    #[inline]
    fn replace8(&self, at: usize, old: u8, new: u8) -> bool {
        self.page.replace8(self.offset + at, old, new)
    }
}

/// Observes the events of a vCPU's requests, and answers those that ring an assigned doorbell.
pub(super) struct RequestObserver {
    pub(super) requests: Arc<RequestPages>,
    /// Index of the page with the vCPU's slot.
    pub(super) page: usize,
    /// Of the slot in the page, in bytes.
    pub(super) offset: usize,
}

impl Observer for RequestObserver {
    fn observe(&self, event: ObservedEvent<'_>) -> bool {
        let Some(page) = self.requests.pages.get(self.page) else {
            return false;
        };
        let slot = RequestSlot {
            page,
            offset: self.offset,
        };
        let assignments = self.requests.assignments.lock();
        let served = serve(
            &slot,
            |write| {
                assignments
                    .iter()
                    .find(|assignment| assignment.doorbell.is_rung_by(write))
            },
            |assignment| assignment.eventfd.signal(),
        );
        drop(assignments);
        if served {
            event.notify();
        }
        served
    }
}
