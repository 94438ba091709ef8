// SPDX-License-Identifier: GPL-2.0

//! States of a device on the xenbus, `io/xenbus.h`.

/// State of one end of a device (`enum xenbus_state`), as it stands in its `state` node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum State {
    /// No node, or one that is gone.
    Unknown = 0,
    /// The toolstack has made the device; the end has not started.
    Initialising = 1,
    /// Early initialisation is done; waits for the peer or for hot-plug scripts.
    InitWait = 2,
    /// Waits for a connection from the peer.
    Initialised = 3,
    /// In service.
    Connected = 4,
    /// Being closed, for an error or an unplug.
    Closing = 5,
    /// Closed.
    Closed = 6,
    /// A device of the bus changes (PCI).
    Reconfiguring = 7,
    /// The change is done (PCI).
    Reconfigured = 8,
}

impl State {
    /// The state of that number, which a peer wrote; none for a number that is not a state.
    pub const fn from_number(number: u32) -> Option<State> {
        Some(match number {
            0 => State::Unknown,
            1 => State::Initialising,
            2 => State::InitWait,
            3 => State::Initialised,
            4 => State::Connected,
            5 => State::Closing,
            6 => State::Closed,
            7 => State::Reconfiguring,
            8 => State::Reconfigured,
            _ => return None,
        })
    }

    /// The number that is written to the xenstore, in decimal.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn numbers_and_states_correspond() {
        for number in 0..=8 {
            assert_eq!(State::from_number(number).map(State::number), Some(number));
        }
        assert_eq!(State::from_number(9), None);
    }
}
