// SPDX-License-Identifier: GPL-2.0

//! The `sched_op` hypercall, `sched.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`SCHEDOP_*`).
pub mod op {
    /// Lets others run.
    pub const YIELD: u32 = 0;
    /// Waits for an event.
    pub const BLOCK: u32 = 1;
    /// Takes the reason, 4 bytes.
    pub const SHUTDOWN: u32 = 2;
    /// Takes [`Poll`](super::Poll).
    pub const POLL: u32 = 3;
    /// Takes [`RemoteShutdown`](super::RemoteShutdown).
    pub const REMOTE_SHUTDOWN: u32 = 4;
    /// Takes the reason of a later shutdown, 4 bytes.
    pub const SHUTDOWN_CODE: u32 = 5;
    /// Takes [`Watchdog`](super::Watchdog).
    pub const WATCHDOG: u32 = 6;
    /// Takes the number of a CPU, or a negative one, 4 bytes.
    pub const PIN_OVERRIDE: u32 = 7;
}

/// Why a domain shuts down (`SHUTDOWN_*`).
pub mod shutdown {
    /// It is done.
    pub const POWEROFF: u32 = 0;
    /// It wants to start again.
    pub const REBOOT: u32 = 1;
    /// It is to be saved.
    pub const SUSPEND: u32 = 2;
    /// It has crashed.
    pub const CRASH: u32 = 3;
    /// Its watchdog barked.
    pub const WATCHDOG: u32 = 4;
    /// It wants to be reset with its memory.
    pub const SOFT_RESET: u32 = 5;
}

args! {
    /// Argument of [`op::POLL`].
    Poll {
        /// Address of the list of ports.
        ports: u64,
        /// How many.
        nr_ports: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// Until when, in system time; zero for ever.
        timeout: u64,
    }
}

args! {
    /// Argument of [`op::REMOTE_SHUTDOWN`].
    RemoteShutdown {
        /// Which domain.
        domain_id: u16,
        /// Zero; fills the structure.
        pad: u16,
        /// See [`shutdown`].
        reason: u32,
    }
}

args! {
    /// Argument of [`op::WATCHDOG`].
    Watchdog {
        /// Which, zero for a new one.
        id: u32,
        /// Seconds; zero ends it.
        timeout: u32,
    }
}
