// SPDX-License-Identifier: GPL-2.0

//! What drivers want of the kernel beyond Xen and is not in the `kernel` crate yet. Nothing in here
//! knows of Xen: each module is shaped so that it could be proposed to its maintainer alone.
//!
//! | module | what it gives | in Linux |
//! |---|---|---|
//! | [`block`] | block devices (blk-mq) | `block/` |
//! | [`net`] | network devices, with NAPI, page pools and XDP | `net/core/` |
//! | [`chardev`] | device files that processes open | `fs/`, `drivers/char/misc.c` |
//! | [`eventfd`] | processes' event counters, signalled and listened to | `fs/eventfd.c` |
//! | [`vma`] | areas of a process's address space | `mm/` |
//! | [`user`] | copying to and from a process's memory | `lib/usercopy.c`, `mm/gup.c` |
//! | `pci` | PCI root buses behind a driver's function | `drivers/pci/` |
//! | `dmabuf` | buffers that are shared with other drivers | `drivers/dma-buf/` |
//! | [`sync`] | spin locks with interrupts or softirqs off, completions with a time-out | `kernel/locking/` |
//! | [`work`] | work in process context that ends with its owner | `kernel/workqueue.c` |
//! | [`param`] | module parameters that show in sysfs | `kernel/params.c` |
//! | [`module`] | the module that a type's code is part of | `kernel/module/` |
//! | [`count`] | counters with names | |
//! | [`debugfs`] | folders that drivers share, files that a function writes | `fs/debugfs/` |
//! | [`queue_files`] | a device's queues in debugfs | |
//! | [`show`] | printing what crates without the kernel define | |
//!
//! This crate and crate `xen`, which builds on it, are one module, `xen_rs.ko`.

pub mod block;
pub mod chardev;
pub mod count;
pub mod debugfs;
#[cfg(CONFIG_DMA_SHARED_BUFFER)]
pub mod dmabuf;
pub mod eventfd;
pub mod module;
pub mod net;
pub mod param;
#[cfg(CONFIG_PCI)]
pub mod pci;
pub mod queue_files;
pub mod series;
pub mod show;
pub mod sync;
pub mod user;
pub mod vma;
pub mod work;

/// What messages of this crate begin with.
const __LOG_PREFIX: &[u8] = b"xen_rs\0";
