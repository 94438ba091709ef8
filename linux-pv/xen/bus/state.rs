// SPDX-License-Identifier: GPL-2.0

//! Device states, as both ends publish them in the xenstore (`io/xenbus.h`).

use xen_bindings as bindings;

/// State of one end of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum State {
    /// No state, an unreadable one, or one this kernel does not know.
    Unknown = bindings::xenbus_state_XenbusStateUnknown,
    /// Not set up yet.
    Initialising = bindings::xenbus_state_XenbusStateInitialising,
    /// Finished early initialisation, waiting for the other end.
    InitWait = bindings::xenbus_state_XenbusStateInitWait,
    /// Initialised, waiting for the other end to connect.
    Initialised = bindings::xenbus_state_XenbusStateInitialised,
    /// In use.
    Connected = bindings::xenbus_state_XenbusStateConnected,
    /// Shutting down.
    Closing = bindings::xenbus_state_XenbusStateClosing,
    /// Shut down.
    Closed = bindings::xenbus_state_XenbusStateClosed,
    /// Being changed while in use.
    Reconfiguring = bindings::xenbus_state_XenbusStateReconfiguring,
    /// Changed while in use.
    Reconfigured = bindings::xenbus_state_XenbusStateReconfigured,
}

impl State {
    /// The state with this number; [`State::Unknown`] for numbers that have none, since the other end
    /// may write any.
    pub fn from_number(number: u32) -> Self {
        const ALL: [State; 9] = [
            State::Unknown,
            State::Initialising,
            State::InitWait,
            State::Initialised,
            State::Connected,
            State::Closing,
            State::Closed,
            State::Reconfiguring,
            State::Reconfigured,
        ];
        ALL.into_iter()
            .find(|&state| state as u32 == number)
            .unwrap_or(State::Unknown)
    }

    /// The state's name, as the kernel's messages have it.
    pub fn name(self) -> &'static str {
        match self {
            State::Unknown => "Unknown",
            State::Initialising => "Initialising",
            State::InitWait => "InitWait",
            State::Initialised => "Initialised",
            State::Connected => "Connected",
            State::Closing => "Closing",
            State::Closed => "Closed",
            State::Reconfiguring => "Reconfiguring",
            State::Reconfigured => "Reconfigured",
        }
    }
}

impl kernel::fmt::Display for State {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        f.write_str(self.name())
    }
}
