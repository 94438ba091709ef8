// SPDX-License-Identifier: GPL-2.0

//! The device files `/dev/xen/gntdev` and `/dev/xen/evtchn` in dom0: pages of another domain, and events from and to it. In a
//! guest `/dev/xen/gntalloc`: pages for another domain.
//!
//! This folder has the program's only unsafe code: the calls on the files, and the pages that another domain changes.

mod evtchn;
mod gntalloc;
mod gntdev;
mod ioctl;
mod mapping;

pub use evtchn::{Evtchn, Port};
pub use gntalloc::Gntalloc;
pub use gntdev::{Gntdev, Granted};
pub use mapping::{Mapping, PAGE};
