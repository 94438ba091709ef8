// SPDX-License-Identifier: GPL-2.0

//! A reliable byte stream between dom0 and a guest, made of xenstore nodes below `data/paravane` in the
//! guest's home.
//!
//! Each side owns one folder (`host` is written by dom0, `guest` by the guest). It holds [`WINDOW`] slots with
//! numbered pieces of the stream and a node `ack` with the number of the next piece that side expects. A piece
//! is written into slot `number % WINDOW` and stays there until the other side acknowledged it, so that
//! nothing is lost when a watch is coalesced.
//!
//! `xl save` and `xl restore` give the guest a new home without our nodes. Both sides keep their state in
//! memory and write their nodes again: dom0 when the host sends the new domain number, the guest when it notices
//! that its `ack` node is gone.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use xenstore::Xenstore;

use crate::wire::crc32c;

/// Pieces in flight in one direction.
const WINDOW: u32 = 16;

/// Bytes of the stream in one piece. With its headers a message of xenstored then fits into a guest's ring of 1024 bytes:
/// one that does not waits there for the next occasion, which may be a second away.
const PIECE: usize = 900;

/// Bytes a guest queues before it takes no more orders.
const QUEUE: usize = 64 << 10;

/// How often both sides look at the nodes without having been told of a change.
const POLL: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Which end of the mailbox this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Dom0's end of the mailbox of the domain with this number.
    Dom0(u32),
    /// The guest's own end.
    Guest,
}

impl Side {
    fn folder(self, of_guest: bool) -> String {
        let name = if of_guest { "guest" } else { "host" };
        match self {
            Side::Dom0(domid) => format!("/local/domain/{domid}/data/paravane/{name}"),
            Side::Guest => format!("data/paravane/{name}"),
        }
    }

    fn mine(self) -> String {
        self.folder(self == Side::Guest)
    }

    /// How many orders may wait. In the guest a program that prints a lot is held up here. In dom0 nothing is,
    /// because one guest that does not listen must not stop the host's talk with all others.
    fn backlog(self) -> usize {
        if self == Side::Guest { 8 } else { 1 << 16 }
    }

    fn theirs(self) -> String {
        self.folder(self != Side::Guest)
    }
}

enum Order {
    Send(Vec<u8>),
    Move(u32),
}

/// A running mailbox; dropping it ends its thread.
pub struct Mailbox {
    orders: Option<SyncSender<Order>>,
    wake: Arc<OwnedFd>,
}

impl Mailbox {
    /// Starts a mailbox over the place's usual way to xenstored; see [`Mailbox::over`].
    pub fn start(
        side: Side,
        deliver: impl FnMut(Vec<u8>) -> bool + Send + 'static,
        failed: impl FnOnce(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let store = match side {
            Side::Dom0(_) => Xenstore::dom0()?,
            Side::Guest => Xenstore::guest()?,
        };
        Self::over(store, side, POLL, deliver, failed)
    }

    /// Starts a mailbox. `deliver` is called from its thread with the bytes that arrive, in order; it returns
    /// false when nobody wants them any more. `failed` is called once if xenstored cannot be used. After
    /// `patience` without a sign it looks at the nodes by itself.
    fn over(
        store: Xenstore,
        side: Side,
        patience: Timespec,
        mut deliver: impl FnMut(Vec<u8>) -> bool + Send + 'static,
        failed: impl FnOnce(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, incoming) = sync_channel(side.backlog());
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let theirs = Arc::clone(&wake);
        thread::Builder::new()
            .name("mailbox".into())
            .spawn(move || {
                let mut state = State::new(side, store, patience);
                if let Err(error) = state.run(&incoming, &theirs, &mut deliver) {
                    failed(error);
                }
            })?;
        Ok(Self {
            orders: Some(orders),
            wake,
        })
    }

    /// Queues bytes for the other side.
    pub fn send(&self, bytes: Vec<u8>) {
        self.order(Order::Send(bytes));
    }

    /// Dom0 only: goes on with the same guest under a new number.
    pub fn move_to(&self, domid: u32) {
        self.order(Order::Move(domid));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // A thread that ended has told its `failed`; there is nothing to add here.
            let _ = orders.send(order);
            self.ring();
        }
    }

    fn ring(&self) {
        // Only a full counter fails, and then the thread is woken anyway.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.orders = None;
        self.ring();
    }
}

struct State {
    side: Side,
    store: Xenstore,
    patience: Timespec,
    queue: VecDeque<u8>,
    /// Pieces written and not acknowledged, by number.
    in_flight: BTreeMap<u32, Vec<u8>>,
    next_to_send: u32,
    /// Pieces that arrived before an earlier one.
    early: BTreeMap<u32, Vec<u8>>,
    expected: u32,
    acked: Option<u32>,
}

impl State {
    fn new(side: Side, store: Xenstore, patience: Timespec) -> Self {
        Self {
            side,
            store,
            patience,
            queue: VecDeque::new(),
            in_flight: BTreeMap::new(),
            next_to_send: 0,
            early: BTreeMap::new(),
            expected: 0,
            acked: None,
        }
    }

