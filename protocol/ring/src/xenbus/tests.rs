// SPDX-License-Identifier: GPL-2.0

//! Every cell of the table, good backends of each protocol, and backends that publish anything.

use proptest::prelude::*;
use std::vec::Vec;
use xen_abi::io::xenbus::State;

use super::{Action, Phase, Protocol};

const BLKIF: Protocol = Protocol {
    offer_when: &[State::InitWait, State::Connected],
    connects_first: false,
    reconfigures: false,
    reopens: false,
};

const NETIF: Protocol = Protocol {
    offer_when: &[State::InitWait],
    connects_first: true,
    reconfigures: false,
    reopens: true,
};

const PCIIF: Protocol = Protocol {
    offer_when: &[State::InitWait, State::Initialised],
    connects_first: false,
    reconfigures: true,
    reopens: true,
};

const PHASES: [Phase; 9] = [
    Phase::Reopening,
    Phase::Initialising,
    Phase::Offered,
    Phase::Connected,
    Phase::Reconfiguring,
    Phase::Reconnecting,
    Phase::Failed,
    Phase::Closing,
    Phase::Closed,
];

fn states() -> impl Iterator<Item = State> {
    (0..=8).filter_map(State::from_number)
}

/// What a frontend does in each phase, in the order of `PHASES`.
fn row(backend: State, protocol: &Protocol) -> [Action; 9] {
    PHASES.map(|phase| phase.on_backend(backend, protocol))
}

/// The phases that a frontend goes through when its backend publishes `backend`.
fn walk(mut phase: Phase, backend: &[State], protocol: &Protocol) -> Vec<Phase> {
    let steps = backend.iter().map(|state| {
        phase = phase.after(phase.on_backend(*state, protocol));
        phase
    });
    steps.collect()
}

#[test]
fn the_table_is_the_one_of_the_documentation() {
    use Action::*;
    let none = [Ignore; 9];
    let only = |phase: usize, action: Action| {
        let mut row = none;
        row[phase] = action;
        row
    };
    assert_eq!(row(State::Initialising, &PCIIF), none);
    assert_eq!(row(State::InitWait, &BLKIF), only(1, Offer));
    assert_eq!(row(State::InitWait, &NETIF), only(1, OfferAndConnect));
    assert_eq!(row(State::InitWait, &PCIIF), only(1, Offer));
    assert_eq!(row(State::Initialised, &BLKIF), none);
    assert_eq!(row(State::Initialised, &NETIF), none);
    assert_eq!(row(State::Initialised, &PCIIF), only(1, Offer));

    let mut connected = none;
    connected[2] = Connect;
    connected[3] = Notice;
    assert_eq!(row(State::Connected, &NETIF), connected);
    assert_eq!(row(State::Connected, &PCIIF), connected);
    connected[1] = OfferAndConnect;
    assert_eq!(row(State::Connected, &BLKIF), connected);

    let mut reconfiguring = none;
    reconfiguring[2] = BeginReconfiguring;
    reconfiguring[3] = BeginReconfiguring;
    assert_eq!(row(State::Reconfiguring, &PCIIF), reconfiguring);
    assert_eq!(row(State::Reconfiguring, &BLKIF), none);
    assert_eq!(row(State::Reconfigured, &PCIIF), only(4, EndReconfiguring));

    for protocol in [&BLKIF, &NETIF, &PCIIF] {
        assert_eq!(
            row(State::Closing, protocol),
            [
                Ignore,
                Close,
                Close,
                Close,
                Close,
                PublishClosed,
                Close,
                Ignore,
                Ignore
            ]
        );
        assert_eq!(
            row(State::Closed, protocol),
            [Reopen, Ignore, Close, Close, Close, Disconnect, Close, Ignore, Ignore]
        );
        assert_eq!(
            row(State::Unknown, protocol),
            [
                Ignore,
                Ignore,
                Ignore,
                LookForLoss,
                LookForLoss,
                LookForLoss,
                Ignore,
                Ignore,
                Ignore
            ]
        );
    }
}

