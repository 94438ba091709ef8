// SPDX-License-Identifier: GPL-2.0

//! Frontend of the Xen PCI protocol: a PV guest drives devices that dom0 has passed to it.
//!
//! Policy only: mechanism is in crate `xen` (xenbus, grants, events, PCI buses) and `xen_ring` (the
//! shared page). The life of a device, which stands for all buses of one backend:
//!
//! 1. [`device`] takes each step of connecting and closing that [`bus::Frontend`] asks for.
//! 2. [`link`] makes the shared page and the event channel, and announces them to the backend.
//! 3. [`exchange`] hands the backend one operation and waits for the answer, for a bounded time.
//! 4. [`roots`] has the buses that the backend lists, and the functions that come and go on them.
//! 5. [`recovery`] handles errors of devices that the backend reports.
//!
//! [`stats`] are the counters.
//!
//! The protocol is described in `io/pciif.h`. There is no unsafe code here, and nothing that the
//! backend does can make the driver do more than lose devices. A device itself is trusted with as
//! much as its IOMMU lets it do.

#![forbid(unsafe_code)]

mod device;
mod exchange;
mod link;
mod recovery;
mod roots;
mod stats;

use kernel::prelude::*;
use xen::{
    bus,
    domain,
    pci, //
};

module! {
    type: Module,
    name: "xen_pcifront_rs",
    authors: ["Paravane developers"],
    description: "Xen PCI passthrough frontend",
    license: "GPL",
    alias: ["xen:pci"],
}

// Dropped from the first to the last.
#[pin_data]
struct Module {
    #[pin]
    _driver: bus::Registration<bus::Frontend<device::Pcifront>>,
    _frontend: pci::Frontend,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _frontend: {
                // Dom0 has the devices themselves, and hardware-assisted guests get them from their
                // device model.
                if !domain::is_pv() || domain::is_initial() || !domain::has_pv_devices() {
                    return Err(ENODEV);
                }
                pci::Frontend::register().inspect_err(|_| {
                    pr_warn!(
                        "another driver has passed devices: \
                         is the C driver xen_pcifront loaded?\n"
                    );
                })?
            },
            _driver <- bus::Registration::new(<LocalModule as kernel::ModuleMetadata>::NAME),
        }? Error)
    }
}
