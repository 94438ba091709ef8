// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/gntdev`: other domains' granted pages, mapped by user programs (backends, xenstored, consoles).
//!
//! Policy only: mechanism is in crate `xen` (device nodes, grants, areas of an address space); how a copy is
//! taken apart is in `xen_devfile`.
//!
//! - [`mod@file`] is an open file: what a program has announced to map, and under which offset.
//! - [`dmabuf`] is the buffers that a file shares with other drivers, in a kernel that knows such buffers.
//! - [`copy`] has the hypervisor copy between grants and the program's memory.
//! - [`params`] are the module's parameters, and [`stats`] shows all files in debugfs.
//!
//! A mapping is used once: announced, mapped as a whole in one area, unmapped as a whole. It ends when the
//! program has taken back the announcement, or closed the file, and the area is gone; if its pages are in use
//! even then (I/O), when they no longer are.
//!
//! There is no unsafe code here.

#![forbid(unsafe_code)]

mod copy;
#[cfg_attr(not(CONFIG_DMA_SHARED_BUFFER), path = "no_dmabuf.rs")]
mod dmabuf;
mod file;
mod params;
mod stats;

use kernel::prelude::*;
use kernel_ext::device_file;
use xen::devfile;

module! {
    type: Module,
    name: "xen_gntdev_rs",
    authors: ["Paravane developers"],
    description: "User-space granted page access driver",
    license: "GPL",
}

device_file!(static DEVICE_FILE: file::File);

#[pin_data]
struct Module {
    #[pin]
    _file: devfile::Registration<file::File>,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _file <- devfile::Registration::new(&DEVICE_FILE, dmabuf::Device::new),
        }? Error)
    }
}
