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
use kernel_ext::chardev::{FileList, Registration};
use kernel_ext::device_file;
use xen::domain;
use xen_devfile::quota::Quota;

use crate::file::Shared;

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
    // The node goes first.
    #[pin]
    _node: Registration<file::File>,
    _stats: stats::Files,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            if !domain::is_xen() {
                return Err(ENODEV);
            }
            let list = Arc::pin_init(FileList::new(), GFP_KERNEL)?;
            let quota = Arc::new(Quota::new(), GFP_KERNEL)?;
            let shared = Arc::new(Shared { list, quota }, GFP_KERNEL)?;
            let stats = stats::files(&shared)?;
            Ok(try_pin_init!(Self {
                _node <- Registration::new(&DEVICE_FILE, c"xen/gntalloc", "xen_gntalloc", shared),
                _stats: stats,
            }? Error))
        })
    }
}
