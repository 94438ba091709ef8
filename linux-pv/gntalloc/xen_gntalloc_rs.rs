// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/gntalloc`: pages that processes share with other domains.
//!
//! Policy only: mechanism is in crates `kernel_ext` (device files, memory areas) and `xen`
//! (grants).
//!
//! - [`page`] is a shared page's part of the quota of all processes.
//! - [`mod@file`] is an open file: the pages that a process shares.
//! - [`params`] are the module's parameters, and [`stats`] is what debugfs shows of a file.
//!
//! A page is freed when it was given up or its file was closed, and no memory area has it any more.
//! If the other domain has it mapped even then, page and grant are left to the kernel's list of
//! deferred grants: a page that another domain can access is never used for anything else.
//!
//! There is no unsafe code here.

#![forbid(unsafe_code)]

mod file;
mod page;
mod params;
mod stats;

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::device_file;
use xen::devfile;
use xen_devfile::quota::Quota;

module! {
    type: Module,
    name: "xen_gntalloc_rs",
    authors: ["Paravane developers"],
    description: "User-space grant reference allocator driver",
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
            _file <- devfile::Registration::new(&DEVICE_FILE, || {
                Ok(Arc::new(Quota::new(), GFP_KERNEL)?)
            }),
        }? Error)
    }
}
