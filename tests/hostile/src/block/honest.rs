// SPDX-License-Identifier: GPL-2.0

//! A backend that does nothing wrong, but has nodes that Linux's own never has.

use std::io;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::serve::Server;
use super::{nodes, start};
use crate::folders::{Device, Folders, state};
use crate::plan::Plan;
use crate::service::Service;

/// How long the frontend may take for each step.
const LIMIT: Duration = Duration::from_secs(20);

/// What is special about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Peculiarities {
    /// Nodes of the frontend's folder, which the toolstack writes.
    front: Vec<(String, String)>,
    /// Nodes of its own.
    back: Vec<(String, String)>,
    /// It answers barriers with data by saying that it does not know them.
    refuses_barriers: bool,
}

impl Peculiarities {
    /// Reads words: `front:KEY=VALUE`, `back:KEY=VALUE`, `refuses-barriers`. `None` if one is none of these.
    pub fn read(words: &[&str]) -> Option<Self> {
        let mut all = Self::default();
        for word in words {
            if *word == "refuses-barriers" {
                all.refuses_barriers = true;
                continue;
            }
            let (end, node) = word.split_once(':')?;
            let (key, value) = node.split_once('=')?;
            let nodes = match end {
                "front" => &mut all.front,
                "back" => &mut all.back,
                _ => return None,
            };
            nodes.push((key.to_owned(), value.to_owned()));
        }
        Some(all)
    }
}

/// Serves a device for so long.
pub fn run(
    device: &Device,
    serves: Duration,
    peculiarities: &Peculiarities,
    pace: u32,
) -> io::Result<()> {
    let mut rng = Rng::with_seed(0);
    let mut nodes = nodes(&mut rng);
    for (key, value) in &peculiarities.back {
        nodes.insert(key, value.clone());
    }
    let persistent = nodes["feature-persistent"] == "1";
    let plan = Plan::honest();
    let mut folders = Folders::make(device)?;
    start(&mut folders, device, &plan, &nodes, &peculiarities.front)?;
    let offered = folders.await_front(&[state::INITIALISED], LIMIT * pace)?;
    offered.ok_or_else(|| io::Error::other("the frontend makes no offer"))?;
    let mut server = Server::connect(device.domid, &mut folders, &plan, persistent)?;
    server.refuses_barriers = peculiarities.refuses_barriers;
    folders.set_state(b"4")?;
    let end = Instant::now() + serves * pace;
    while Instant::now() < end {
        server.serve(&plan, &mut rng)?;
        server.wait()?;
    }
    folders.set_state(b"5")?;
    let closed = folders.await_front(&[state::CLOSED], LIMIT * pace)?;
    closed.ok_or_else(|| io::Error::other("the frontend does not close"))?;
    folders.set_state(b"6")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        let all = Peculiarities::read(&["front:virtual-device=0xca00", "refuses-barriers"]);
        let wanted = Peculiarities {
            front: vec![("virtual-device".into(), "0xca00".into())],
            refuses_barriers: true,
            ..Peculiarities::default()
        };
        assert_eq!(all, Some(wanted));
        for bad in ["front:a", "side:a=b", "refuses"] {
            assert_eq!(Peculiarities::read(&[bad]), None, "{bad}");
        }
    }
}
