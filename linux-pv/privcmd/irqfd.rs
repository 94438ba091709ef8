// SPDX-License-Identifier: GPL-2.0

//! Eventfds that make a device model's hypercall when they are signalled (`IRQFD`): a backend in
//! another process, or in the kernel (vhost), raises a guest's interrupt.
//!
//! An eventfd is signalled with interrupts off and its lock held. A hypercall that raises an
//! interrupt is made there: it takes little time, and needs nothing but a copy of the process's
//! buffer. Any other is made by a work item, as the hypervisor may need long for it, and preempts
//! it so that this domain can take its interrupts.
//!
//! All files share one list, since an eventfd can have one hypercall only: the first one assigned.
//! An open file's assignments end when it is closed. An eventfd whose own last file is closed is
//! removed from the list by a work item, because its notification comes in atomic context.

mod call;

use core::time::Duration;

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            AtomicFlag,
            Relaxed,
            Release, //
        },
        Arc,
        Mutex, //
    },
};
use kernel_ext::{
    eventfd::{
        EventFd,
        Listener,
        OpenEventFd,
        Watch, //
    },
    user,
    work::{
        new_worker,
        Job,
        Worker, //
    },
};
use xen::{
    devfile::OpenedFile,
    domain::DomId,
    hypercall::StoredDmOp, //
};
use xen_abi::linux::privcmd as abi;
use xen_devfile::eventfds::is_brief;

use crate::{
    params,
    stats::Stats, //
};
use call::{
    DeferredCall,
    IrqfdCall,
    LogLimit, //
};

/// Makes an eventfd's hypercall when the eventfd is signalled.
struct IrqfdListener {
    call: Arc<IrqfdCall>,
    /// `Some` if the hypercall is not brief.
    deferred: Option<Pin<KBox<Worker<DeferredCall>>>>,
    /// The eventfd's last file is closed.
    closed: AtomicFlag,
    cleanup: Arc<CleanupWorker>,
}

impl Listener for IrqfdListener {
    fn signalled(&self) {
        match &self.deferred {
            None => self.call.make_brief(),
            Some(worker) => worker.as_ref().schedule_once(Duration::ZERO),
        }
    }

    fn closed(&self) {
        self.closed.store(true, Release);
        self.cleanup.0.as_ref().schedule(Duration::ZERO);
    }
}

type Irqfd = Pin<KBox<Watch<IrqfdListener>>>;

fn owner(irqfd: &Irqfd) -> &Arc<OpenedFile<Stats>> {
    &irqfd.listener().call.owner
}

/// The irqfds of all open files.
#[pin_data]
struct IrqfdList {
    /// Irqfds are dropped with the lock held, so that none of those that are gone from the list
    /// makes a hypercall any more. Their work items do not take the lock.
    #[pin]
    irqfds: Mutex<KVec<Irqfd>>,
}

impl IrqfdList {
    /// Ends the irqfds for which `keep` returns `false`. May sleep.
    fn retain(&self, mut keep: impl FnMut(&Irqfd) -> bool) {
        self.irqfds.lock().retain(|irqfd| {
            let keep = keep(irqfd);
            if !keep {
                owner(irqfd).irqfds.fetch_sub(1, Relaxed);
            }
            keep
        });
    }
}

/// Work item that ends the irqfds whose eventfd is closed.
struct Cleanup(Arc<IrqfdList>);

impl Job for Cleanup {
    fn run(&self) -> Option<Duration> {
        self.0
            .retain(|irqfd| !irqfd.listener().closed.load(Acquire));
        None
    }
}

/// The worker of [`Cleanup`]. Each irqfd has a reference, but never the last one, whose drop would
/// wait for the work item that drops the irqfd: the open file that assigned it has one too, and
/// ends its irqfds before it drops that.
struct CleanupWorker(Pin<KBox<Worker<Cleanup>>>);

