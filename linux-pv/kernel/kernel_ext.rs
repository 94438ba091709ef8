// SPDX-License-Identifier: GPL-2.0

//! Abstractions that drivers need and the `kernel` crate does not have yet. Nothing in here depends
//! on Xen: each module is shaped so that it could be proposed to its maintainer alone.
//!
//! | module | what it gives | in Linux |
//! |---|---|---|
//! | [`block`] | block devices (blk-mq) | `block/` |
//! | [`net`] | network devices, with NAPI, page pools and XDP | `net/core/` |
//! | [`chardev`] | device files | `fs/`, `drivers/char/misc.c` |
//! | [`eventfd`] | signalling eventfds, and being called when one is signalled | `fs/eventfd.c` |
//! | [`vma`] | areas of a process's address space | `mm/` |
//! | [`user`] | copying to and from user memory, pinned pages | `lib/usercopy.c`, `mm/gup.c` |
//! | `pci` | PCI root buses whose configuration space a driver implements | `drivers/pci/` |
//! | `dmabuf` | buffers that several drivers share | `drivers/dma-buf/` |
//! | [`sync`] | spin locks, completions with a time-out | `kernel/locking/` |
//! | [`work`] | work items that end with their owner | `kernel/workqueue.c` |
//! | [`param`] | module parameters in sysfs | `kernel/params.c` |
//! | [`module`] | the module that a type's code belongs to | `kernel/module/` |
//! | [`count`] | counters with names | |
//! | [`debugfs`] | folders that modules share, files that a function prints | `fs/debugfs/` |
//! | [`queue_files`] | a folder in debugfs for each queue of a device | |
//! | [`show`] | printing types of crates that do not depend on the kernel | |
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

/// Prefix of this crate's messages in the log.
const __LOG_PREFIX: &[u8] = b"xen_rs\0";
