// SPDX-License-Identifier: GPL-2.0

//! Dom0's device files `/dev/xen/gntdev` and `/dev/xen/evtchn`: pages of another domain, and events from and to it.
//!
//! This folder has the program's only unsafe code: the calls on the files, and the pages that another domain changes.

mod evtchn;
mod gntdev;
mod ioctl;
mod mapping;

pub use evtchn::{Evtchn, Port};
pub use gntdev::{Gntdev, Granted};
pub use mapping::{Mapping, PAGE};
