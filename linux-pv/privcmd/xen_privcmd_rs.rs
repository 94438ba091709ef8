// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/privcmd` and `/dev/xen/hypercall`: the access of the toolstack and of device models
//! to the hypervisor and to other domains' memory.
//!
//! Policy only: mechanism is in crates `kernel_ext` (device files, memory areas, eventfds) and
//! `xen` (foreign frames, hypercalls); the checks of numbers in requests are in `xen_devfile`.
//!
//! - [`mod@file`] is an open `/dev/xen/privcmd`: the requests of a process, and whether it may make
//!   them.
//! - [`batch`], [`ranges`] and [`resource`] map other domains' frames.
//! - [`dm_op`] makes a device model's hypercalls.
//! - [`irqfd`] makes such hypercalls when an eventfd is signalled, [`ioeventfd`] signals eventfds
//!   for a guest's writes.
//! - [`buffers`] is `/dev/xen/hypercall`: memory for the arguments of hypercalls.
//! - [`target`] restricts the processes of a guest to the one domain that they may serve.
//! - [`params`] are the module's parameters, and [`stats`] is what debugfs shows of a file.
//!
//! A process that may use `/dev/xen/privcmd` without restriction has power over the whole machine,
//! if this is dom0. So nothing here protects the machine from it, but the kernel has to stay sound
//! whatever it does; and a file that is restricted to a domain must give access to that domain
//! only.
//!
//! There is no unsafe code here.

#![forbid(unsafe_code)]

mod batch;
mod buffers;
mod dm_op;
mod file;
mod ioeventfd;
mod irqfd;
mod params;
mod ranges;
mod resource;
mod stats;
mod target;

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    chardev::Registration,
    device_file, //
};
use xen::devfile;

use crate::file::PrivcmdData;

module! {
    type: Module,
    name: "xen_privcmd_rs",
    authors: ["Paravane developers"],
    description: "Xen hypercall passthrough driver",
    license: "GPL",
}

device_file!(exported static xen_privcmd_fops: file::File);
device_file!(static BUFFERS: buffers::Buffers);

#[pin_data]
struct Module {
    #[pin]
    _privcmd: devfile::Registration<file::File>,
    #[pin]
    _buffers: Registration<buffers::Buffers>,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _privcmd <- devfile::Registration::new(&xen_privcmd_fops, PrivcmdData::new),
            _buffers <- Registration::new(
                &BUFFERS,
                c"xen/hypercall",
                "xen_privcmd",
                Arc::new((), GFP_KERNEL)?,
            ),
        }? Error)
    }
}
