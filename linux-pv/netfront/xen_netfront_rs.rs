// SPDX-License-Identifier: GPL-2.0

//! Frontend of the Xen network protocol: the interfaces of a guest (`eth0`).
//!
//! Policy only: mechanism is in crate `xen` (xenbus, grants, events, network devices) and
//! `xen_ring` (rings, packets as slots). The life of an interface:
//!
//! 1. [`device`] takes each step of connecting and closing that [`bus::Frontend`] asks for.
//! 2. [`connect`] agrees with the backend on queues and features, and makes the rings.
//! 3. [`interface`] is what the network stack asks of the driver, [`vif`] what all parts share.
//! 4. [`queue`] is a pair of rings; [`transmit`] puts packets on one, [`receive`] takes them off
//!    the other, [`poll`] has both done when an [`event`] has come, or [later](delayed_poll).
//! 5. [`backend`] passes the stack's settings to the connected backend: [`rss`] settings,
//!    over the [`control`] ring; the multicast [`filter`]; [`headroom`] for XDP programs.
//! 6. [`xdp`] lets programs of the user at packets first.
//!
//! [`features`] are what an interface can do, [`params`] the module's parameters, [`stats`] the
//! counters.
//!
//! The protocol is described in `io/netif.h`. There is no unsafe code here, and nothing that the
//! backend does can make the driver do more than lose packets.

#![forbid(unsafe_code)]

mod backend;
mod connect;
mod control;
mod delayed_poll;
mod device;
mod event;
mod features;
mod filter;
mod headroom;
mod interface;
mod params;
mod poll;
mod queue;
mod receive;
mod rss;
mod stats;
mod transmit;
mod vif;
mod xdp;

use kernel::prelude::*;
use xen::{
    bus,
    domain, //
};

module! {
    type: Module,
    name: "xen_netfront_rs",
    authors: ["Paravane developers"],
    description: "Xen virtual network device frontend",
    license: "GPL",
    alias: ["xen:vif", "xennet"],
}

#[pin_data]
struct Module {
    #[pin]
    _driver: bus::Registration<bus::Frontend<device::Netfront>>,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _driver <- {
                if !domain::is_xen() || !domain::has_pv_nic_devices() {
                    return Err(ENODEV);
                }
                pr_info!("Initialising Xen virtual ethernet driver\n");
                bus::Registration::new(<LocalModule as kernel::ModuleMetadata>::NAME)
            },
        }? Error)
    }
}
