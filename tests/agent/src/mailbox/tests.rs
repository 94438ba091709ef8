// SPDX-License-Identifier: GPL-2.0

//! The mailbox against a small xenstored in memory: nodes, watches, domains that get a new home.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use xen_abi::io::xs_wire::{Header, msg};
use zerocopy::{FromBytes, IntoBytes};

use super::*;

/// A daemon that knows just enough.
#[derive(Clone, Default)]
struct Daemon(Arc<Mutex<Tree>>);

#[derive(Default)]
struct Tree {
    nodes: BTreeMap<String, Vec<u8>>,
    watches: Vec<Watch>,
}

struct Watch {
    /// Absolute.
    path: String,
    /// The home that is cut off again in events.
    home: String,
    client: UnixStream,
}

fn message(kind: u32, req_id: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    let header = Header {
        kind,
        req_id,
        tx_id: 0,
        len,
    };
    [header.as_bytes(), payload].concat()
}

impl Tree {
    fn changed(&mut self, path: &str) {
        for watch in &mut self.watches {
            if path == watch.path || path.starts_with(&format!("{}/", watch.path)) {
                let seen = path
                    .strip_prefix(&watch.home)
                    .unwrap_or(path)
                    .trim_start_matches('/');
                let seen = if watch.home.is_empty() { path } else { seen };
                let event = message(msg::WATCH_EVENT, 0, format!("{seen}\0agent\0").as_bytes());
                let _ = watch.client.write_all(&event);
            }
        }
    }
}

impl Daemon {
    /// A connection; relative paths are below `home`.
    fn connect(&self, home: &Arc<Mutex<String>>) -> Xenstore {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (daemon, home) = (self.clone(), Arc::clone(home));
        thread::spawn(move || while daemon.serve(&theirs, &home).is_some() {});
        Xenstore::over(ours)
    }

    fn serve(&self, mut client: &UnixStream, home: &Mutex<String>) -> Option<()> {
        let mut header = [0u8; size_of::<Header>()];
        client.read_exact(&mut header).ok()?;
        let header = Header::read_from_bytes(&header).unwrap();
        let mut payload = vec![0; header.len as usize];
        client.read_exact(&mut payload).ok()?;
        let end = payload.iter().position(|byte| *byte == 0).unwrap();
        let path = String::from_utf8(payload[..end].to_vec()).unwrap();
        let home = home.lock().unwrap().clone();
        let full = if path.starts_with('/') {
            path
        } else {
            format!("{home}/{path}")
        };
        let rest = payload[end + 1..].to_vec();
        let mut tree = self.0.lock().unwrap();
        let reply = match header.kind {
            msg::READ => match tree.nodes.get(&full) {
                Some(value) => message(msg::READ, header.req_id, value),
                None => message(msg::ERROR, header.req_id, b"ENOENT\0"),
            },
            kind => message(kind, header.req_id, b"OK\0"),
        };
        client.write_all(&reply).ok()?;
        match header.kind {
            msg::WRITE => {
                assert!(rest.len() <= 2048, "a guest may not write this much");
                tree.nodes.insert(full.clone(), rest);
                tree.changed(&full);
            }
            msg::WATCH => {
                let client = client.try_clone().unwrap();
                tree.watches.push(Watch {
                    path: full.clone(),
                    home,
                    client,
                });
                tree.changed(&full);
            }
            msg::UNWATCH => tree.watches.retain(|watch| watch.path != full),
            _ => {}
        }
        Some(())
    }
}

fn mailbox(daemon: &Daemon, side: Side, home: &Arc<Mutex<String>>) -> (Mailbox, Receiver<Vec<u8>>) {
    patient(daemon, side, home, POLL)
}

fn patient(
    daemon: &Daemon,
    side: Side,
    home: &Arc<Mutex<String>>,
    patience: Timespec,
) -> (Mailbox, Receiver<Vec<u8>>) {
    let (sender, receiver) = channel();
    let deliver = move |piece| sender.send(piece).is_ok();
    let failed = move |error| eprintln!("{side:?} failed: {error}");
    (
        Mailbox::over(daemon.connect(home), side, patience, deliver, failed).unwrap(),
        receiver,
    )
}

