// SPDX-License-Identifier: GPL-2.0

//! Device states, as both ends publish them in the xenstore.

pub use xen_abi::io::xenbus::State;

/// The state with this number. The other end may write any: [`State::Unknown`] if it is none.
pub(super) fn state_of(number: u32) -> State {
    State::from_number(number).unwrap_or(State::Unknown)
}
