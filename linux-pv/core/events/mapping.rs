// SPDX-License-Identifier: GPL-2.0

//! The lock of who binds and unbinds channels. It sleeps.

use kernel::{
    prelude::*,
    sync::{
        global_lock,
        rcu, //
    },
};

use crate::{
    channel::Channel,
    irqs,
    table, //
};

global_lock! {
    // SAFETY: `init` is called at boot, before a channel is bound.
    unsafe(uninit) static MAPPING: Mutex<Mapping> = Mapping(());
}

/// What the lock protects: that no channel is taken out.
pub(crate) struct Mapping(());

/// Initialises the lock.
///
/// # Safety
///
/// To be called once, before [`with`].
pub(crate) unsafe fn init() {
    // SAFETY: By the requirement of this function.
    unsafe { MAPPING.init() };
}

/// Calls `with` with the lock held.
pub(crate) fn with<R>(with: impl FnOnce(&Mapping) -> R) -> R {
    let guard = MAPPING.lock();
    with(&guard)
}

impl Mapping {
    /// The channel of a port.
    pub(crate) fn of_port(&self, port: u32) -> Option<&Channel> {
        let guard = rcu::read_lock();
        table::channel(&guard, port).map(|channel| self.keep(channel))
    }

    /// The channel of an interrupt.
    pub(crate) fn of_irq(&self, irq: u32) -> Option<&Channel> {
        let guard = rcu::read_lock();
        irqs::channel(&guard, irq).map(|channel| self.keep(channel))
    }

    /// Keeps a channel as long as the lock is held.
    fn keep<'a>(&'a self, channel: &Channel) -> &'a Channel {
        let channel: *const Channel = channel;
        // SAFETY: The channel was found, so it was not taken out; that would take the lock, which
        // is held as long as the reference to `self` lives.
        unsafe { &*channel }
    }
}
