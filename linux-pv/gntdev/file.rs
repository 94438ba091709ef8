// SPDX-License-Identifier: GPL-2.0

//! An open file: what a program has announced to map.
//!
//! The lock of the mappings is taken in `mmap`, with the address space locked, so the program's memory is never
//! accessed with it held.

use core::mem::offset_of;

use kernel::fmt;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNodeReservation};
use kernel::sync::atomic::Relaxed;
use kernel::sync::{Arc, Mutex};
use kernel_ext::chardev::{OpenFile, Opener};
use kernel_ext::user;
use kernel_ext::vma::{AddressSpace, NewArea};
use xen::devfile::{self, ListedStats, Shared};
use xen::domain::DomId;
use xen::grant::{CopyBatch, ForeignGrant, UnmapNotification};
use xen::page::PAGE_SIZE;
use xen::vma::granted::Granted;
use xen_abi::linux::gntalloc::UnmapNotify;
use xen_abi::linux::gntdev::{self as abi, ioctl};
use xen_devfile::offsets::first_fit;

use crate::dmabuf::{Buffers, Device};
use crate::stats::Stats;
use crate::{copy, params};

/// The mappings of a file, by their first page in it.
#[derive(Default)]
struct Mappings {
    mappings: RBTree<u64, Arc<Granted>>,
    count: usize,
    grants: usize,
}

impl Mappings {
    /// Adds one, for which the room was made, and tells how many there are.
    fn add(
        &mut self,
        room: RBTreeNodeReservation<u64, Arc<Granted>>,
        first: u64,
        new: Arc<Granted>,
        stats: &Stats,
    ) {
        self.count += 1;
        self.grants += new.count();
        self.mappings.insert(room.into_node(first, new));
        self.count(stats);
    }

    /// Takes out the one that begins at this page and has so many, or any number for 0.
    fn take(&mut self, first: u64, count: usize, stats: &Stats) -> Option<Arc<Granted>> {
        self.find(first, count)?;
        let old = self.mappings.remove(&first)?;
        self.count -= 1;
        self.grants -= old.count();
        self.count(stats);
        Some(old)
    }

    fn count(&self, stats: &Stats) {
        stats.mappings.store(self.count, Relaxed);
        stats.grants.store(self.grants, Relaxed);
    }

    /// The mapping that begins at this page and has so many, or any number for 0.
    fn find(&self, first: u64, count: usize) -> Option<&Arc<Granted>> {
        let granted = self.mappings.get(&first)?;
        (count == 0 || granted.count() == count).then_some(granted)
    }

    /// The mapping that a page is in.
    fn around(&self, page: u64) -> Option<&Arc<Granted>> {
        let mut all = self.mappings.iter();
        let found = all.find(|(first, granted)| {
            page.checked_sub(**first)
                .is_some_and(|offset| offset < granted.count() as u64)
        });
        found.map(|(_, granted)| granted)
    }
}

/// An open file.
#[pin_data]
pub(crate) struct File {
    #[pin]
    mappings: Mutex<Mappings>,
    /// For the next request to copy, if there was one.
    #[pin]
    batch: Mutex<Option<KBox<CopyBatch>>>,
    #[pin]
    buffers: Buffers,
    stats: ListedStats<Self>,
}

#[vtable]
impl OpenFile for File {
    type Shared = Shared<Self>;

    fn open(shared: Arc<Shared<Self>>, opener: Opener) -> Result<Pin<KBox<Self>>> {
        let stats = shared.list(opener, Stats::new())?;
        KBox::pin_init(
            try_pin_init!(Self {
                mappings <- new_mutex!(Mappings::default(), "gntdev mappings"),
                batch <- new_mutex!(None, "gntdev batch"),
                buffers <- Buffers::new(shared.data().clone(), stats.as_arc().clone()),
                stats,
            }? Error),
            GFP_KERNEL_ACCOUNT,
        )
    }

    #[inline]
    fn ioctl(&self, request: u32, argument: usize) -> Result<isize> {
        match request {
            ioctl::MAP_GRANT_REF => self.announce(argument),
            ioctl::UNMAP_GRANT_REF => self.take_back(argument),
            ioctl::GET_OFFSET_FOR_VADDR => get_offset_for_vaddr(argument),
            ioctl::SET_UNMAP_NOTIFY => self.set_unmap_notify(argument),
            ioctl::GRANT_COPY => copy::copy(self, argument),
            _ => self.buffers.ioctl(request, argument),
        }?;
        Ok(0)
    }

