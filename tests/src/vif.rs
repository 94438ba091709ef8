// SPDX-License-Identifier: GPL-2.0

//! An interface as its back end and the xenstore know it.

use anyhow::{Context, Result};

use crate::guest::Domain;
use crate::host::Host;
use crate::remote::Place;

/// One interface of one guest. A restored guest has new ones.
pub struct Vif {
    dom0: Place,
    domid: u32,
    number: u32,
}

/// Positions in a queue's two rings, which only grow (modulo 2^32): slots the guest has used, and slots answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Slots of frames the guest has sent.
    pub sent: u32,
    /// Slots of frames the guest has received.
    pub received: u32,
}

impl Vif {
    /// The interface with this number.
    pub fn of(host: &Host, guest: &Domain, number: u32) -> Self {
        Self {
            dom0: host.dom0().clone(),
            domid: guest.domid(),
            number,
        }
    }

    /// The device in dom0.
    pub fn device(&self) -> String {
        format!("vif{}.{}", self.domid, self.number)
    }

    /// A node of the back end; empty if there is none.
    pub fn back(&self, key: &str) -> Result<String> {
        self.read(&format!("{}/{key}", self.back_path()))
    }

    /// A node of the front end; empty if there is none.
    pub fn front(&self, key: &str) -> Result<String> {
        self.read(&format!("{}/{key}", self.front_path()))
    }

    fn read(&self, path: &str) -> Result<String> {
        self.dom0
            .sh(&format!("xenstore-read {path} 2>/dev/null || true"))
    }

    /// The back end's folder in the xenstore.
    pub fn back_path(&self) -> String {
        format!("/local/domain/0/backend/vif/{}/{}", self.domid, self.number)
    }

    /// The front end's folder in the xenstore.
    pub fn front_path(&self) -> String {
        format!("/local/domain/{}/device/vif/{}", self.domid, self.number)
    }

    /// How many queues the front end has asked for.
    pub fn queues(&self) -> Result<u32> {
        match self.front("multi-queue-num-queues")?.as_str() {
            "" => Ok(1),
            number => number
                .parse()
                .context("the front end asked for a strange number of queues"),
        }
    }

    /// What both ends can do, by the names of the protocol (xen/interface/io/netif.h) without `feature-`.
    pub fn agreed(&self) -> Result<Vec<String>> {
        let list = |path: String| -> Result<Vec<String>> {
            let text = self.dom0.sh(&format!(
                "for key in $(xenstore-list {path}); do echo $key $(xenstore-read {path}/$key); done"
            ))?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        let (back, front) = (list(self.back_path())?, list(self.front_path())?);
        let mut agreed: Vec<String> = front
            .iter()
            .filter(|line| back.contains(line))
            .filter_map(|line| line.strip_prefix("feature-")?.strip_suffix(" 1"))
            .map(str::to_owned)
            .collect();
        // These have names of their own: what is offered, and what a front end that takes it says.
        for (offer, taken, name) in [
            (
                "feature-split-event-channels 1",
                "event-channel-tx",
                "split-event-channels",
            ),
            ("feature-rx-copy 1", "request-rx-copy 1", "rx-copy"),
            ("feature-ctrl-ring 1", "ctrl-ring-ref", "ctrl-ring"),
            (
                "feature-multicast-control 1",
                "request-multicast-control 1",
                "multicast-control",
            ),
        ] {
            let queue = format!("{}/queue-0", self.front_path());
            let split = taken == "event-channel-tx"
                && !self.read(&format!("{queue}/event-channel-tx"))?.is_empty();
            if back.iter().any(|line| line == offer)
                && (split || front.iter().any(|line| line.starts_with(taken)))
            {
                agreed.push(name.to_owned());
            }
        }
        agreed.sort();
        Ok(agreed)
    }

    /// Where a queue's rings are, as the back end's debugfs says.
    pub fn positions(&self, queue: u32) -> Result<Positions> {
        let text = self.dom0.sh(&format!(
            "cat /sys/kernel/debug/xen-netback/{}/io_ring_q{queue}",
            self.device()
        ))?;
        positions(&text).with_context(|| format!("the rings cannot be read from {text}"))
    }
}

/// Reads "RING: …" followed by "req prod N (n) cons N (n) event N (n)" and "rsp prod N …", for both rings.
fn positions(text: &str) -> Option<Positions> {
    let (sent, received) = text.split_once("RX: ")?;
    let after = |text: &str, what: &str| -> Option<u32> {
        let (_, rest) = text.split_once(what)?;
        rest.split_whitespace().next()?.parse().ok()
    };
    Some(Positions {
        sent: after(sent, "req prod ")?,
        received: after(received, "rsp prod ")?,
    })
}

/// The counters our driver shows in debugfs, summed over an interface's queues. `number` is the interface's.
pub fn own_counter(guest: &Domain, number: u32, counter: &str) -> Result<u64> {
    let text = guest.sh(&format!(
        "cat /sys/kernel/debug/xen/netfront/vif-{number}/queue* | \
         awk '$1 == \"{counter}\" {{ n += $2; found = 1 }} END {{ if (!found) exit 1; print n }}'"
    ))?;
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_from_both_rings() {
        let text = "Queue 0\nTX: nr_ents 256\nreq prod 12 (0) cons 12 (0) event 13 (1)\n\
            rsp prod 11 (base) pvt 12 (0) event 1 (1)\npending prod 1\n\nRX: nr_ents 256\n\
            req prod 300 (256) cons 44 (0) event 1 (0)\nrsp prod 43 (base) pvt 44 (0) event 1 (1)\n";
        assert_eq!(
            positions(text),
            Some(Positions {
                sent: 12,
                received: 43
            })
        );
    }
}
