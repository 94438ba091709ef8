// SPDX-License-Identifier: GPL-2.0

//! Events without work: for some seconds, on a port of a guest that dom0 may connect to. It can be connected to again afterwards.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::device::Evtchn;

/// Sends them.
pub fn run(domid: u16, port: u32, lasts: Duration) -> io::Result<()> {
    let evtchn = Evtchn::open()?;
    let port = evtchn.bind(domid, port)?;
    let end = Instant::now() + lasts;
    let mut sent = 0u32;
    while Instant::now() < end {
        for _ in 0..100 {
            evtchn.notify(port)?;
            sent += 1;
        }
        sleep(Duration::from_millis(1));
    }
    println!("{sent} times");
    Ok(())
}
