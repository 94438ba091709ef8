// SPDX-License-Identifier: GPL-2.0

//! Eventfds that are signalled when a guest rings a virtqueue's doorbell (`IOEVENTFD`): a backend in another program,
//! or in the kernel (vhost), hears of it without the device model.
//!
//! The device model has bound a port for each vCPU, and mapped the pages with the vCPUs' requests. Events come to it
//! as ever, and it has to end them; but before it gets to look, a request for a doorbell that is listed here is
//! answered. What is done to a request, and in which order, is in [`xen_devfile::ioreq`].

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::eventfd::EventFd;
use kernel_ext::sync::{new_irq_spinlock, IrqSpinLock};
use kernel_ext::user;
use kernel_ext::vma::AddressSpace;
use xen::domain::DomId;
use xen::event::port::SharedPort;
use xen::event::{ObservedEvent, Observer, SharedChannel};
use xen::vma::foreign::{self, KeptPage};
use xen_abi::linux::privcmd as abi;
use xen_devfile::ioreq::{pages, place, serve, Doorbell, Slot, MOST_VCPUS};

use crate::params;

/// An eventfd and what it is signalled for.
struct Bell {
    doorbell: Doorbell,
    eventfd: EventFd,
}

/// A device model's pages of requests.
#[pin_data]
struct Requests {
    pages: KVec<KeptPage>,
    /// Changed with the lock of the file's ioeventfds held too.
    #[pin]
    bells: IrqSpinLock<KVec<Bell>>,
}

impl Requests {
    fn has(&self, eventfd: &EventFd) -> bool {
        let bells = self.bells.lock();
        bells.iter().any(|bell| bell.eventfd.is(eventfd))
    }

    /// May sleep.
    fn add(&self, bell: Bell) -> Result {
        let count = self.bells.lock().len();
        let mut more = KVec::with_capacity(count + 1, GFP_KERNEL_ACCOUNT)?;
        let mut bells = self.bells.lock();
        for bell in bells.drain_all() {
            // There is room: nobody else adds any.
            let _ = more.push_within_capacity(bell);
        }
        let added = more.push_within_capacity(bell).map_err(|_| ENOMEM);
        core::mem::swap(&mut *bells, &mut more);
        drop(bells);
        added
    }

    /// Takes out what an eventfd is signalled for, and returns how many are left.
    fn remove(&self, eventfd: &EventFd) -> Option<(Bell, usize)> {
        let mut bells = self.bells.lock();
        let index = bells.iter().position(|bell| bell.eventfd.is(eventfd))?;
        let bell = bells.remove(index).ok()?;
        Some((bell, bells.len()))
    }
}

/// A vCPU's slot.
struct Place<'a> {
    page: &'a KeptPage,
    offset: usize,
}

impl Slot for Place<'_> {
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

/// What is called for a vCPU's events.
struct OnRequest {
    requests: Arc<Requests>,
    page: usize,
    offset: usize,
}

impl Observer for OnRequest {
    fn observe(&self, event: ObservedEvent<'_>) -> bool {
        let Some(page) = self.requests.pages.get(self.page) else {
            return false;
        };
        let slot = Place {
            page,
            offset: self.offset,
        };
        let bells = self.requests.bells.lock();
        let served = serve(
            &slot,
            |write| bells.iter().find(|bell| bell.doorbell.is_rung_by(write)),
            |bell| bell.eventfd.signal(),
        );
        drop(bells);
        if served {
            event.notify();
        }
        served
    }
}

/// A device model, as far as it is known here.
struct Model {
    /// They go first: then nobody looks at the requests any more.
    _ports: KVec<Pin<KBox<SharedChannel<OnRequest>>>>,
    requests: Arc<Requests>,
    /// Address at which the program has mapped the requests.
    address: u64,
    domain: u16,
    vcpus: u32,
}

