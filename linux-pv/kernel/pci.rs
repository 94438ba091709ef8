// SPDX-License-Identifier: GPL-2.0

//! PCI root buses whose configuration space a driver implements.
//!
//! | item | concept |
//! |---|---|
//! | [`ConfigAccess`] | reading and writing configuration space, implemented by a driver |
//! | [`RootBus`] | a bus: scanning it, removing its devices |
//! | [`with_access`] | the `ConfigAccess` of a device's bus |
//! | [`ErrorStep`], [`ChannelState`] | error recovery of devices |
//!
//! A removed device exists as long as there is a reference to it, whose owner may still access its
//! configuration space. So the callbacks for the kernel are in this module, which stays loaded as
//! long as the bus's bridge exists. The driver's [`ConfigAccess`] is not called after its
//! [`RootBus`] was dropped.
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

/// The number of root buses, including removed ones that are still referenced, for tests that
/// search for leaks.
pub static LIVE: Live = Live::new();