/// What all open files share: the list of irqfds, its cleanup, and the limit of lines in the log.
#[derive(Clone)]
pub(crate) struct Irqfds {
    list: Arc<IrqfdList>,
    cleanup: Arc<CleanupWorker>,
    log_limit: Arc<LogLimit>,
}

impl Irqfds {
    /// Starts with an empty list.
    pub(crate) fn new() -> Result<Self> {
        let list = Arc::pin_init(
            pin_init!(IrqfdList {
                irqfds <- new_mutex!(KVec::new(), "privcmd irqfds"),
            }),
            GFP_KERNEL,
        )?;
        let worker = KBox::pin_init(new_worker!(Cleanup(list.clone())), GFP_KERNEL)?;
        Ok(Self {
            list,
            cleanup: Arc::new(CleanupWorker(worker), GFP_KERNEL)?,
            log_limit: Arc::new(LogLimit::new(), GFP_KERNEL)?,
        })
    }

    /// The part of the list that belongs to the open file `owner`.
    pub(crate) fn of(&self, owner: Arc<OpenedFile<Stats>>) -> FileIrqfds {
        FileIrqfds {
            all: self.clone(),
            owner,
        }
    }
}

/// The irqfds of an open file. Dropped, it ends them all, which may sleep.
pub(crate) struct FileIrqfds {
    all: Irqfds,
    owner: Arc<OpenedFile<Stats>>,
}

impl FileIrqfds {
    /// Assigns a hypercall to an eventfd. May sleep.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the buffer is larger than a hypercall's may be, `EFAULT` if it cannot be read,
    /// `EBADF` or `EINVAL` if there is no eventfd, `EBUSY` if it has a hypercall already, `ENOSPC`
    /// if the file has too many.
    pub(crate) fn assign(&self, args: &abi::Irqfd) -> Result {
        if args.size > params::dm_op_limits().size {
            return Err(E2BIG);
        }
        let buffer = user::read_array(args.dm_op as usize, args.size as usize)?;
        let call = IrqfdCall {
            hypercall: StoredDmOp::new(DomId::new(args.dom), buffer),
            domain: args.dom,
            owner: self.owner.clone(),
            log_limit: self.all.log_limit.clone(),
        };
        let call = Arc::new(call, GFP_KERNEL_ACCOUNT)?;
        let deferred = if is_brief(call.hypercall.buffer()) {
            None
        } else {
            let worker = new_worker!(DeferredCall(call.clone()));
            Some(KBox::pin_init(worker, GFP_KERNEL_ACCOUNT)?)
        };
        let opened = OpenEventFd::get(args.fd)?;
        let listener = IrqfdListener {
            call,
            deferred,
            closed: AtomicFlag::new(false),
            cleanup: self.all.cleanup.clone(),
        };
        let mut irqfds = self.all.list.irqfds.lock();
        if irqfds.iter().any(|i| i.eventfd().is(opened.eventfd())) {
            return Err(EBUSY);
        }
        if self.owner.irqfds.load(Relaxed) >= params::max_eventfds() {
            return Err(ENOSPC);
        }
        irqfds.reserve(1, GFP_KERNEL)?;
        let irqfd = KBox::pin_init(Watch::new(&opened, listener), GFP_KERNEL_ACCOUNT)?;
        irqfds.push(irqfd, GFP_KERNEL)?;
        self.owner.irqfds.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Takes an eventfd's assignment back, whichever file made it; does nothing if there is none.
    /// No hypercall is made after it has returned. May sleep.
    ///
    /// # Errors
    ///
    /// `EBADF` or `EINVAL` if there is no eventfd.
    pub(crate) fn deassign(&self, args: &abi::Irqfd) -> Result {
        let eventfd = EventFd::get(args.fd)?;
        self.all.list.retain(|irqfd| {
            !irqfd.eventfd().is(&eventfd) || irqfd.listener().call.domain != args.dom
        });
        Ok(())
    }
}

impl Drop for FileIrqfds {
    fn drop(&mut self) {
        self.all
            .list
            .retain(|irqfd| !Arc::ptr_eq(owner(irqfd), &self.owner));
    }
}