fn receive(from: &Receiver<Vec<u8>>, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        bytes.extend(
            from.recv_timeout(Duration::from_secs(10))
                .expect("the bytes do not arrive"),
        );
    }
    bytes
}

fn home(domid: u32) -> Arc<Mutex<String>> {
    Arc::new(Mutex::new(format!("/local/domain/{domid}")))
}

#[test]
fn streams_arrive_in_both_directions_whoever_comes_first() {
    let daemon = Daemon::default();
    let (host, from_guest) = mailbox(&daemon, Side::Dom0(3), &Arc::default());
    host.send(b"early".to_vec());
    thread::sleep(Duration::from_millis(100));
    let (guest, from_host) = mailbox(&daemon, Side::Guest, &home(3));
    assert_eq!(receive(&from_host, 5), b"early");
    let long: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    guest.send(long.clone());
    host.send(long.clone());
    assert!(receive(&from_guest, long.len()) == long);
    assert!(receive(&from_host, long.len()) == long);
}

/// A change that is told while another node is read makes the connection readable only once.
#[test]
fn no_change_waits_for_the_next_look() {
    const FOREVER: Timespec = Timespec {
        tv_sec: 3600,
        tv_nsec: 0,
    };
    let daemon = Daemon::default();
    let (host, from_guest) = patient(&daemon, Side::Dom0(3), &Arc::default(), FOREVER);
    let (guest, from_host) = patient(&daemon, Side::Guest, &home(3), FOREVER);
    for round in 0..300u32 {
        host.send(round.to_le_bytes().to_vec());
        assert_eq!(receive(&from_host, 4), round.to_le_bytes());
        guest.send(round.to_le_bytes().to_vec());
        assert_eq!(receive(&from_guest, 4), round.to_le_bytes());
    }
}

#[test]
fn nothing_is_lost_when_the_guest_gets_a_new_home() {
    let daemon = Daemon::default();
    let place = home(3);
    let (host, from_guest) = mailbox(&daemon, Side::Dom0(3), &Arc::default());
    let (guest, from_host) = mailbox(&daemon, Side::Guest, &place);
    guest.send(b"before".to_vec());
    assert_eq!(receive(&from_guest, 6), b"before");
    // Saved: the domain and its nodes are gone, while both sides still send.
    {
        let mut tree = daemon.0.lock().unwrap();
        tree.nodes
            .retain(|path, _| !path.starts_with("/local/domain/3/"));
        for watch in tree
            .watches
            .iter_mut()
            .filter(|watch| !watch.home.is_empty())
        {
            // The guest's kernel sets the watch again, in the new home.
            watch.path = watch.path.replace("/domain/3/", "/domain/9/");
            watch.home = "/local/domain/9".into();
        }
        *place.lock().unwrap() = "/local/domain/9".into();
    }
    guest.send(b"between".to_vec());
    host.send(b"to you".to_vec());
    thread::sleep(Duration::from_millis(300));
    host.move_to(9);
    assert_eq!(receive(&from_guest, 7), b"between");
    assert_eq!(receive(&from_host, 6), b"to you");
}

#[test]
fn pieces_come_back_and_damaged_ones_do_not() {
    let piece = pack(7, b"bytes");
    assert_eq!(unpack(&piece), Some((7, b"bytes".to_vec())));
    let mut damaged = piece.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(unpack(&damaged), None);
    assert_eq!(unpack(&piece[..7]), None);
}

#[test]
fn numbers_wrap() {
    assert!(before(u32::MAX, 0));
    assert!(before(3, 4));
    assert!(!before(4, 4) && !before(5, 4));
}

#[test]
fn each_side_writes_its_own_folder() {
    assert_eq!(Side::Dom0(3).mine(), "/local/domain/3/data/paravane/host");
    assert_eq!(
        Side::Dom0(3).theirs(),
        "/local/domain/3/data/paravane/guest"
    );
    assert_eq!(Side::Guest.mine(), "data/paravane/guest");
    assert_eq!(Side::Guest.theirs(), "data/paravane/host");
}
