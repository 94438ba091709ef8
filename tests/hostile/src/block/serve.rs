// SPDX-License-Identifier: GPL-2.0

//! Serving the rings of a disk.

use std::collections::hash_map::Entry;
use std::io;

use fastrand::Rng;
use xen_abi::io::blkif::{Response, rsp};

use super::data::{Disk, Guest, Persistent, Slot, Wanted};
use super::hold::SECTOR;
use crate::device::{Gntdev, Granted, Mapping, PAGE, Port};
use crate::folders::Folders;
use crate::plan::{Lie, Plan};
use crate::ring::{self, LiarRing};
use crate::secret;
use crate::service::{Channels, Service};

/// Pages at most that are kept mapped for no reason.
const MAX_KEPT: usize = 64;

impl ring::Response for Response {
    fn bend(&mut self, rng: &mut Rng) {
        match rng.u8(..8) {
            0 => self.id = rng.u64(..),
            1 => self.id ^= 1 << rng.u8(..64),
            2 => self.id = self.id.wrapping_add(rng.u64(..4)),
            3 => self.operation = rng.u8(..),
            4 => self.operation ^= 1,
            5 => self.status = rng.i16(..),
            6 => self.status = rsp::EOPNOTSUPP,
            _ => self.status = rsp::ERROR,
        }
    }
}

/// A backend that is connected to the rings of a disk.
pub struct Server {
    guest: Guest,
    channels: Channels,
    queues: Vec<Queue>,
    disk: Disk,
    persistent: Option<Persistent>,
    trusted: bool,
    /// Barriers with data are answered as if there were none.
    pub refuses_barriers: bool,
    /// Pages that should have been unmapped.
    kept: Vec<Granted>,
    answered: u32,
}

/// A ring and its event channel.
struct Queue {
    ring: LiarRing<Slot, Response, Mapping>,
    port: Port,
    /// What the ring is in.
    pages: Granted,
}

impl Server {
    /// Connects to what the frontend offers.
    pub fn connect(
        domid: u16,
        folders: &mut Folders,
        plan: &Plan,
        persistent: bool,
    ) -> io::Result<Self> {
        let grants = Gntdev::open()?;
        let mut server = Self {
            guest: Guest { grants, domid },
            channels: Channels::open(domid)?,
            queues: Vec::new(),
            disk: Disk::new(),
            persistent: None,
            trusted: plan.trusted,
            refuses_barriers: false,
            kept: Vec::new(),
            answered: 0,
        };
        if persistent && folders.front_number("feature-persistent")? == Some(1) {
            server.persistent = Some(Persistent::default());
        }
        let order = folders.front_number("ring-page-order")?;
        let count = folders.front_number("multi-queue-num-queues")?;
        for number in 0..count.unwrap_or(1) {
            let folder = match count {
                Some(_) => format!("queue-{number}/"),
                None => String::new(),
            };
            let queue = server.connect_queue(folders, &folder, order)?;
            server.queues.push(queue);
        }
        Ok(server)
    }

    fn connect_queue(
        &self,
        folders: &mut Folders,
        folder: &str,
        order: Option<u32>,
    ) -> io::Result<Queue> {
        let keys = match order {
            None => vec![format!("{folder}ring-ref")],
            Some(order) => (0..1 << order.min(4))
                .map(|page| format!("{folder}ring-ref{page}"))
                .collect(),
        };
        let mut refs = Vec::new();
        for key in keys {
            refs.push(folders.needed(&key)?);
        }
        let pages = self.guest.map(&refs, true)?;
        secret::look_for(&pages.mapping(), "a ring")?;
        let port = folders.needed(&format!("{folder}event-channel"))?;
        Ok(Queue {
            ring: LiarRing::new(pages.mapping())?,
            port: self.channels.bind(port)?,
            pages,
        })
    }

    /// Answers one request.
    fn answer(&mut self, queue: usize, slot: &Slot, plan: &Plan, rng: &mut Rng) -> io::Result<()> {
        let wanted = Wanted::read(slot, &self.guest)?;
        for page in &wanted.descriptors {
            secret::look_for(&page.mapping(), "a page of segments")?;
        }
        let lie = plan.lie(self.answered, rng);
        self.answered += 1;
        let mut status = rsp::OKAY;
        if self.refuses_barriers && wanted.is_barrier() {
            status = rsp::EOPNOTSUPP;
        } else if lie != Some(Lie::Early) {
            let pages = self.map(&wanted)?;
            status = self.transfer(&wanted, pages.as_ref(), lie, rng);
            if matches!(lie, Some(Lie::Keep | Lie::Scribble)) && self.kept.len() < MAX_KEPT {
                self.kept.extend(pages);
                self.kept.extend(wanted.descriptors);
            }
        }
        let response = Response {
            id: wanted.id,
            operation: wanted.operation,
            status,
            ..Response::default()
        };
        let queue = &mut self.queues[queue];
        queue.ring.answer(response, lie, rng);
        match lie {
            Some(Lie::Storm) => self.channels.notify(queue.port, rng.u32(..3000))?,
            Some(Lie::Scribble) => self.scribble(rng),
            _ => {}
        }
        Ok(())
    }

