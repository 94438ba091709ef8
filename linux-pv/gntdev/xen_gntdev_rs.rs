// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/gntdev`: other domains' granted pages, mapped by processes (backends, xenstored,
//! consoles).
//!
//! Policy only: mechanism is in crates `kernel_ext` (device files, memory areas, dma-bufs) and
//! `xen` (grants); how a copy is divided is in `xen_devfile`.
//!
//! - [`mod@file`] is an open file, [`mappings`] what a process has announced to map, and at which
//!   offset.
//! - [`dmabuf`] has the buffers that a file shares with other drivers, in a kernel that has
//!   dma-bufs.
//! - [`copy`] copies between grants and the process's memory.
//! - [`params`] are the module's parameters, and [`stats`] is what debugfs shows of a file.
//!
//! A mapping is used once: announced, mapped as a whole in one memory area, unmapped as a whole. It
//! ends when the process has taken back the announcement, or closed the file, and the area is gone;
//! if its pages are in use even then (I/O), when they no longer are.
//!
//! There is no unsafe code here.

#![forbid(unsafe_code)]

mod copy;
#[cfg_attr(not(CONFIG_DMA_SHARED_BUFFER), path = "no_dmabuf.rs")]
mod dmabuf;
mod file;
mod mappings;
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
