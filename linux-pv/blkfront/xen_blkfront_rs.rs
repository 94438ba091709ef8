// SPDX-License-Identifier: GPL-2.0

//! Frontend of the Xen block protocol: the disks of a guest (`/dev/xvda`).
//!
//! Policy only: mechanism is in crate `xen` (xenbus, grants, events, blk-mq) and `xen_ring` (ring,
//! messages). The life of a disk:
//!
//! 1. [`device`] takes each step of connecting and closing that [`bus::Frontend`] asks for.
//! 2. [`connect`] agrees with the backend on rings and features ([`capabilities`]).
//! 3. [`disk`] makes the Linux disk, under the name the toolstack chose, within [`limits`];
//!    [`ioctl`] is what processes ask of it, [`idle`] gives back what it has not needed for a
//!    while.
//! 4. [`vbd`] has the rings of a disk, each with a [`connection`] or without. [`queue`] gets
//!    requests from blk-mq, [`submit`] puts them on a ring, [`complete`] takes responses off it,
//!    [`finish`] ends the requests.
//! 5. [`stock`] has the grants and pages that data is transferred by, [`request_data`] those of one
//!    request; [`copy`] copies where the request's own pages cannot be granted. [`retired`] has
//!    requests whose pages the backend does not let go.
//!
//! [`params`] are the module's parameters and [`stats`] what debugfs shows.
//!
//! The protocol is described in `io/blkif.h`. There is no unsafe code here, and nothing that the
//! backend does can make the driver do more than fail requests.

#![forbid(unsafe_code)]

mod capabilities;
mod complete;
mod connect;
mod connection;
mod copy;
mod device;
mod disk;
mod finish;
mod idle;
mod ioctl;
mod limits;
mod params;
mod queue;
mod request_data;
mod retired;
mod stats;
mod stock;
mod submit;
mod unsendable;
mod vbd;

use kernel::prelude::*;
use kernel_ext::block;
use xen::{
    bus,
    domain, //
};
use xen_ring::blkif::vdev::XENVBD_MAJOR;

module! {
    type: Module,
    name: "xen_blkfront_rs",
    authors: ["Paravane developers"],
    description: "Xen virtual block device frontend",
    license: "GPL",
    alias: ["block-major-202-*", "xen:vbd", "xenblk"],
}

#[pin_data]
struct Module {
    // Dropped in this order: devices are removed before what they use.
    #[pin]
    _driver: bus::Registration<bus::Frontend<device::Blkfront>>,
    _major: block::Major,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _major: {
                if !domain::is_xen() || !domain::has_pv_disk_devices() {
                    return Err(ENODEV);
                }
                params::check();
                block::Major::register(XENVBD_MAJOR, c"xvd").inspect_err(|_| {
                    pr_warn!(
                        "can't get major {} with name xvd: is the C driver xen_blkfront loaded?\n",
                        XENVBD_MAJOR
                    );
                })?
            },
            _driver <- bus::Registration::new(<LocalModule as kernel::ModuleMetadata>::NAME),
        }? Error)
    }
}
