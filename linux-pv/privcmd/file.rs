// SPDX-License-Identifier: GPL-2.0

//! An open `/dev/xen/privcmd`: the requests of a process, and whether it may make them.

use kernel::{
    new_mutex,
    prelude::*,
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
    vma::NewArea, //
};
use xen::{
    devfile::{
        self,
        ListedStats,
        Shared, //
    },
    hypercall,
    vma::foreign, //
};
use xen_abi::linux::privcmd::{
    self as abi,
    ioctl, //
};
use xen_devfile::eventfds::Action;

use crate::{
    batch, dm_op,
    ioeventfd::Ioeventfds,
    irqfd::{
        FileIrqfds,
        Irqfds, //
    },
    ranges, resource,
    stats::Stats,
    target::{
        Target,
        Waiting, //
    },
};

/// What all files share.
pub(crate) struct PrivcmdData {
    target: Arc<Target>,
    irqfds: Irqfds,
    /// Until the target is known.
    _waiting: Option<Waiting>,
}

impl PrivcmdData {
    /// Makes it. May sleep.
    pub(crate) fn new() -> Result<Self> {
        let (target, waiting) = Target::find()?;
        Ok(Self {
            target,
            irqfds: Irqfds::new()?,
            _waiting: waiting,
        })
    }
}

/// An open file.
#[pin_data]
pub(crate) struct File {
    privcmd: hypercall::Privcmd,
    irqfds: FileIrqfds,
    #[pin]
    ioeventfds: Mutex<Ioeventfds>,
    /// Last, so that what the file has stays visible until it is released.
    stats: ListedStats<Self>,
}

#[vtable]
impl OpenFile for File {
    type Shared = Shared<Self>;

    fn open(shared: Arc<Shared<Self>>, opener: Opener) -> Result<Pin<KBox<Self>>> {
        let privcmd = hypercall::Privcmd::new(&opener);
        let stats = Stats::new(shared.data().target.restriction()?);
        let stats = shared.list(opener, stats)?;
        KBox::pin_init(
            pin_init!(Self {
                privcmd,
                irqfds: shared.data().irqfds.of(stats.as_arc().clone()),
                ioeventfds <- new_mutex!(Ioeventfds::default(), "privcmd ioeventfds"),
                stats,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    #[inline]
    fn ioctl(&self, request: u32, argument: usize) -> Result<isize> {
        match request {
            ioctl::HYPERCALL => self.hypercall(argument),
            _ => self.rare_ioctl(request, argument),
        }
    }

    fn mmap(&self, area: NewArea<'_>) -> Result {
        foreign::create(area)
    }
}

impl devfile::Driver for File {
    const PATH: &'static CStr = c"xen/privcmd";
    const C_MODULE: &'static str = "xen_privcmd";

    type Data = PrivcmdData;
    type Stats = Stats;
}

impl File {
    /// Requests that are made less often; a function of their own, so that the code of the frequent
    /// one is in one page.
    #[inline(never)]
    fn rare_ioctl(&self, request: u32, argument: usize) -> Result<isize> {
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
        if !self.stats.restriction.allows(domain.into()) {
            return Err(EPERM);
        }
        Ok(())
    }

    /// Counts a hypercall.
    #[inline]
    pub(crate) fn count_hypercall(&self) {
        self.stats.hypercalls.fetch_add(1, Relaxed);
    }

    /// Counts frames.
    #[inline]
    pub(crate) fn count_frames(&self, frames: usize) {
        self.stats.frames.fetch_add(frames as u64, Relaxed);
    }

    /// Any hypercall. Not for a restricted file, since it is unknown which domain it is about.
    #[inline]
    fn hypercall(&self, argument: usize) -> Result<isize> {
        if self.stats.restriction.is_some() {
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
        self.stats.ioeventfds.store(ioeventfds.count(), Relaxed);
        result
    }

    fn restrict(&self, argument: usize) -> Result {
        let domain: u16 = user::read(argument)?;
        if !self.stats.restriction.set(domain) {
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