#[test]
fn a_good_back_end_is_connected_and_closed() {
    use State::{Closed, Closing, Connected, InitWait, Initialised, Initialising};
    let life = [Initialising, InitWait, Connected, Closing, Closed];
    assert_eq!(
        walk(Phase::Initialising, &life, &BLKIF),
        [
            Phase::Initialising,
            Phase::Offered,
            Phase::Connected,
            Phase::Closing,
            Phase::Closing
        ]
    );
    assert_eq!(
        walk(Phase::Initialising, &life, &NETIF),
        [
            Phase::Initialising,
            Phase::Connected,
            Phase::Connected,
            Phase::Closing,
            Phase::Closing
        ]
    );
    let life = [
        Initialising,
        Initialised,
        Connected,
        State::Reconfiguring,
        State::Reconfigured,
        Connected,
        Closing,
    ];
    assert_eq!(
        walk(Phase::Initialising, &life, &PCIIF),
        [
            Phase::Initialising,
            Phase::Offered,
            Phase::Connected,
            Phase::Reconfiguring,
            Phase::Connected,
            Phase::Connected,
            Phase::Closing
        ]
    );
}

#[test]
fn a_device_that_was_unbound_is_offered_again_when_the_back_end_has_closed() {
    let life = [
        State::Connected,
        State::Closing,
        State::Closed,
        State::Closed,
        State::InitWait,
        State::Connected,
    ];
    assert_eq!(
        walk(Phase::Reopening, &life, &BLKIF),
        [
            Phase::Reopening,
            Phase::Reopening,
            Phase::Initialising,
            Phase::Initialising,
            Phase::Offered,
            Phase::Connected
        ]
    );
}

#[test]
fn reconnecting_ends_in_another_connection() {
    let life = [
        State::Connected,
        State::Closing,
        State::Closed,
        State::InitWait,
        State::Connected,
    ];
    assert_eq!(
        walk(Phase::Reconnecting, &life, &NETIF),
        [
            Phase::Reconnecting,
            Phase::Reconnecting,
            Phase::Initialising,
            Phase::Connected,
            Phase::Connected
        ]
    );
}

#[test]
fn only_a_connection_in_use_is_made_anew() {
    for phase in PHASES {
        assert_eq!(phase.may_reconnect(), phase == Phase::Connected);
    }
}

#[test]
fn xsa_465_every_front_end_begins_anew_after_resume_unless_it_was_closed() {
    for phase in PHASES {
        let closed = matches!(phase, Phase::Closing | Phase::Closed);
        let resumed = phase.after_resume(&BLKIF);
        assert_eq!(resumed, (!closed).then_some(Phase::Initialising));
        assert_eq!(phase.after_resume(&NETIF), Some(Phase::Initialising));
    }
}

#[test]
fn closing_takes_the_back_end_along_only_if_it_has_an_offer() {
    let open = PHASES.map(Phase::is_open);
    assert_eq!(
        open,
        [false, false, true, true, true, true, false, false, false]
    );
}

proptest! {
    /// A backend that publishes anything gets one offer at a time, and nothing after closing.
    #[test]
    fn no_back_end_gets_a_front_end_out_of_order(
        backend in proptest::collection::vec(0_u32..=8, 0..64),
        which in 0_usize..3,
    ) {
        let protocol = [BLKIF, NETIF, PCIIF][which];
        let mut phase = Phase::Initialising;
        let mut offered = false;
        for state in backend.into_iter().filter_map(State::from_number) {
            let action = phase.on_backend(state, &protocol);
            match action {
                Action::Offer | Action::OfferAndConnect => {
                    prop_assert!(!offered, "a second offer");
                    offered = true;
                }
                Action::Connect | Action::Notice | Action::BeginReconfiguring => {
                    prop_assert!(offered);
                }
                Action::Reopen | Action::Disconnect => offered = false,
                _ => {}
            }
            if matches!(phase, Phase::Closing | Phase::Closed) {
                prop_assert_eq!(action, Action::Ignore);
            }
            phase = phase.after(action);
        }
    }
}

#[test]
fn every_phase_but_the_first_and_last_ends_when_the_back_end_closes() {
    for phase in PHASES {
        for protocol in [&BLKIF, &NETIF, &PCIIF] {
            let closing = phase.on_backend(State::Closing, protocol);
            let ignored = matches!(phase, Phase::Reopening | Phase::Closing | Phase::Closed);
            assert_eq!(closing == Action::Ignore, ignored, "{phase:?}");
        }
    }
    // No phase does anything for a state that only means that the backend has just started.
    for phase in PHASES {
        for state in states().filter(|state| *state == State::Initialising) {
            assert_eq!(phase.on_backend(state, &BLKIF), Action::Ignore);
        }
    }
}
