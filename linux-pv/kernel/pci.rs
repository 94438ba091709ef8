// SPDX-License-Identifier: GPL-2.0

//! PCI root buses whose configuration space is reached by a function of the driver's.
//!
//! | item | what it is |
//! |---|---|
//! | [`ConfigAccess`] | what a driver implements: reading and writing configuration space |
//! | [`RootBus`] | a bus and the devices on it, scanned, added to and removed |
//! | [`with_access`] | what a driver has put behind the bus of a device |
//! | [`ErrorStep`], [`ChannelState`] | recovery of devices from errors |
//!
//! A device that was taken off its bus lives as long as somebody has a reference to it, and who has one
//! may access its configuration space. So what the kernel calls is in this module, which stays loaded as
//! long as the bus's bridge exists; the driver's [`ConfigAccess`] is not called any more, and gone, once
//! its [`RootBus`] is.
//!
//! C header: `include/linux/pci.h`.

mod config;
mod gate;
mod recovery;
mod root_bus;

pub use config::{
    with_access,
    ConfigAccess,
    ConfigError,
    Function, //
};
pub use recovery::{
    ChannelState,
    ErrorStep, //
};
pub use root_bus::RootBus;

use crate::count::Live;

/// Root buses that exist, those included that were removed but are still used: for tests that look for
/// leaks.
pub static LIVE: Live = Live::new();
