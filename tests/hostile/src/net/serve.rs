// SPDX-License-Identifier: GPL-2.0

//! Serving the queues of an interface.

use std::io;

use fastrand::Rng;
use xen_abi::io::netif::{RxRequest, TxRequest};

use super::control::Control;
use super::receive::Receive;
use super::transmit::{Served, Transmit};
use crate::device::{Gntdev, Granted, Port};
use crate::folders::Folders;
use crate::plan::{Lie, Plan};
use crate::ring;
use crate::secret;
use crate::service::{Channels, Service};

/// A backend that is connected to the queues of an interface.
pub struct Server {
    grants: Gntdev,
    domid: u16,
    channels: Channels,
    queues: Vec<Queue>,
    control: Option<(Control, Port)>,
    answered: u32,
}

/// Both halves of a queue, with their event channels, which may be one.
struct Queue {
    tx: (Transmit, Port),
    rx: (Receive, Port),
}

impl Server {
    /// Connects to what the frontend offers.
    pub fn connect(domid: u16, folders: &mut Folders) -> io::Result<Self> {
        let mut server = Self {
            grants: Gntdev::open()?,
            domid,
            channels: Channels::open(domid)?,
            queues: Vec::new(),
            control: None,
            answered: 0,
        };
        let count = folders.front_number("multi-queue-num-queues")?.unwrap_or(1);
        for number in 0..count {
            let folder = match count {
                1 => String::new(),
                _ => format!("queue-{number}/"),
            };
            let queue = server.connect_queue(folders, &folder)?;
            server.queues.push(queue);
        }
        if folders.front("ctrl-ring-ref")?.is_some() {
            let ring = server.map(folders, "ctrl-ring-ref")?;
            let port = folders.needed("event-channel-ctrl")?;
            let port = server.channels.bind(port)?;
            server.control = Some((Control::new(ring)?, port));
        }
        Ok(server)
    }

    fn connect_queue(&self, folders: &mut Folders, folder: &str) -> io::Result<Queue> {
        let tx = Transmit::new(self.map(folders, &format!("{folder}tx-ring-ref"))?)?;
        let rx = Receive::new(self.map(folders, &format!("{folder}rx-ring-ref"))?)?;
        let (tx_port, rx_port) = match folders.front_number(&format!("{folder}event-channel-tx"))? {
            Some(port) => {
                let other = folders.needed(&format!("{folder}event-channel-rx"))?;
                (self.channels.bind(port)?, self.channels.bind(other)?)
            }
            None => {
                let port = folders.needed(&format!("{folder}event-channel"))?;
                let port = self.channels.bind(port)?;
                (port, port)
            }
        };
        Ok(Queue {
            tx: (tx, tx_port),
            rx: (rx, rx_port),
        })
    }

    fn map(&self, folders: &mut Folders, key: &str) -> io::Result<Granted> {
        let reference = folders.needed(key)?;
        let ring = self.grants.map(self.domid, &[reference], true)?;
        secret::look_for(&ring.mapping(), "a ring")?;
        Ok(ring)
    }
}

impl Service for Server {
    fn serve(&mut self, plan: &Plan, rng: &mut Rng) -> io::Result<()> {
        let guest = (&self.grants, self.domid);
        for Queue { tx, rx } in &mut self.queues {
            let done = [
                (tx.0.serve(guest, plan, &mut self.answered, rng)?, tx.1),
                (rx.0.serve(guest, plan, &mut self.answered, rng)?, rx.1),
            ];
            for (Served { any, events }, port) in done {
                self.channels.notify(port, events + u32::from(any))?;
            }
            if plan.has(Lie::Tear) && self.answered >= plan.calm {
                ring::tear(&tx.0.pages.mapping(), size_of::<TxRequest>(), rng);
                ring::tear(&rx.0.pages.mapping(), size_of::<RxRequest>(), rng);
            }
        }
        if let Some((control, port)) = &mut self.control {
            if control.serve(plan, rng) {
                self.channels.notify(*port, 1)?;
            }
        }
        Ok(())
    }

    fn storm(&self, events: u32) -> io::Result<u64> {
        let ports = self.queues.iter().flat_map(|Queue { tx, rx }| [tx.1, rx.1]);
        self.channels.storm(ports, events)
    }

    fn use_what_is_left(&mut self, rng: &mut Rng) -> io::Result<()> {
        for Queue { tx, rx } in &mut self.queues {
            tx.0.send_late();
            rx.0.use_what_is_left(rng);
            ring::tear(&tx.0.pages.mapping(), size_of::<TxRequest>(), rng);
            ring::tear(&rx.0.pages.mapping(), size_of::<RxRequest>(), rng);
            self.channels.notify(tx.1, 10)?;
            self.channels.notify(rx.1, 10)?;
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        self.channels.wait()
    }

    fn answered(&self) -> u32 {
        self.answered
    }

    fn kept(&self) -> usize {
        let kept = |queue: &Queue| queue.tx.0.kept() + queue.rx.0.kept();
        self.queues.iter().map(kept).sum()
    }
}
