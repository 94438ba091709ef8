// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/privcmd` and `/dev/xen/hypercall`: the toolstack's and device models' way to the hypervisor and
//! to other domains' memory.
//!
//! Policy only: mechanism is in crate `xen` (device nodes, areas of an address space, hypercalls); what the
//! numbers in requests must be like is in `xen_devfile`.
//!
//! - [`mod@file`] is an open `/dev/xen/privcmd`: which request a program makes, and whether it may.
//! - [`batch`], [`ranges`] and [`resource`] map other domains' frames.
//! - [`dm_op`] makes a device model's hypercalls.
//! - [`irqfd`] has eventfds make such hypercalls, [`ioeventfd`] has them signalled by a guest.
//! - [`buffers`] is `/dev/xen/hypercall`: memory for hypercalls' arguments.
//! - [`target`] keeps the programs of a guest to the one domain that it may serve.
//! - [`params`] are the module's parameters, and [`stats`] shows all files in debugfs.
//!
//! A program that may use the first node without restriction has power over the whole machine, if this is
//! dom0. So nothing here protects the machine from it, but the kernel has to stay sound whatever it does; and
//! a file that is restricted to a domain must be good for that domain only.
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

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::chardev::Registration;
use kernel_ext::device_file;
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
