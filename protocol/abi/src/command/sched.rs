// SPDX-License-Identifier: GPL-2.0

//! Commands of `sched_op` that take a structure. To yield and to block take none.

use crate::sched::{self as args, op};

commands! {
    SCHED_OP;
    /// Shuts the domain down, for one of the reasons of [`args::shutdown`].
    Shutdown = SHUTDOWN(u32) In;
    /// Waits for an event of a list of ports, or for a time.
    Poll = POLL(args::Poll) In;
    /// Shuts another domain down.
    RemoteShutdown = REMOTE_SHUTDOWN(args::RemoteShutdown) In;
    /// Says for which reason the domain will be shut down.
    ShutdownCode = SHUTDOWN_CODE(u32) In;
    /// Starts, prolongs or ends a watchdog.
    Watchdog = WATCHDOG(args::Watchdog) In;
    /// Binds the vCPU to a CPU for a while, or frees it by a negative number.
    PinOverride = PIN_OVERRIDE(i32) In;
}

// A poll reads a list of ports.
plain_commands! {
    Shutdown,
    RemoteShutdown,
    ShutdownCode,
    Watchdog,
    PinOverride,
}
