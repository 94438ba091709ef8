// SPDX-License-Identifier: GPL-2.0

//! What serving a disk and serving an interface have in common.

use std::io;
use std::time::Duration;

use fastrand::Rng;

use crate::device::{Evtchn, Port};
use crate::plan::Plan;

/// A backend that is connected.
pub trait Service {
    /// Does what is to be done now.
    ///
    /// # Errors
    ///
    /// What the frontend did wrong, or that something of it cannot be used any more.
    fn serve(&mut self, plan: &Plan, rng: &mut Rng) -> io::Result<()>;

    /// Does what an honest backend would have done before: sends late responses, and uses pages that it has kept.
    fn use_what_is_left(&mut self, rng: &mut Rng) -> io::Result<()>;

    /// Sends so many events on each of the device's ports, without a reason. Returns how many that makes.
    fn storm(&self, events: u32) -> io::Result<u64>;

    /// Waits until there may be something to serve, but not for long.
    fn wait(&self) -> io::Result<()>;

    /// Responses so far, whether they were sent or not.
    fn answered(&self) -> u32;

    /// Mappings that it has kept although it has answered for their pages.
    fn kept(&self) -> usize;
}

/// The event channels of a device.
pub struct Channels {
    file: Evtchn,
    domid: u16,
}

/// How long nothing is done if there are no events.
const PATIENCE: Duration = Duration::from_millis(10);

impl Channels {
    /// Opens the device file for a domain's channels.
    pub fn open(domid: u16) -> io::Result<Self> {
        let file = Evtchn::open()?;
        Ok(Self { file, domid })
    }

    /// Connects to a port of the frontend's.
    pub fn bind(&self, port: u32) -> io::Result<Port> {
        self.file.bind(self.domid, port)
    }

    /// Sends so many events.
    pub fn notify(&self, port: Port, events: u32) -> io::Result<()> {
        (0..events).try_for_each(|_| self.file.notify(port))
    }

    /// Sends so many events on each of these. Returns how many that makes.
    pub fn storm(&self, ports: impl Iterator<Item = Port>, events: u32) -> io::Result<u64> {
        let mut sent = 0;
        for port in ports {
            self.notify(port, events)?;
            sent += u64::from(events);
        }
        Ok(sent)
    }

    /// Waits for an event on any of them.
    pub fn wait(&self) -> io::Result<()> {
        self.file.wait(PATIENCE).map(drop)
    }
}
