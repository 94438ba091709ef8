// SPDX-License-Identifier: GPL-2.0

//! The safe Rust API over the kernel's Xen driver interface (`include/xen/*.h`), as the module
//! `xen_rs.ko`. Drivers use this, crate `kernel_ext` and nothing below them.
//!
//! | module | what it gives |
//! |---|---|
//! | [`bus`] | driver registration, devices and their states, the xenstore |
//! | [`grant`] | showing pages to the other end, and ending that |
//! | [`event`] | interrupts from and to the other end |
//! | [`page`] | pages that may be shown |
//! | [`ring`] | shared rings over granted pages; the state machines are crate `xen_ring` |
//! | [`block`] | block requests' data, shown to the other end |
//! | [`net`] | packets, shown to the other end |
//! | `pci` | PCI buses whose functions are another domain's |
//! | [`vma`] | areas of an address space that map memory of other domains, or shared pages |
//! | `dmabuf` | other drivers' buffers, granted to a domain |
//! | [`hypercall`] | hypercalls that a process asks for |
//! | [`domain`] | what kind of domain this is |
//!
//! What drivers need beside that, of the kernel, is in crate `kernel_ext`, which knows nothing of
//! Xen.
//!
//! The example of [`bus::FrontendDriver`] is a whole frontend.
//!
//! Two rules hold throughout: what another domain can write is copied once and checked before use,
//! and what it can access is owned by a value that is not freed before the access has ended.

use kernel::prelude::*;
use kernel_ext::module::OwnModulePutter;

pub mod block;
pub mod bus;
mod debug;
pub mod devfile;
#[cfg(CONFIG_DMA_SHARED_BUFFER)]
pub mod dmabuf;
pub mod domain;
pub mod event;
pub mod grant;
pub mod hypercall;
pub mod net;
pub mod page;
#[cfg(all(CONFIG_PCI_XEN, CONFIG_PCI_MSI))]
pub mod pci;
pub mod ring;
pub mod vma;

module! {
    type: XenRs,
    name: "xen_rs",
    authors: ["Paravane developers"],
    description: "Rust API over the Xen driver interface",
    license: "GPL",
}

struct XenRs {
    // Its drop waits for what uses the rest.
    _retirer: grant::Retirer,
    _unbinder: bus::Unbinder,
    /// None if debugfs is not available.
    _counters: Option<debug::Files>,
    // Last, for what is above drops references to the module.
    _putter: OwnModulePutter,
}

impl kernel::Module for XenRs {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        if !domain::is_xen() {
            return Err(ENODEV);
        }
        // SAFETY: The first thing that this module does, and done once.
        unsafe { kernel_ext::block::init() };
        // SAFETY: Before anything is made in debugfs, and done once.
        unsafe { kernel_ext::debugfs::init() };
        event::port::init();
        let putter = OwnModulePutter::start()?;
        Ok(Self {
            _retirer: grant::Retirer::start()?,
            _unbinder: bus::Unbinder::start()?,
            _counters: debug::Files::new().ok(),
            _putter: putter,
        })
    }
}
