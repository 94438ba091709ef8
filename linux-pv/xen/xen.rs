// SPDX-License-Identifier: GPL-2.0

//! The safe Rust API over the kernel's Xen driver interface (`include/xen/*.h`), as the module
//! `xen_rs.ko`. Drivers use this and nothing below it; all unsafe code of the Linux side lives here
//! and in `xen_bindings`.
//!
//! | module | what it gives |
//! |---|---|
//! | [`bus`] | driver registration, devices and their states, the xenstore |
//! | [`grant`] | showing pages to the other end, and ending that |
//! | [`event`] | interrupts from and to the other end |
//! | [`eventfd`] | programs' event counters, signalled and listened to |
//! | [`page`] | pages that may be shown |
//! | [`ring`] | shared rings over granted pages; the state machines are crate `xen_ring` |
//! | [`block`] | block devices (blk-mq) |
//! | [`net`] | network devices |
//! | `pci` | PCI buses whose functions are another domain's |
//! | [`chardev`] | device nodes that programs open |
//! | [`user`] | copying to and from a program's memory |
//! | [`vma`] | areas of a program's address space that show other memory |
//! | `dmabuf` | buffers that are shared with other drivers |
//! | [`hypercall`] | hypercalls that a program asks for |
//! | [`domain`] | what kind of domain this is |
//! | [`sync`] | an interrupt-safe spin lock, allocation scopes |
//! | [`param`] | module parameters that show in sysfs |
//! | [`count`] | what a driver counts, with names |
//! | [`queue_files`] | a device's queues in debugfs |
//! | [`show`] | printing what `xen_ring` defines |
//! | [`work`] | work in process context that ends with its owner |
//!
//! Two rules hold throughout: whatever another domain can write is copied once and checked before
//! use, and whatever it can access is owned by a value that does not let go before the access ended.

use kernel::prelude::*;

pub mod block;
pub mod bus;
pub mod chardev;
pub mod count;
mod debug;
#[cfg(CONFIG_DMA_SHARED_BUFFER)]
pub mod dmabuf;
pub mod domain;
pub mod event;
pub mod eventfd;
pub mod grant;
pub mod hypercall;
mod module;
pub mod net;
pub mod page;
pub mod param;
#[cfg(all(CONFIG_PCI_XEN, CONFIG_PCI_MSI))]
pub mod pci;
pub mod queue_files;
pub mod ring;
mod series;
pub mod show;
pub mod sync;
pub mod user;
pub mod vma;
pub mod work;

module! {
    type: XenRs,
    name: "xen_rs",
    authors: ["Paravane developers"],
    description: "Rust API over the Xen driver interface",
    license: "GPL",
}

struct XenRs {
    // Its drop waits for what uses the rest.
    #[cfg(CONFIG_DMA_SHARED_BUFFER)]
    _retired: dmabuf::Retired,
    _counters: debug::Files,
}

impl kernel::Module for XenRs {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        if !domain::is_xen() {
            return Err(ENODEV);
        }
        block::init();
        event::port::init();
        Ok(Self {
            #[cfg(CONFIG_DMA_SHARED_BUFFER)]
            _retired: dmabuf::Retired::start()?,
            _counters: debug::Files::new()?,
        })
    }
}
