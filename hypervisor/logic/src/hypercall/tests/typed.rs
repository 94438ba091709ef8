// SPDX-License-Identifier: GPL-2.0

//! Hypercalls as a guest's kernel makes them, by type, served by the dispatcher.

use super::*;
use core::cell::RefCell;
use xen_abi::command::event_channel::{AllocUnbound, Close, Status};
use xen_abi::command::grant_table::{MapGrantRef, QuerySize, UnmapGrantRef};
use xen_abi::command::physdev::PciDeviceAdd;
use xen_abi::command::{Command, PlainCommand};
use xen_hypercall::{Hypervisor, call as call_by_type, call_list};

/// A guest, which has the arguments of its calls in its memory.
struct Guest {
    system: RefCell<System<FakePlatform>>,
    domain: u16,
    /// Where the arguments are.
    at: u64,
}

impl Guest {
    fn new(domain: u16) -> Self {
        Self {
            system: RefCell::new(two_domains()),
            domain,
            at: ARG[usize::from(domain != 0)],
        }
    }

    fn make<C: Command>(&self, list: &mut [C::Argument]) -> i64 {
        let mut system = self.system.borrow_mut();
        for (index, argument) in (0..).zip(list.iter()) {
            // What lies behind the guest's memory is not there for the hypervisor either.
            let _ = caller(&mut system, self.domain).copy_to_guest_offset(self.at, index, argument);
        }
        let args = [C::NUMBER.into(), self.at, list.len() as u64];
        let result = call(&mut system, self.domain, C::HYPERCALL, &args).value as i64;
        for (index, argument) in (0..).zip(list) {
            let read = caller(&mut system, self.domain).copy_from_guest_offset(self.at, index);
            if let Ok(read) = read {
                *argument = read;
            }
        }
        result
    }
}

impl Hypervisor for Guest {
    fn call<C: PlainCommand>(&self, argument: &mut C::Argument) -> i64 {
        self.make::<C>(core::slice::from_mut(argument))
    }
}

#[test]
fn what_is_copied_back_is_what_the_type_says() {
    let guest = Guest::new(1);
    let mut wanted = ec::AllocUnbound {
        dom: 0x7ff0,
        remote_dom: 0,
        port: 0,
    };
    assert_eq!(call_by_type::<AllocUnbound>(&guest, &mut wanted), Ok(0));
    assert_eq!(wanted.port, 1);
    let mut asked = ec::Status {
        dom: 0x7ff0,
        port: 1,
        ..Default::default()
    };
    assert_eq!(call_by_type::<Status>(&guest, &mut asked), Ok(0));
    assert_eq!(asked.status, ec::status::UNBOUND);
    let mut port = ec::Port { port: 1 };
    assert_eq!(call_by_type::<Close>(&guest, &mut port), Ok(0));
    let closed = call_by_type::<Close>(&guest, &mut port);
    assert_eq!(
        closed.map_err(|errno| errno.number()),
        Err(Errno::EINVAL.number())
    );
    let mut device = xen_abi::physdev::PciDeviceAdd::default();
    let refused = call_by_type::<PciDeviceAdd>(&guest, &mut device);
    assert_eq!(
        refused.map_err(|errno| errno.number()),
        Err(Errno::ENOSYS.number())
    );
    let mut size = gnttab::QuerySize {
        dom: 0x7ff0,
        ..Default::default()
    };
    assert_eq!(call_by_type::<QuerySize>(&guest, &mut size), Ok(0));
    assert!(size.status == status::OKAY && size.max_nr_frames > 0);
}

#[test]
fn a_list_is_done_as_far_as_it_can_be_read() {
    let mut guest = Guest::new(0);
    granting(&mut guest.system.borrow_mut(), flag::PERMIT_ACCESS);
    let map = |gfn: u64| gnttab::MapGrantRef {
        host_addr: gfn << 12,
        flags: gnttab::map_flag::HOST_MAP,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    // More than are done at once, at gfns that are free; every third entry is refused.
    let mut list: Vec<_> = (0..100).map(|n| map(0x200 + n)).collect();
    list.iter_mut().step_by(3).for_each(|map| map.gref = 77);
    let progress = call_list::<MapGrantRef>(&mut list, |list| guest.make::<MapGrantRef>(list));
    assert_eq!((progress.done, progress.failed), (66, 34));
    assert_eq!((progress.not_reached, progress.error), (0, None));
    let mut unmap: Vec<_> = list
        .iter()
        .filter(|map| map.status == status::OKAY)
        .map(|map| gnttab::UnmapGrantRef {
            host_addr: map.host_addr,
            handle: map.handle,
            ..Default::default()
        })
        .collect();
    assert!(
        call_list::<UnmapGrantRef>(&mut unmap, |list| guest.make::<UnmapGrantRef>(list))
            .is_complete()
    );
    // The guest's memory ends behind the second of three.
    guest.at = 0x14_0000 - 2 * size_of::<gnttab::MapGrantRef>() as u64;
    let mut list = [map(0x200), map(0x201), map(0x202)];
    let progress = call_list::<MapGrantRef>(&mut list, |list| guest.make::<MapGrantRef>(list));
    assert_eq!((progress.done, progress.not_reached), (2, 1));
    let fault = progress.error.map(|errno| errno.number());
    assert_eq!(fault, Some(Errno::EFAULT.number()));
    assert_eq!(list[2].status, status::GENERAL_ERROR);
}
