// SPDX-License-Identifier: GPL-2.0

//! Head room for XDP programs in packets' buffers (`feature-xdp-headroom`).
//!
//! A backend that offers it leaves the room that programs need. It is asked when it connects, and
//! again when the first program is attached or the last one detached: the frontend publishes
//! Reconfiguring and waits, in the work item of [`crate::backend`], until the backend is
//! Reconfigured. Packets that come without head room meanwhile are moved in their page.

use core::time::Duration;

use kernel::{
    prelude::*,
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};
use kernel_ext::net::XDP_HEADROOM;
use xen::bus::{
    Dir,
    State, //
};

use crate::{
    backend::Backend,
    interface::Nic, //
};

/// Time that the backend has to follow.
const ANSWER_TIMEOUT: Delta = Delta::from_secs(5);

/// Time that it has if its state does not show whether it has followed: Linux's stays Reconfigured
/// after it was asked once.
const UNSEEN_ANSWER_TIMEOUT: Delta = Delta::from_millis(100);

/// Time between two looks at the backend's state.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The head room that a backend leaves.
pub(crate) struct Headroom {
    /// Bytes that it was asked for last.
    requested: u32,
    asked: Option<Asked>,
}

/// The backend was asked, and may not have followed yet.
struct Asked {
    at: Instant<Monotonic>,
    /// It was Reconfigured when it was asked.
    was_reconfigured: bool,
}

/// The value of the node `xdp-headroom`: bytes that the backend is asked to leave free before
/// packets, if there is a program or not.
pub(crate) fn wanted(program: bool) -> u32 {
    if program {
        XDP_HEADROOM
    } else {
        0
    }
}

/// Asks a connected backend for the room that programs need. In the work item; returns after how
/// long to call this again.
pub(crate) fn update(nic: &Nic) -> Option<Duration> {
    let vif = nic.data();
    let wanted = wanted(vif.wants_headroom());
    let mut backend = vif.backend.lock();
    (*backend).as_mut()?.update_headroom(wanted)
}

impl Headroom {
    /// Of a backend that was asked for so many bytes before it connected.
    pub(crate) fn new(requested: u32) -> Self {
        Self {
            requested,
            asked: None,
        }
    }
}

impl Backend {
    fn update_headroom(&mut self, wanted: u32) -> Option<Duration> {
        let headroom = self.headroom.as_mut()?;
        let state = || Dir::new(&self.folder).read_or(c"state", 0_u32);
        let is_reconfigured = || state() == State::Reconfigured as u32;
        if let Some(asked) = &headroom.asked {
            let waited = asked.at.elapsed();
            if asked.was_reconfigured {
                if waited < UNSEEN_ANSWER_TIMEOUT {
                    return Some(POLL_INTERVAL);
                }
            } else if !is_reconfigured() {
                if waited < ANSWER_TIMEOUT {
                    return Some(POLL_INTERVAL);
                }
                pr_warn!("the backend does not follow to another xdp-headroom\n");
            }
            headroom.asked = None;
            self.dev.switch_state(State::Connected);
        }
        if headroom.requested == wanted {
            return None;
        }
        let was_reconfigured = is_reconfigured();
        headroom.requested = wanted;
        let node = self.dev.node();
        if node.write(c"xdp-headroom", fmt!("{}", wanted)).is_err() {
            pr_warn!("Error writing xdp-headroom\n");
            return None;
        }
        self.dev.switch_state(State::Reconfiguring);
        headroom.asked = Some(Asked {
            at: Instant::now(),
            was_reconfigured,
        });
        Some(POLL_INTERVAL)
    }
}
