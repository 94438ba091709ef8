// SPDX-License-Identifier: GPL-2.0

//! Receive-side scaling: which queue the backend puts a packet on, as the user has set it
//! (`ethtool -X`).
//!
//! The setting outlives connections. The control ring carries it to the backend, in the work item
//! of [`crate::backend`]: see [`crate::control`].

use core::time::Duration;

use kernel::prelude::*;
use kernel_ext::net::{
    random_rss_key,
    RssChange, //
};

use crate::interface::Nic;

/// Bytes of the hash's key (`XEN_NETBK_MAX_HASH_KEY_SIZE`), enough for the addresses and ports of
/// IPv6.
pub(crate) const KEY_LEN: usize = 40;
/// Entries of the indirection table (`XEN_NETBK_MAX_HASH_MAPPING_SIZE`).
pub(crate) const TABLE_LEN: usize = 128;

/// The hash's key and the indirection table.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RssSettings {
    pub(crate) key: [u8; KEY_LEN],
    /// A queue for each value of the hash modulo the length.
    pub(crate) table: [u32; TABLE_LEN],
}

/// The user's settings; none if the backend chooses a packet's queue.
pub(crate) struct Rss(Option<RssSettings>);

impl RssSettings {
    /// A random key, and a table that names all queues in turn.
    fn new(queues: u32) -> Self {
        Self {
            key: random_rss_key::<KEY_LEN>(),
            table: Self::even_table(queues),
        }
    }

    /// The table that names all queues in turn.
    fn even_table(queues: u32) -> [u32; TABLE_LEN] {
        core::array::from_fn(|entry| (entry as u32).checked_rem(queues).unwrap_or(0))
    }
}

impl Rss {
    /// Nothing is set.
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Takes over what the user changes.
    pub(crate) fn change(&mut self, change: &RssChange<'_>, queues: u32) {
        let settings = self.0.get_or_insert_with(|| RssSettings::new(queues));
        if let Some(key) = change.key {
            if key.len() == KEY_LEN {
                settings.key.copy_from_slice(key);
            }
        }
        if let Some(table) = change.table {
            if table.len() == TABLE_LEN {
                settings.table.copy_from_slice(table);
            }
        }
    }

    /// Fills in key and table for the user.
    pub(crate) fn show(&self, rss: kernel_ext::net::Rss<'_>, queues: u32) {
        let (key, table) = match &self.0 {
            Some(settings) => (settings.key, settings.table),
            None => ([0; KEY_LEN], RssSettings::even_table(queues)),
        };
        for (to, queue) in rss.table.iter_mut().zip(table) {
            *to = queue;
        }
        for (to, byte) in rss.key.iter_mut().zip(key) {
            *to = byte;
        }
    }
}

/// Passes on to a connected backend what the user has set. In the work item; returns after how
/// long to call this again, if no answer comes before.
pub(crate) fn update(nic: &Nic) -> Option<Duration> {
    let vif = nic.data();
    let mut control = vif.control.lock();
    let mut rss = vif.rss.lock();
    let settings = rss.0.as_mut()?;
    let queues = nic.queues_in_use();
    if settings.table.iter().any(|queue| *queue >= queues) {
        // There are fewer queues than when it was set.
        settings.table = RssSettings::even_table(queues);
    }
    let updated = match &mut *control {
        Some(control) => control.update(settings),
        None => Err(EINVAL),
    };
    updated.unwrap_or_else(|_| {
        pr_warn!(
            "{}: the backend chooses the queues of received packets as it likes now\n",
            nic.name()
        );
        rss.0 = None;
        None
    })
}
