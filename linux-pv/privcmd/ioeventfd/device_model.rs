// SPDX-License-Identifier: GPL-2.0

//! A device model: its pages of requests, and the ports of its vCPUs.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::user;
use xen::{
    domain::DomId,
    event::{
        port::SharedPort,
        SharedChannel, //
    },
    vma::foreign::KeptPage, //
};
use xen_abi::linux::privcmd as abi;
use xen_devfile::ioreq::place;

use super::requests::{
    RequestObserver,
    RequestPages, //
};

/// A device model that has eventfds assigned to doorbells of its guest.
pub(super) struct DeviceModel {
    /// Dropped before `requests`: no event is observed after that.
    _ports: KVec<Pin<KBox<SharedChannel<RequestObserver>>>>,
    pub(super) requests: Arc<RequestPages>,
    /// Address at which the process has mapped the requests.
    address: u64,
    domain: u16,
    /// The guest's number of vCPUs.
    pub(super) vcpus: u32,
}

impl DeviceModel {
    /// Observes the events of the ports that `args` names. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the ports cannot be read, `ENOENT` or `EINVAL` for one that no process has
    /// bound, `EINVAL` for one that does not lead to the guest.
    pub(super) fn new(args: &abi::Ioeventfd, pages: KVec<KeptPage>) -> Result<Self> {
        let numbers: KVVec<u32> = user::read_array(args.ports as usize, args.vcpus as usize)?;
        let requests = Arc::pin_init(RequestPages::new(pages), GFP_KERNEL_ACCOUNT)?;
        let mut ports = KVec::with_capacity(numbers.len(), GFP_KERNEL_ACCOUNT)?;
        for (vcpu, number) in (0..args.vcpus).zip(&numbers) {
            // The reference keeps it a process's port.
            let port = SharedPort::get(*number)?;
            if port.leads_to()? != Some(DomId::new(args.dom)) {
                return Err(EINVAL);
            }
            let (page, offset) = place(vcpu);
            let observer = RequestObserver {
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

    /// Whether `pages`, mapped at the address that `args` names, are this device model's.
    pub(super) fn has_pages(&self, args: &abi::Ioeventfd, pages: &[KeptPage]) -> bool {
        let first = self.requests.pages.first().zip(pages.first());
        self.address == args.ioreq && first.is_some_and(|(ours, theirs)| ours.is(theirs))
    }

    /// Whether `args` names this device model.
    pub(super) fn is(&self, args: &abi::Ioeventfd) -> bool {
        self.address == args.ioreq && self.domain == args.dom && self.vcpus == args.vcpus
    }
}
