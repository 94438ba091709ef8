// SPDX-License-Identifier: GPL-2.0

//! Eventfds that make a device model's hypercall when they are signalled (`IRQFD`): a backend in another program, or
//! in the kernel (vhost), raises a guest's interrupt.
//!
//! A signal comes with interrupts off and the eventfd's lock held. A hypercall that raises an interrupt is made right
//! there, for it is over in no time and touches nothing but a copy of the program's buffer. Any other is made by a
//! worker: the hypervisor may be at it for long, and stops now and then to let this domain's interrupts in.
//!
//! There is one list for all files, since an eventfd can have one hypercall only: it is taken by whom it is signalled
//! to first. What a file has begun ends with the file. An eventfd whose last file is closed is taken off the list by
//! another worker, since where that is heard of nothing can be waited for.

use core::time::Duration;

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::atomic::{Acquire, Atomic, AtomicFlag, Relaxed, Release};
use kernel::sync::{Arc, Mutex};
use kernel::time::{Instant, Monotonic};
use kernel_ext::eventfd::{EventFd, Listener, OpenEventFd, Watch};
use kernel_ext::user;
use kernel_ext::work::{new_worker, Job, Worker};
use xen::devfile::OpenedFile;
use xen::domain::DomId;
use xen::hypercall::StoredDmOp;
use xen_abi::linux::privcmd as abi;
use xen_devfile::eventfds::is_brief;

use crate::params;
use crate::stats::Stats;

/// When the log may tell of a failure again: a program can have hypercalls fail as often as it likes.
struct Complaints {
    begin: Instant<Monotonic>,
    /// In milliseconds since then.
    next: Atomic<i64>,
}

impl Complaints {
    /// Milliseconds from one to the next.
    const APART: i64 = 5000;

    fn may(&self) -> bool {
        let now = self.begin.elapsed().as_millis();
        let next = self.next.load(Relaxed);
        now >= next && self.next.cmpxchg(next, now + Self::APART, Relaxed).is_ok()
    }
}

/// A hypercall, for whoever makes it.
struct Call {
    hypercall: StoredDmOp,
    domain: u16,
    owner: Arc<OpenedFile<Stats>>,
    complaints: Arc<Complaints>,
}

impl Call {
    fn done(&self, result: Result<isize>) {
        self.owner.hypercalls.fetch_add(1, Relaxed);
        let error = match result {
            Ok(0) => return,
            Ok(error) => error,
            Err(error) => error.to_errno() as isize,
        };
        if self.complaints.may() {
            pr_err!(
                "Failed to configure irq for guest domain: {} ({})\n",
                self.domain,
                error
            );
        }
    }
}

/// Makes a hypercall that may take long.
struct Later(Arc<Call>);

impl Job for Later {
    fn run(&self) -> Option<Duration> {
        self.0.done(self.0.hypercall.call());
        None
    }
}

/// What an eventfd's signal leads to.
struct OnSignal {
    call: Arc<Call>,
    /// If the hypercall is not brief.
    later: Option<Pin<KBox<Worker<Later>>>>,
    /// The eventfd's last file is closed.
    closed: AtomicFlag,
    reaper: Arc<Reaper>,
}

impl Listener for OnSignal {
    fn signalled(&self) {
        match &self.later {
            None => self.call.done(Ok(self.call.hypercall.call_brief())),
            Some(later) => later.as_ref().schedule_once(Duration::ZERO),
        }
    }

    fn closed(&self) {
        self.closed.store(true, Release);
        self.reaper.0.as_ref().schedule(Duration::ZERO);
    }
}

type Irqfd = Pin<KBox<Watch<OnSignal>>>;

fn owner(irqfd: &Irqfd) -> &Arc<OpenedFile<Stats>> {
    &irqfd.listener().call.owner
}

/// The list.
#[pin_data]
struct List {
    /// Irqfds are dropped with the lock held, so that whoever gets it next finds them silent. Their workers do not
    /// take it.
    #[pin]
    irqfds: Mutex<KVec<Irqfd>>,
}

impl List {
    /// Ends those that are not to be kept.
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

/// Ends irqfds whose eventfd nobody has any more.
struct Reap(Arc<List>);

impl Job for Reap {
    fn run(&self) -> Option<Duration> {
        self.0
            .retain(|irqfd| !irqfd.listener().closed.load(Acquire));
        None
    }
}

/// The worker that does that. Irqfds have a share in it, but never the last one: the file that has begun them has one
/// as well, and ends them before it goes.
struct Reaper(Pin<KBox<Worker<Reap>>>);

/// All irqfds of all files.
#[derive(Clone)]
pub(crate) struct Irqfds {
    list: Arc<List>,
    reaper: Arc<Reaper>,
    complaints: Arc<Complaints>,
}

impl Irqfds {
    /// None yet.
    pub(crate) fn new() -> Result<Self> {
        let list = Arc::pin_init(
            pin_init!(List {
                irqfds <- new_mutex!(KVec::new(), "privcmd irqfds"),
            }),
            GFP_KERNEL,
        )?;
        let worker = KBox::pin_init(new_worker!(Reap(list.clone())), GFP_KERNEL)?;
        let reaper = Arc::new(Reaper(worker), GFP_KERNEL)?;
        let complaints = Complaints {
            begin: Instant::now(),
            next: Atomic::new(0),
        };
        Ok(Self {
            list,
            reaper,
            complaints: Arc::new(complaints, GFP_KERNEL)?,
        })
    }

    /// What a file may do with them.
    pub(crate) fn of(&self, owner: Arc<OpenedFile<Stats>>) -> FilesIrqfds {
        FilesIrqfds {
            all: self.clone(),
            owner,
        }
    }
}

/// The irqfds of a file. Dropped, it ends them all, which may sleep.
pub(crate) struct FilesIrqfds {
    all: Irqfds,
    owner: Arc<OpenedFile<Stats>>,
}

impl FilesIrqfds {
    /// Has an eventfd make a hypercall. May sleep.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the buffer is larger than a hypercall's may be, `EFAULT` if it is not there, `EBADF` or `EINVAL` if
    /// there is no eventfd, `EBUSY` if it has a hypercall already, `ENOSPC` if the file has too many.
    pub(crate) fn assign(&self, args: &abi::Irqfd) -> Result {
        if args.size > params::dm_op_limits().size {
            return Err(E2BIG);
        }
        let buffer = user::read_array(args.dm_op as usize, args.size as usize)?;
        let call = Call {
            hypercall: StoredDmOp::new(DomId::new(args.dom), buffer),
            domain: args.dom,
            owner: self.owner.clone(),
            complaints: self.all.complaints.clone(),
        };
        let call = Arc::new(call, GFP_KERNEL_ACCOUNT)?;
        let later = if is_brief(call.hypercall.buffer()) {
            None
        } else {
            let worker = new_worker!(Later(call.clone()));
            Some(KBox::pin_init(worker, GFP_KERNEL_ACCOUNT)?)
        };
        let opened = OpenEventFd::get(args.fd)?;
        let listener = OnSignal {
            call,
            later,
            closed: AtomicFlag::new(false),
            reaper: self.all.reaper.clone(),
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

    /// Ends that, whichever file began it; nothing happens if none did. No hypercall is made when this has returned.
    /// May sleep.
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

impl Drop for FilesIrqfds {
    fn drop(&mut self) {
        self.all
            .list
            .retain(|irqfd| !Arc::ptr_eq(owner(irqfd), &self.owner));
    }
}