    fn mmap(&self, area: NewArea<'_>) -> Result {
        if area.is_writable() && !area.is_shared() {
            return Err(EINVAL);
        }
        let granted = {
            let mappings = self.mappings.lock();
            let first = area.offset() / PAGE_SIZE as u64;
            let found = mappings.find(first, area.pages());
            found.ok_or(EINVAL)?.clone()
        };
        granted.map(area)
    }
}

impl devfile::Driver for File {
    const PATH: &'static CStr = c"xen/gntdev";
    const C_MODULE: &'static str = "xen_gntdev";

    type Data = Device;
    type Stats = Stats;

    fn show_all(_shared: &Shared<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "limit {} grants a mapping or buffer", params::limit())
    }
}

impl File {
    /// A batch of copies, empty.
    pub(crate) fn take_batch(&self) -> Result<KBox<CopyBatch>> {
        let kept = self.batch.lock().take();
        kept.map_or_else(CopyBatch::new, Ok)
    }

    /// Keeps a batch, emptied, for the next request. One too many, of requests at the same time, goes.
    pub(crate) fn keep_batch(&self, mut batch: KBox<CopyBatch>) {
        batch.clear();
        let one_too_many = self.batch.lock().replace(batch);
        drop(one_too_many);
    }

    /// Counts bytes that are copied.
    pub(crate) fn count_copied(&self, bytes: u64) {
        self.stats.copied_bytes.fetch_add(bytes, Relaxed);
    }

    /// Announces grants, which are not mapped before the program maps the file.
    fn announce(&self, argument: usize) -> Result {
        let mut args: abi::MapGrantRef = user::read(argument)?;
        let count = params::check(args.count)?;
        let list = argument
            .checked_add(offset_of!(abi::MapGrantRef, refs))
            .ok_or(EFAULT)?;
        let granted = Granted::new(user::elements(list, count).map(|grant| {
            let grant: abi::GrantRef = grant?;
            Ok(ForeignGrant {
                domain: DomId::new(grant.domid as u16),
                reference: grant.reference,
            })
        }))?;
        let reserved = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let first = {
            let mut mappings = self.mappings.lock();
            let taken = mappings.mappings.iter();
            let taken = taken.map(|(first, granted)| (*first, granted.count() as u64));
            let first = first_fit(taken, args.count.into()).ok_or(ENOMEM)?;
            granted.set_offset(first * PAGE_SIZE as u64);
            mappings.add(reserved, first, granted, &self.stats);
            first
        };
        args.index = first * PAGE_SIZE as u64;
        user::write(argument, &args).inspect_err(|_| {
            // The program will not hear of it, unless another thread of it has guessed.
            let _ = self.remove(first, 0);
        })
    }

    fn remove(&self, first: u64, count: usize) -> Result {
        let removed = self.mappings.lock().take(first, count, &self.stats);
        // Unmapping may take long, so not under the lock.
        drop(removed.ok_or(ENOENT)?);
        Ok(())
    }

    fn take_back(&self, argument: usize) -> Result {
        let args: abi::UnmapGrantRef = user::read(argument)?;
        self.remove(args.index / PAGE_SIZE as u64, args.count as usize)
    }

    fn set_unmap_notify(&self, argument: usize) -> Result {
        let args: UnmapNotify = user::read(argument)?;
        let (clear, event) = UnmapNotification::parse(&args)?;
        let granted = {
            let mappings = self.mappings.lock();
            let found = mappings.around(args.index / PAGE_SIZE as u64);
            found.ok_or(ENOENT)?.clone()
        };
        let byte = (args.index - granted.offset()) as usize;
        granted.set_unmap_notification(clear.then_some(byte), event)
    }
}

/// What is mapped at an address, whichever file it was mapped from.
fn get_offset_for_vaddr(argument: usize) -> Result {
    let mut args: abi::GetOffsetForVaddr = user::read(argument)?;
    let granted = {
        let space = AddressSpace::lock()?;
        Granted::find(&space, args.vaddr as usize).ok_or(EINVAL)?
    };
    args.offset = granted.offset();
    args.count = granted.count() as u32;
    user::write(argument, &args)
}
