// SPDX-License-Identifier: GPL-2.0

//! The safe Rust API over the kernel's Xen driver interface.

use kernel::prelude::*;

pub mod block;
pub mod domain;

module! {
    type: XenRs,
    name: "xen_rs",
    authors: ["Paravane developers"],
    description: "Rust API over the Xen driver interface",
    license: "GPL",
}

struct XenRs;

impl kernel::Module for XenRs {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        if !domain::is_xen() {
            return Err(ENODEV);
        }
        Ok(Self)
    }
}
