// SPDX-License-Identifier: GPL-2.0

//! A backend of block devices: a small disk in memory, and what its [plan](crate::plan) has it do besides.

mod data;
pub mod hold;
pub mod honest;
mod serve;

use std::collections::BTreeMap;
use std::io;

use fastrand::Rng;

use crate::folders::{Device, Folders};
use crate::plan::Plan;

pub use serve::Server;

/// Size of the disk in sectors of 512 bytes.
const SECTORS: u32 = 4096;

/// The nodes of the backend.
pub const KEYS: [&str; 15] = [
    "sectors",
    "sector-size",
    "physical-sector-size",
    "info",
    "feature-flush-cache",
    "feature-barrier",
    "feature-discard",
    "discard-granularity",
    "discard-alignment",
    "discard-secure",
    "feature-persistent",
    "feature-max-indirect-segments",
    "max-ring-page-order",
    "multi-queue-max-queues",
    "mode",
];

/// What an honest backend says, of one of many kinds.
pub fn nodes(rng: &mut Rng) -> BTreeMap<&'static str, String> {
    let sector = if rng.u8(..4) == 0 { 4096 } else { 512 };
    let flag = |rng: &mut Rng| u32::from(rng.bool());
    let mut nodes = BTreeMap::new();
    for key in KEYS {
        let value = match key {
            "sectors" => SECTORS,
            "sector-size" => sector,
            "physical-sector-size" => 4096,
            "info" => 0,
            "discard-granularity" => 4096,
            "discard-alignment" => 0,
            "feature-max-indirect-segments" => [0, 16, 32, 256][rng.usize(..4)],
            "max-ring-page-order" => rng.u32(..3),
            "multi-queue-max-queues" => rng.u32(1..4),
            "mode" => {
                nodes.insert(key, "w".to_owned());
                continue;
            }
            _ => flag(rng),
        };
        nodes.insert(key, value.to_string());
    }
    nodes
}

/// Makes the nodes of both ends, without going through any states. `front` are nodes of the frontend's folder that are not as usual.
pub fn start(
    folders: &mut Folders,
    device: &Device,
    plan: &Plan,
    nodes: &BTreeMap<&str, String>,
    front: &[(String, String)],
) -> io::Result<()> {
    for (key, value) in nodes {
        folders.write(key, value, plan.nodes.get(*key))?;
    }
    if plan.states.is_empty() {
        folders.set_state(b"2")?;
    }
    let mut all = BTreeMap::from([
        ("virtual-device", device.number.to_string()),
        ("device-type", "disk".into()),
        ("trusted", u8::from(plan.trusted).to_string()),
    ]);
    for (key, value) in front {
        all.insert(key, value.clone());
    }
    let all: Vec<_> = all.into_iter().collect();
    folders.announce(&all)
}
