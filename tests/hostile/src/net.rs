// SPDX-License-Identifier: GPL-2.0

//! A backend of network interfaces: it takes all that is sent, sends frames of its own, and does what its
//! [plan](crate::plan) has it do besides.

mod control;
mod frame;
mod receive;
mod serve;
mod transmit;

use std::collections::BTreeMap;
use std::io;

use fastrand::Rng;

use crate::folders::{Device, Folders};
use crate::plan::Plan;

pub use serve::Server;

/// The nodes of the backend.
pub const KEYS: [&str; 12] = [
    "feature-rx-copy",
    "feature-sg",
    "feature-gso-tcpv4",
    "feature-gso-tcpv6",
    "feature-no-csum-offload",
    "feature-ipv6-csum-offload",
    "feature-split-event-channels",
    "feature-ctrl-ring",
    "feature-multicast-control",
    "feature-dynamic-multicast-control",
    "feature-xdp-headroom",
    "multi-queue-max-queues",
];

/// What an honest backend says, of one of many kinds.
pub fn nodes(rng: &mut Rng) -> BTreeMap<&'static str, String> {
    let value = |key| match key {
        "feature-rx-copy" => 1,
        "multi-queue-max-queues" => rng.u32(1..4),
        _ => u32::from(rng.bool()),
    };
    let values = KEYS.map(value).map(|value| value.to_string());
    KEYS.into_iter().zip(values).collect()
}

/// Makes the nodes of both ends, without going through any states.
pub fn start(
    folders: &mut Folders,
    device: &Device,
    plan: &Plan,
    nodes: &BTreeMap<&str, String>,
) -> io::Result<()> {
    for (key, value) in nodes {
        folders.write(key, value, plan.nodes.get(*key))?;
    }
    if plan.states.is_empty() {
        folders.set_state(b"2")?;
    }
    folders.announce(&[
        ("handle", device.number.to_string()),
        ("mac", "00:16:3e:00:00:66".into()),
        ("trusted", u8::from(plan.trusted).to_string()),
    ])
}
