// SPDX-License-Identifier: GPL-2.0

//! An open `/dev/xen/privcmd`: which request a program makes, and whether it may.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::{Arc, Mutex};
use kernel_ext::chardev::{FileList, ListedFile, OpenFile, Opener};
use kernel_ext::user;
use kernel_ext::vma::NewArea;
use xen::hypercall;
use xen::vma::foreign;
use xen_abi::linux::privcmd::{self as abi, ioctl};
use xen_devfile::eventfds::Action;
use xen_devfile::restrict::Restriction;

use crate::ioeventfd::Ioeventfds;
use crate::irqfd::{FilesIrqfds, Irqfds};
use crate::target::Target;
use crate::{batch, dm_op, ranges, resource};

/// What all files share.
pub(crate) struct Shared {
    pub(crate) list: Arc<FileList<Shown>>,
    pub(crate) target: Arc<Target>,
    pub(crate) irqfds: Irqfds,
}

/// What of a file shows in debugfs.
pub(crate) struct Shown {
    pub(crate) opener: Opener,
    pub(crate) restriction: Restriction,
    /// Hypercalls made, device models' included.
    pub(crate) hypercalls: AtomicU64,
    /// Frames asked for.
    pub(crate) frames: AtomicU64,
    /// Irqfds that it has, changed under the lock of all of them.
    pub(crate) irqfds: AtomicU32,
    /// Ioeventfds that it has.
    pub(crate) ioeventfds: AtomicU32,
}

/// An open file.
#[pin_data]
pub(crate) struct File {
    shown: Arc<Shown>,
    privcmd: hypercall::Privcmd,
    irqfds: FilesIrqfds,
    #[pin]
    ioeventfds: Mutex<Ioeventfds>,
    /// Last, so that what the file has stays visible until it is gone.
    _listed: ListedFile<Shown>,
}

#[vtable]
impl OpenFile for File {
    type Shared = Shared;

    fn open(shared: Arc<Shared>, opener: Opener) -> Result<Pin<KBox<Self>>> {
        let privcmd = hypercall::Privcmd::new(&opener);
        let shown = Shown {
            opener,
            restriction: shared.target.restriction()?,
            hypercalls: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            irqfds: AtomicU32::new(0),
            ioeventfds: AtomicU32::new(0),
        };
        let shown = Arc::new(shown, GFP_KERNEL_ACCOUNT)?;
        let listed = FileList::add(shared.list.clone(), shown.clone())?;
        KBox::pin_init(
            pin_init!(Self {
                privcmd,
                irqfds: shared.irqfds.of(shown.clone()),
                shown,
                ioeventfds <- new_mutex!(Ioeventfds::default(), "privcmd ioeventfds"),
                _listed: listed,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    #[inline]
    fn ioctl(&self, request: u32, argument: usize) -> Result<isize> {
        match request {
            ioctl::HYPERCALL => self.hypercall(argument),
            _ => self.others(request, argument),
        }
    }

    fn mmap(&self, area: NewArea<'_>) -> Result {
        foreign::create(area)
    }
}

impl File {
    /// Requests that are made less often; apart from the others, so that the code of those is in one page.
    #[inline(never)]
    fn others(&self, request: u32, argument: usize) -> Result<isize> {
        match request {
            ioctl::DM_OP => return dm_op::call(self, argument),
            ioctl::MMAP => ranges::map(self, argument),
            ioctl::MMAPBATCH => batch::map_v1(self, argument),
            ioctl::MMAPBATCH_V2 => batch::map_v2(self, argument),
            ioctl::MMAP_RESOURCE => resource::map(self, argument),
            ioctl::RESTRICT => self.restrict(argument),
            ioctl::PCIDEV_GET_GSI => pcidev_get_gsi(argument),
            ioctl::IRQFD => self.irqfd(argument),
            ioctl::IOEVENTFD => self.ioeventfd(argument),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }

    /// Whether the file may be used for this domain.
    pub(crate) fn allows(&self, domain: u16) -> Result {
        if !self.shown.restriction.allows(domain.into()) {
            return Err(EPERM);
        }
        Ok(())
    }

    /// Counts a hypercall.
    #[inline]
    pub(crate) fn count_hypercall(&self) {
        self.shown.hypercalls.fetch_add(1, Relaxed);
    }

    /// Counts frames.
    #[inline]
    pub(crate) fn count_frames(&self, frames: usize) {
        self.shown.frames.fetch_add(frames as u64, Relaxed);
    }

    /// Any hypercall: not for a file that is restricted, since there is no telling which domain it is about.
    #[inline]
    fn hypercall(&self, argument: usize) -> Result<isize> {
        if self.shown.restriction.is_some() {
            return Err(EPERM);
        }
        let args: abi::Hypercall = user::read(argument)?;
        self.count_hypercall();
        Ok(self.privcmd.call(args.op as u32, &args.arg))
    }

    fn irqfd(&self, argument: usize) -> Result {
        let args: abi::Irqfd = user::read(argument)?;
        let action = Action::of(args.flags).ok_or(EINVAL)?;
        self.allows(args.dom)?;
        match action {
            Action::Assign => self.irqfds.assign(&args),
            Action::Deassign => self.irqfds.deassign(&args),
        }
    }

    fn ioeventfd(&self, argument: usize) -> Result {
        let args: abi::Ioeventfd = user::read(argument)?;
        let action = Action::of(args.flags).ok_or(EINVAL)?;
        self.allows(args.dom)?;
        let mut ioeventfds = self.ioeventfds.lock();
        let result = match action {
            Action::Assign => ioeventfds.assign(&args),
            Action::Deassign => ioeventfds.deassign(&args),
        };
        self.shown.ioeventfds.store(ioeventfds.count(), Relaxed);
        result
    }

    fn restrict(&self, argument: usize) -> Result {
        let domain: u16 = user::read(argument)?;
        if !self.shown.restriction.set(domain) {
            return Err(EINVAL);
        }
        Ok(())
    }
}

fn pcidev_get_gsi(argument: usize) -> Result {
    let mut args: abi::PcidevGetGsi = user::read(argument)?;
    args.gsi = hypercall::gsi_of_pci(args.sbdf)?;
    user::write(argument, &args)
}
