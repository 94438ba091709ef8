// SPDX-License-Identifier: GPL-2.0

//! An open file: the requests of a process.
//!
//! The lock of the mappings is taken in `mmap`, with the address space locked, so the process's
//! memory is never accessed with it held.

use core::mem::offset_of;

use kernel::{
    fmt, new_mutex,
    prelude::*,
    rbtree::RBTreeNodeReservation,
    sync::{
        atomic::Relaxed,
        Arc,
        Mutex, //
    },
};
use kernel_ext::{
    chardev::{
        OpenFile,
        Opener, //
    },
    user,
    vma::{
        AddressSpace,
        NewArea, //
    },
};
use xen::{
    devfile::{
        self,
        ListedStats,
        Shared, //
    },
    domain::DomId,
    grant::{
        CopyBatch,
        ForeignGrant,
        UnmapNotification, //
    },
    page::PAGE_SIZE,
    vma::granted::Granted, //
};
use xen_abi::linux::{
    gntalloc::UnmapNotify,
    gntdev::{
        self as abi,
        ioctl, //
    },
};

use crate::{
    copy,
    dmabuf::{
        Buffers,
        Device, //
    },
    mappings::Mappings,
    params,
    stats::Stats, //
};

/// An open file.
#[pin_data]
pub(crate) struct File {
    #[pin]
    mappings: Mutex<Mappings>,
    /// Memory for the next request to copy, kept from the one before.
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
    /// An empty batch of copies.
    pub(crate) fn take_batch(&self) -> Result<KBox<CopyBatch>> {
        let kept = self.batch.lock().take();
        kept.map_or_else(CopyBatch::new, Ok)
    }

    /// Keeps a batch for the next request. If several requests run at a time, one batch is kept.
    pub(crate) fn keep_batch(&self, mut batch: KBox<CopyBatch>) {
        batch.clear();
        let old = self.batch.lock().replace(batch);
        drop(old);
    }

    /// Counts bytes that are copied.
    pub(crate) fn count_copied(&self, bytes: u64) {
        self.stats.copied_bytes.fetch_add(bytes, Relaxed);
    }

    /// Announces grants, which are mapped when the process maps the file.
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
            let first = mappings.first_fit(args.count.into()).ok_or(ENOMEM)?;
            granted.set_offset(first * PAGE_SIZE as u64);
            mappings.add(reserved, first, granted, &self.stats);
            first
        };
        args.index = first * PAGE_SIZE as u64;
        user::write(argument, &args).inspect_err(|_| {
            // The process does not know the index, unless another thread has guessed it.
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

/// The mapping at an address, of any open file of this driver.
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