    /// Serves honestly until the [read that is held back](super::hold) comes, whose pages stay mapped. True when it has come.
    pub fn hold(&mut self, plan: &Plan, rng: &mut Rng) -> io::Result<bool> {
        for number in 0..self.queues.len() {
            while let Some(slot) = self.queues[number].ring.take() {
                let wanted = Wanted::read(&slot, &self.guest)?;
                if wanted.is_read() && wanted.sector() == SECTOR {
                    let pages = self.map(&wanted)?;
                    self.kept.extend(pages);
                    return Ok(true);
                }
                self.answer(number, &slot, plan, rng)?;
                self.queues[number].ring.publish();
                self.channels.notify(self.queues[number].port, 1)?;
            }
            self.queues[number].ring.await_request();
        }
        self.channels.wait()?;
        Ok(false)
    }

    /// Maps the pages of a request, unless they stay mapped from one request to the other.
    fn map(&mut self, wanted: &Wanted) -> io::Result<Option<Granted>> {
        let refs = wanted.refs();
        let Some(persistent) = &mut self.persistent else {
            if refs.is_empty() {
                return Ok(None);
            }
            let pages = self.guest.map(&refs, wanted.is_read())?;
            if !self.trusted {
                secret::look_for(&pages.mapping(), "a page of data")?;
            }
            return Ok(Some(pages));
        };
        for gref in refs {
            if let Entry::Vacant(entry) = persistent.0.entry(gref) {
                let page = self.guest.map(&[gref], true)?;
                secret::look_for(&page.mapping(), "a persistent page")?;
                entry.insert(page);
            }
        }
        Ok(None)
    }

    fn transfer(
        &mut self,
        wanted: &Wanted,
        pages: Option<&Granted>,
        lie: Option<Lie>,
        rng: &mut Rng,
    ) -> i16 {
        let refs = wanted.refs();
        let all: Vec<_> = match (&self.persistent, pages) {
            (_, Some(pages)) => (0..refs.len()).map(|page| (pages, page)).collect(),
            (Some(persistent), None) => refs
                .iter()
                .filter_map(|gref| Some((persistent.0.get(gref)?, 0)))
                .collect(),
            (None, None) => Vec::new(),
        };
        let done = self.disk.transfer(wanted, &all);
        if lie == Some(Lie::Content) {
            all.iter()
                .for_each(|(pages, page)| scribble(pages, *page, rng));
        }
        if done { rsp::OKAY } else { rsp::ERROR }
    }

    /// Writes to pages that should not be mapped any more.
    pub fn scribble(&self, rng: &mut Rng) {
        for pages in &self.kept {
            scribble(pages, rng.usize(..pages.mapping().pages()), rng);
        }
    }
}

impl Service for Server {
    fn serve(&mut self, plan: &Plan, rng: &mut Rng) -> io::Result<()> {
        for number in 0..self.queues.len() {
            let before = self.answered;
            while let Some(slot) = self.queues[number].ring.take() {
                self.answer(number, &slot, plan, rng)?;
            }
            let queue = &mut self.queues[number];
            if self.answered > before {
                queue.ring.publish();
                self.channels.notify(queue.port, 1)?;
                if plan.has(Lie::Tear) && self.answered >= plan.calm {
                    ring::tear(&queue.pages.mapping(), size_of::<Slot>(), rng);
                }
            }
            queue.ring.await_request();
            if queue.ring.put_late_sometimes(rng) {
                queue.ring.publish();
                self.channels.notify(queue.port, 1)?;
            }
        }
        Ok(())
    }

    fn storm(&self, events: u32) -> io::Result<u64> {
        let ports = self.queues.iter().map(|queue| queue.port);
        self.channels.storm(ports, events)
    }

    fn use_what_is_left(&mut self, rng: &mut Rng) -> io::Result<()> {
        for queue in &mut self.queues {
            queue.ring.put_late();
            queue.ring.publish();
            ring::tear(&queue.pages.mapping(), size_of::<Slot>(), rng);
            self.channels.notify(queue.port, 10)?;
        }
        self.scribble(rng);
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        self.channels.wait()
    }

    fn answered(&self) -> u32 {
        self.answered
    }

    fn kept(&self) -> usize {
        self.kept.len()
    }
}

/// Writes random bytes to a page.
fn scribble(pages: &Granted, page: usize, rng: &mut Rng) {
    let mut bytes = [0; 256];
    rng.fill(&mut bytes);
    let at = page * PAGE + rng.usize(..PAGE - bytes.len());
    pages.mapping().write_bytes(at, &bytes);
}
