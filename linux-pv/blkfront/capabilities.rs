// SPDX-License-Identifier: GPL-2.0

//! Which requests a backend takes besides reads and writes.

use kernel::sync::atomic::{
    AtomicFlag,
    Relaxed, //
};
use xen_ring::blkif::features::{
    Discard,
    Durability, //
};

/// What the backend has offered. It may take this back at any time, by answering that a request is
/// not supported. Read and written in any context.
pub(crate) struct Capabilities {
    flush: AtomicFlag,
    barrier: AtomicFlag,
    discard: AtomicFlag,
    secure_erase: AtomicFlag,
}

impl Capabilities {
    /// No backend has offered anything.
    pub(crate) const fn new() -> Self {
        Self {
            flush: AtomicFlag::new(false),
            barrier: AtomicFlag::new(false),
            discard: AtomicFlag::new(false),
            secure_erase: AtomicFlag::new(false),
        }
    }

    /// Whether flushes are of use: if not, the backend writes through.
    pub(crate) fn flush(&self) -> bool {
        self.flush.load(Relaxed)
    }

    /// Whether flushes have to be barriers. A write can then be one too.
    pub(crate) fn barrier(&self) -> bool {
        self.barrier.load(Relaxed)
    }

    /// Whether discards are taken.
    pub(crate) fn discard(&self) -> bool {
        self.discard.load(Relaxed)
    }

    /// Whether secure discards are taken.
    pub(crate) fn secure_erase(&self) -> bool {
        self.secure_erase.load(Relaxed)
    }

    /// Takes over what a backend offers.
    pub(crate) fn set(&self, durability: Durability, discard: Option<Discard>) {
        self.flush.store(durability != Durability::None, Relaxed);
        self.barrier
            .store(durability == Durability::Barrier, Relaxed);
        self.discard.store(discard.is_some(), Relaxed);
        self.secure_erase
            .store(discard.is_some_and(|d| d.secure), Relaxed);
    }

    /// Flushes and barriers turned out not to be supported.
    pub(crate) fn lose_flush(&self) {
        self.flush.store(false, Relaxed);
        self.barrier.store(false, Relaxed);
    }

    /// Discards turned out not to be supported.
    pub(crate) fn lose_discard(&self) {
        self.discard.store(false, Relaxed);
        self.secure_erase.store(false, Relaxed);
    }
}
