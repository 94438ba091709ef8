// SPDX-License-Identifier: GPL-2.0

//! A backend that is honest but for one read: it never answers it, and writes to its pages after the device
//! was closed or removed.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::serve::Server;
use super::{nodes, start};
use crate::folders::{Device, Folders, state};
use crate::plan::Plan;

/// The first sector of the read: past all that a kernel looks for partitions in.
pub const SECTOR: u64 = 2048;

/// How long each step may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long pages are written to that should have gone back.
const WRITES: Duration = Duration::from_secs(4);

/// What becomes of the device while the read is held back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The backend closes it.
    Closes,
    /// It is taken from the guest.
    IsRemoved,
}

/// Runs it on a device, and says what it has done.
pub fn run(device: &Device, then: Then, pace: u32) -> io::Result<String> {
    let mut rng = Rng::with_seed(0);
    let mut nodes = nodes(&mut rng);
    // So that the reader's own pages are granted.
    nodes.insert("feature-persistent", "0".into());
    let plan = Plan::honest();
    let mut folders = Folders::make(device)?;
    start(&mut folders, device, &plan, &nodes, &[])?;
    let offered = folders.await_front(&[state::INITIALISED], LIMIT * pace)?;
    offered.ok_or_else(|| io::Error::other("the frontend makes no offer"))?;
    let mut server = Server::connect(device.domid, &mut folders, &plan, false)?;
    folders.set_state(b"4")?;
    let end = Instant::now() + LIMIT * pace;
    while !server.hold(&plan, &mut rng)? {
        if Instant::now() > end {
            return Err(io::Error::other("nobody reads what is held back"));
        }
    }
    let is_gone = match then {
        Then::Closes => {
            folders.set_state(b"5")?;
            folders.await_front(&[state::CLOSED], LIMIT * pace)?
        }
        Then::IsRemoved => {
            folders.remove_front()?;
            Some(0)
        }
    };
    let end = Instant::now() + WRITES * pace;
    while Instant::now() < end {
        server.scribble(&mut rng);
        sleep(Duration::from_millis(1));
    }
    Ok(format!(
        "the frontend {}; then its pages were written to",
        match (then, is_gone) {
            (Then::IsRemoved, _) => "was removed",
            (Then::Closes, Some(_)) => "closed",
            (Then::Closes, None) => "did not close in time",
        }
    ))
}
