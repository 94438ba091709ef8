// SPDX-License-Identifier: GPL-2.0

//! The state machine of a frontend on the xenbus: what it does when its backend publishes a
//! state.
//!
//! A [`Phase`] is how far a frontend is. Rows are states that the backend publishes, columns are
//! phases, with the state that the frontend has published then:
//!
//! | | `Reopening` (Closed) | `Initialising` (same) | `Offered` (Initialised) | `Connected` (same) | `Reconfiguring` (same) | `Reconnecting` (Closing, Closed) | `Failed` (Closing) |
//! |---|---|---|---|---|---|---|---|
//! | a state of [`Protocol::offer_when`] | | offer | | | | | |
//! | Connected | | | connect | notice | | | |
//! | Reconfiguring, if [`Protocol::reconfigures`] | | | begin to reconfigure | begin to reconfigure | | | |
//! | Reconfigured | | | | | end reconfiguring | | |
//! | Closing | | close | close | close | close | publish Closed | close |
//! | Closed | publish Initialising | | close | close | close | disconnect, publish Initialising | close |
//! | no state | | | | look for loss | look for loss | look for loss | |
//!
//! In an empty cell nothing happens, nor in the phases `Closing` and `Closed`, whatever the backend
//! publishes.
//!
//! - A frontend that was unbound from its device has published Closed, and its backend closes in
//!   turn. So a device that is Closed when it is probed waits in `Reopening` until the backend is
//!   Closed too. The backend must see each state, and its watch reads the present one.
//! - In `Initialising` a backend is Closed if an earlier connection has ended.
//! - `Reconnecting` closes a connection in order to make another one, with another number of
//!   queues for instance. The backend takes the steps of closing, so it need not know the reason.
//! - A backend may be Reconfiguring when the frontend is still `Offered`: it was Connected for a
//!   time too short for the frontend's watch.
//! - If the backend's `state` node does not exist, its domain or folder is gone.
//!
//! What the frontend begins itself: see [`Phase::after_resume`], [`Phase::may_reconnect`] and
//! [`Phase::is_open`].

use xen_abi::io::xenbus::State;

#[cfg(test)]
mod tests;

/// How far a frontend is in connecting to its backend, or in closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The device was Closed when it was probed; the backend has not closed its side yet.
    Reopening,
    /// Nothing is offered to the backend.
    Initialising,
    /// Rings and event channels are offered; the backend has not connected to them.
    Offered,
    /// Both ends use the connection.
    Connected,
    /// Connected; the backend adds or takes away parts of the device.
    Reconfiguring,
    /// The connection is being closed, and another one is made then.
    Reconnecting,
    /// A failure of the frontend has put the device into state Closing.
    Failed,
    /// The backend closes; requests in flight may still be answered, for a limited time.
    Closing,
    /// The frontend is closed.
    Closed,
}

/// What differs between the protocols of frontends.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// States of a backend that takes an offer. Connected is among them if the backend may be
    /// Connected without waiting for the frontend; an offer is connected at once then.
    pub offer_when: &'static [State],
    /// The frontend is Connected before the backend, so an offer is connected at once.
    pub connects_first: bool,
    /// The backend may take away or add parts of the device (`Reconfiguring`).
    pub reconfigures: bool,
    /// After it has closed, the frontend can be connected again when the domain was resumed.
    pub reopens: bool,
}

/// What a frontend does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Ignore,
    /// Publish Initialising, so that the backend begins again.
    Reopen,
    /// Make an offer, publish Initialised.
    Offer,
    /// Make an offer, connect, publish Connected. A protocol in which the backend connects first
    /// publishes Initialised in between.
    OfferAndConnect,
    /// Connect what was offered, publish Connected.
    Connect,
    /// Note that the backend has published Connected while the frontend is.
    Notice,
    /// Remove what the backend takes away, publish Reconfiguring.
    BeginReconfiguring,
    /// Add what the backend has added, publish Connected.
    EndReconfiguring,
    /// Publish Closed, as the second step of closing a connection.
    PublishClosed,
    /// End the connection, publish Initialising.
    Disconnect,
    /// Test whether the backend's `state` node exists; if not, close without waiting.
    LookForLoss,
    /// Take no more requests, wait for those in flight, publish Closed. In phase `Initialising`
    /// there are none, so Closed is published first.
    Close,
}

impl Phase {
    /// What the frontend does in this phase when the backend publishes `backend`.
    pub fn on_backend(self, backend: State, protocol: &Protocol) -> Action {
        use Phase::*;
        match (self, backend) {
            (Reopening, State::Closed) => Action::Reopen,
            (Initialising, _) if protocol.offer_when.contains(&backend) => {
                if protocol.connects_first || backend == State::Connected {
                    Action::OfferAndConnect
                } else {
                    Action::Offer
                }
            }
            (Initialising, State::Closing) => Action::Close,
            (Offered, State::Connected) => Action::Connect,
            (Connected, State::Connected) => Action::Notice,
            (Offered | Connected, State::Reconfiguring) if protocol.reconfigures => {
                Action::BeginReconfiguring
            }
            (Reconfiguring, State::Reconfigured) => Action::EndReconfiguring,
            (Reconnecting, State::Closing) => Action::PublishClosed,
            (Reconnecting, State::Closed) => Action::Disconnect,
            (Offered | Connected | Reconfiguring | Failed, State::Closing | State::Closed) => {
                Action::Close
            }
            (Connected | Reconfiguring | Reconnecting, State::Unknown) => Action::LookForLoss,
            _ => Action::Ignore,
        }
    }

    /// The phase after `action` has succeeded in this one.
    pub fn after(self, action: Action) -> Phase {
        match action {
            Action::Ignore | Action::Notice | Action::PublishClosed | Action::LookForLoss => self,
            Action::Reopen | Action::Disconnect => Phase::Initialising,
            Action::Offer => Phase::Offered,
            Action::OfferAndConnect | Action::Connect | Action::EndReconfiguring => {
                Phase::Connected
            }
            Action::BeginReconfiguring => Phase::Reconfiguring,
            Action::Close => Phase::Closing,
        }
    }

    /// The phase after the domain was resumed, perhaps on another host: the backend is a new one,
    /// and nothing that was shared with the old one exists. None if the frontend is closed and
    /// stays so.
    pub fn after_resume(self, protocol: &Protocol) -> Option<Phase> {
        match self {
            Phase::Closing | Phase::Closed if !protocol.reopens => None,
            _ => Some(Phase::Initialising),
        }
    }

    /// Whether a connection can be closed in order to make another one.
    pub fn may_reconnect(self) -> bool {
        self == Phase::Connected
    }

    /// Whether the backend may use what was offered. Only then are the steps of closing taken with
    /// it when the device is removed.
    pub fn is_open(self) -> bool {
        use Phase::*;
        matches!(self, Offered | Connected | Reconfiguring | Reconnecting)
    }
}