    fn run(
        &mut self,
        orders: &Receiver<Order>,
        wake: &OwnedFd,
        deliver: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> io::Result<()> {
        self.publish()?;
        self.store.watch(&self.side.theirs())?;
        loop {
            while self.side != Side::Guest || self.queue.len() < QUEUE {
                match orders.try_recv() {
                    Ok(Order::Send(bytes)) => self.queue.extend(bytes),
                    Ok(Order::Move(domid)) => self.relocate(domid)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.send_pieces()?;
            let quiet = self.wait(wake)?;
            let mut changed = Vec::new();
            while let Some(path) = self.store.event() {
                changed.push(path.rsplit('/').next().unwrap_or_default().to_owned());
            }
            // A watch that is set, also by the kernel after a restore, tells of the folder and not of what is in
            // it already.
            if quiet || changed.iter().any(|name| !is_node(name)) {
                let ack = format!("{}/ack", self.side.mine());
                if self.store.read(&ack)?.is_none() {
                    self.publish()?;
                }
                changed.push("ack".into());
                changed.extend((0..WINDOW).map(|ahead| slot_of(self.expected.wrapping_add(ahead))));
            }
            for name in changed {
                self.look_at(&name)?;
            }
            if !self.deliver_pieces(deliver)? {
                return Ok(());
            }
        }
    }

    /// Waits until xenstored or [`Mailbox`] has something; true if nothing happened for a while.
    fn wait(&mut self, wake: &OwnedFd) -> io::Result<bool> {
        if self.store.has_events() {
            return Ok(false);
        }
        let (woken, readable) = {
            let store = self.store.as_fd();
            let mut fds = [
                PollFd::new(wake, PollFlags::IN),
                PollFd::from_borrowed_fd(store, PollFlags::IN),
            ];
            match poll(&mut fds, Some(&self.patience)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            (!fds[0].revents().is_empty(), !fds[1].revents().is_empty())
        };
        if woken {
            let _ = rustix::io::read(wake, &mut [0u8; 8]);
        }
        if readable {
            self.store.receive()?;
        }
        Ok(!woken && !readable)
    }

    /// Writes all our nodes: at the start, and again when the guest has a new home.
    fn publish(&mut self) -> io::Result<()> {
        let mine = self.side.mine();
        if let Side::Dom0(domid) = self.side {
            self.store.mkdir(&mine)?;
            // New nodes below take these over: dom0 owns them, the guest may read.
            self.store.set_perms(&mine, &["n0", &format!("r{domid}")])?;
        }
        self.acked = None;
        self.acknowledge()?;
        for (number, piece) in &self.in_flight {
            self.store
                .write(&format!("{mine}/{}", slot_of(*number)), piece)?;
        }
        Ok(())
    }

    fn relocate(&mut self, domid: u32) -> io::Result<()> {
        // The old home is gone if the domain is; then there is no watch to end.
        let _ = self.store.unwatch(&self.side.theirs());
        self.side = Side::Dom0(domid);
        self.publish()?;
        self.store.watch(&self.side.theirs())
    }

    fn send_pieces(&mut self) -> io::Result<()> {
        while !self.queue.is_empty() && self.in_flight.len() < WINDOW as usize {
            let number = self.next_to_send;
            self.next_to_send = number.wrapping_add(1);
            let count = self.queue.len().min(PIECE);
            let bytes: Vec<u8> = self.queue.drain(..count).collect();
            let piece = pack(number, &bytes);
            self.store
                .write(&format!("{}/{}", self.side.mine(), slot_of(number)), &piece)?;
            self.in_flight.insert(number, piece);
        }
        Ok(())
    }

    fn look_at(&mut self, name: &str) -> io::Result<()> {
        if !is_node(name) {
            return Ok(());
        }
        let Some(value) = self.store.read(&format!("{}/{name}", self.side.theirs()))? else {
            return Ok(());
        };
        if name == "ack" {
            let text = String::from_utf8_lossy(&value).into_owned();
            if let Ok(next) = text.parse::<u32>() {
                self.in_flight.retain(|number, _| !before(*number, next));
            }
        } else if let Some((number, bytes)) = unpack(&value) {
            if !before(number, self.expected) {
                self.early.insert(number, bytes);
            }
        }
        Ok(())
    }

    fn deliver_pieces(&mut self, deliver: &mut dyn FnMut(Vec<u8>) -> bool) -> io::Result<bool> {
        while let Some(bytes) = self.early.remove(&self.expected) {
            self.expected = self.expected.wrapping_add(1);
            if !deliver(bytes) {
                return Ok(false);
            }
        }
        self.acknowledge()?;
        Ok(true)
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        if self.acked != Some(self.expected) {
            let path = format!("{}/ack", self.side.mine());
            self.store
                .write(&path, self.expected.to_string().as_bytes())?;
            self.acked = Some(self.expected);
        }
        Ok(())
    }
}

/// Whether a folder of ours can have a node of this name.
fn is_node(name: &str) -> bool {
    name == "ack" || name.parse::<u32>().is_ok()
}

fn slot_of(number: u32) -> String {
    (number % WINDOW).to_string()
}

/// Whether one piece's number comes before another's.
fn before(number: u32, other: u32) -> bool {
    number != other && other.wrapping_sub(number) < u32::MAX / 2
}

fn pack(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut piece = number.to_le_bytes().to_vec();
    piece.extend_from_slice(&crc32c(bytes).to_le_bytes());
    piece.extend_from_slice(bytes);
    piece
}

fn unpack(piece: &[u8]) -> Option<(u32, Vec<u8>)> {
    let (number, rest) = piece.split_first_chunk::<4>()?;
    let (crc, bytes) = rest.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == crc32c(bytes))
        .then(|| (u32::from_le_bytes(*number), bytes.to_vec()))
}

#[cfg(test)]
mod tests;
