// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows of an open file: `/sys/kernel/debug/xen/evtchn/files`.

use core::fmt;

use kernel::sync::{
    atomic::{
        Atomic,
        Relaxed, //
    },
    Arc, //
};
use xen_devfile::restrict::Restriction;

use crate::pending::Pending;

/// See the module.
pub(crate) struct Stats {
    pub(crate) pending: Arc<Pending>,
    pub(crate) restriction: Restriction,
    /// Bound ports.
    pub(crate) ports: Atomic<usize>,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.pending.figures();
        write!(
            f,
            "ports {} room {} pending {} events {}",
            self.ports.load(Relaxed),
            figures.room,
            figures.pending,
            figures.events,
        )?;
        if let Some(domain) = self.restriction.domain() {
            write!(f, " only-domain {domain}")?;
        }
        if figures.lost {
            write!(f, " events-lost")?;
        }
        Ok(())
    }
}
