// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/gntalloc`: pages that user programs share with other domains.
//!
//! Policy only: mechanism is in crate `xen` (device nodes, grants, areas of an address space).
//!
//! - [`page`] is what a page takes of what all programs may share.
//! - [`mod@file`] is an open file: the pages that a program has made.
//! - [`params`] are the module's parameters, and [`stats`] shows all files in debugfs.
//!
//! A page goes when it was given up or its file was closed, and no area of an address space shows it any more.
//! If the other domain has it mapped even then, it is left to the kernel, which frees it when it is not: what
//! another domain can see is never used for anything else.
//!
//! There is no unsafe code here.

#![forbid(unsafe_code)]

mod file;
mod page;
mod params;
mod stats;

use kernel::prelude::*;
use kernel::sync::Arc;
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