impl Model {
    fn new(args: &abi::Ioeventfd, pages: KVec<KeptPage>) -> Result<Self> {
        let numbers: KVVec<u32> = user::read_array(args.ports as usize, args.vcpus as usize)?;
        let requests = Arc::pin_init(
            pin_init!(Requests {
                pages,
                bells <- new_irq_spinlock!(KVec::new(), "privcmd ioeventfds"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let mut ports = KVec::with_capacity(numbers.len(), GFP_KERNEL_ACCOUNT)?;
        for (vcpu, number) in (0..args.vcpus).zip(&numbers) {
            // A share, so that it is a program's port and stays one.
            let port = SharedPort::get(*number)?;
            if port.leads_to()? != Some(DomId::new(args.dom)) {
                return Err(EINVAL);
            }
            let (page, offset) = place(vcpu);
            let observer = OnRequest {
                requests: requests.clone(),
                page,
                offset,
            };
            let channel = SharedChannel::new(port, c"ioeventfd", observer);
            ports.push(KBox::pin_init(channel, GFP_KERNEL_ACCOUNT)?, GFP_KERNEL)?;
        }
        Ok(Self {
            _ports: ports,
            requests,
            address: args.ioreq,
            domain: args.dom,
            vcpus: args.vcpus,
        })
    }

    fn is(&self, args: &abi::Ioeventfd) -> bool {
        self.address == args.ioreq && self.domain == args.dom && self.vcpus == args.vcpus
    }
}

/// A share in each page of requests.
fn keep(args: &abi::Ioeventfd) -> Result<KVec<KeptPage>> {
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

/// The ioeventfds of a file.
#[derive(Default)]
pub(crate) struct Ioeventfds {
    models: KVec<Model>,
    count: u32,
}

impl Ioeventfds {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Has an eventfd signalled for a doorbell. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there cannot be such a doorbell or so many vCPUs, if the device model is known for another domain or
    /// number of vCPUs, or if a port does not lead to the domain. `EBADF` or `EINVAL` if there is no eventfd. `EFAULT`
    /// if no request pages are mapped there, or the ports are not there. `EBUSY` if the device model has the eventfd
    /// signalled already. `ENOENT` or `EINVAL` for a port that no program has bound. `ENOSPC` if the file has too many.
    /// `EOPNOTSUPP` in a PV domain.
    pub(crate) fn assign(&mut self, args: &abi::Ioeventfd) -> Result {
        let doorbell = Doorbell::of(args).ok_or(EINVAL)?;
        if args.vcpus == 0 || args.vcpus > MOST_VCPUS {
            return Err(EINVAL);
        }
        let eventfd = EventFd::get(args.event_fd)?;
        if self.count >= params::max_eventfds() {
            return Err(ENOSPC);
        }
        let bell = Bell { doorbell, eventfd };
        let kept = keep(args)?;
        let known = self.models.iter().find(|model| {
            let first = model.requests.pages.first().zip(kept.first());
            model.address == args.ioreq && first.is_some_and(|(ours, theirs)| ours.is(theirs))
        });
        match known {
            Some(model) if !model.is(args) => return Err(EINVAL),
            Some(model) if model.requests.has(&bell.eventfd) => return Err(EBUSY),
            Some(model) => model.requests.add(bell)?,
            None => {
                let vcpus = self.models.iter().map(|model| model.vcpus).sum::<u32>();
                if vcpus + args.vcpus > MOST_VCPUS {
                    return Err(ENOSPC);
                }
                self.models.reserve(1, GFP_KERNEL_ACCOUNT)?;
                let model = Model::new(args, kept)?;
                model.requests.add(bell)?;
                self.models.push(model, GFP_KERNEL_ACCOUNT)?;
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Ends that. May sleep.
    ///
    /// # Errors
    ///
    /// `EBADF` or `EINVAL` if there is no eventfd, `ENODEV` if it is not signalled for this device model.
    pub(crate) fn deassign(&mut self, args: &abi::Ioeventfd) -> Result {
        let eventfd = EventFd::get(args.event_fd)?;
        let mut models = self.models.iter().enumerate().filter(|(_, m)| m.is(args));
        let removed =
            models.find_map(|(index, model)| Some((index, model.requests.remove(&eventfd)?)));
        let (index, (_bell, left)) = removed.ok_or(ENODEV)?;
        if left == 0 {
            // Waits for those who may be looking at the requests.
            drop(self.models.remove(index));
        }
        self.count -= 1;
        Ok(())
    }
}
