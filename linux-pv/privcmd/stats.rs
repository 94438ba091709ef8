// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows of an open file: `/sys/kernel/debug/xen/privcmd/files`. Pages in use by all
//! files together show in `xen/objects`.

use core::fmt;

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use xen_devfile::restrict::Restriction;

/// See the module.
pub(crate) struct Stats {
    pub(crate) restriction: Restriction,
    /// Hypercalls made, those of device models and irqfds included.
    pub(crate) hypercalls: Atomic<u64>,
    /// Frames of other domains that it asked to map.
    pub(crate) frames: Atomic<u64>,
    /// Irqfds of the file, changed under the lock of all of them.
    pub(crate) irqfds: Atomic<u32>,
    /// Ioeventfds of the file.
    pub(crate) ioeventfds: Atomic<u32>,
}

impl Stats {
    /// Those of a file that was just opened.
    pub(crate) const fn new(restriction: Restriction) -> Self {
        Self {
            restriction,
            hypercalls: Atomic::new(0),
            frames: Atomic::new(0),
            irqfds: Atomic::new(0),
            ioeventfds: Atomic::new(0),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "hypercalls {} frames {} irqfds {} ioeventfds {}",
            self.hypercalls.load(Relaxed),
            self.frames.load(Relaxed),
            self.irqfds.load(Relaxed),
            self.ioeventfds.load(Relaxed),
        )?;
        match self.restriction.domain() {
            Some(domain) => write!(f, " only-domain {domain}"),
            None => Ok(()),
        }
    }
}
