// SPDX-License-Identifier: GPL-2.0

//! Eventfds that are signalled when a guest writes to a virtqueue's doorbell (`IOEVENTFD`): a
//! backend in another process, or in the kernel (vhost), is notified without the device model.
//!
//! The device model has bound a port for each vCPU, and mapped the pages with the vCPUs' requests.
//! It still gets all events, and unmasks their ports; but a request for a doorbell that is listed
//! here is answered before it runs. The accesses to a request, and their order, are in
//! [`xen_devfile::ioreq`].

mod device_model;
mod requests;

use kernel::prelude::*;
use kernel_ext::eventfd::EventFd;
use xen_abi::linux::privcmd as abi;
use xen_devfile::ioreq::{
    Doorbell,
    MAX_VCPUS, //
};

use crate::params;
use device_model::DeviceModel;
use requests::{
    get_pages,
    Assignment, //
};

/// The ioeventfds of an open file.
#[derive(Default)]
pub(crate) struct Ioeventfds {
    models: KVec<DeviceModel>,
    count: u32,
}

impl Ioeventfds {
    /// The number of assigned eventfds.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Assigns an eventfd to a doorbell. May sleep.
    ///
    /// # Errors
    ///
    /// - `EBADF` or `EINVAL`: there is no eventfd.
    /// - `EBUSY`: the eventfd is assigned to a doorbell of this device model already.
    /// - `EFAULT`: no request pages are mapped there, or the ports cannot be read.
    /// - `EINVAL`: there cannot be such a doorbell or so many vCPUs, the device model is known with
    ///   another domain or number of vCPUs, or a port does not lead to the domain.
    /// - `ENOENT` or `EINVAL`: no process has bound a port.
    /// - `ENOSPC`: the file has too many.
    /// - `EOPNOTSUPP`: this is a PV domain.
    pub(crate) fn assign(&mut self, args: &abi::Ioeventfd) -> Result {
        let doorbell = Doorbell::of(args).ok_or(EINVAL)?;
        if args.vcpus == 0 || args.vcpus > MAX_VCPUS {
            return Err(EINVAL);
        }
        let eventfd = EventFd::get(args.event_fd)?;
        if self.count >= params::max_eventfds() {
            return Err(ENOSPC);
        }
        let assignment = Assignment { doorbell, eventfd };
        let pages = get_pages(args)?;
        let mut models = self.models.iter();
        match models.find(|model| model.has_pages(args, &pages)) {
            Some(model) if !model.is(args) => return Err(EINVAL),
            Some(model) if model.requests.has(&assignment.eventfd) => return Err(EBUSY),
            Some(model) => model.requests.add(assignment)?,
            None => {
                let vcpus = self.models.iter().map(|model| model.vcpus).sum::<u32>();
                if vcpus + args.vcpus > MAX_VCPUS {
                    return Err(ENOSPC);
                }
                self.models.reserve(1, GFP_KERNEL_ACCOUNT)?;
                let model = DeviceModel::new(args, pages)?;
                model.requests.add(assignment)?;
                self.models.push(model, GFP_KERNEL_ACCOUNT)?;
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Takes an eventfd's assignment back. May sleep.
    ///
    /// # Errors
    ///
    /// `EBADF` or `EINVAL` if there is no eventfd, `ENODEV` if it is not assigned to a doorbell of
    /// this device model.
    pub(crate) fn deassign(&mut self, args: &abi::Ioeventfd) -> Result {
        let eventfd = EventFd::get(args.event_fd)?;
        let mut models = self.models.iter().enumerate().filter(|(_, m)| m.is(args));
        let removed =
            models.find_map(|(index, model)| Some((index, model.requests.remove(&eventfd)?)));
        let (index, (_assignment, left)) = removed.ok_or(ENODEV)?;
        if left == 0 {
            // Waits for observers that access the requests.
            drop(self.models.remove(index));
        }
        self.count -= 1;
        Ok(())
    }
}
