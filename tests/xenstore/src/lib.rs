// SPDX-License-Identifier: GPL-2.0

//! A small xenstore client: over xenstored's socket in dom0, over `/dev/xen/xenbus` in a guest.
//!
//! Calls are made one at a time; watches are told apart by their path alone, and there are no transactions.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use xen_abi::io::xs_wire::{Header, PAYLOAD_MAX, msg};
use zerocopy::{FromBytes, IntoBytes};

/// Where xenstored listens in dom0: the path that Debian's packages are built with.
const SOCKET: &str = "/var/run/xenstored/socket";
/// The kernel's way to xenstored in a guest; handles suspend and resume for us.
const DEVICE: &str = "/dev/xen/xenbus";

/// A connection to xenstored.
pub struct Xenstore {
    stream: Stream,
    unread: Vec<u8>,
    events: VecDeque<String>,
    last_id: u32,
}

enum Stream {
    Socket(UnixStream),
    Device(File),
}

impl Xenstore {
    /// Connects through the daemon's socket.
    pub fn dom0() -> io::Result<Self> {
        UnixStream::connect(SOCKET).map(Self::over)
    }

    /// Uses a connection to a daemon that already exists.
    pub fn over(socket: UnixStream) -> Self {
        Self::new(Stream::Socket(socket))
    }

    /// Connects through the kernel.
    pub fn guest() -> io::Result<Self> {
        let device = File::options().read(true).write(true).open(DEVICE)?;
        Ok(Self::new(Stream::Device(device)))
    }

    fn new(stream: Stream) -> Self {
        Self {
            stream,
            unread: vec![],
            events: VecDeque::new(),
            last_id: 0,
        }
    }

    /// What to poll for input; nothing to read there does not mean that [`Xenstore::event`] has none left.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Socket(socket) => socket.as_fd(),
            Stream::Device(device) => device.as_fd(),
        }
    }

    /// Reads a node; `None` if it does not exist.
    pub fn read(&mut self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.call(msg::READ, &[path.as_bytes(), b"\0"].concat()) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a node, making its parents.
    pub fn write(&mut self, path: &str, value: &[u8]) -> io::Result<()> {
        self.call(msg::WRITE, &[path.as_bytes(), b"\0", value].concat())
            .map(drop)
    }

    /// Makes an empty node if there is none.
    pub fn mkdir(&mut self, path: &str) -> io::Result<()> {
        self.call(msg::MKDIR, &[path.as_bytes(), b"\0"].concat())
            .map(drop)
    }

    /// Removes a node with everything below it, if it exists.
    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        match self.call(msg::RM, &[path.as_bytes(), b"\0"].concat()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets a node's permissions, given as the protocol has them (`n0`, `r12`); dom0 only.
    pub fn set_perms(&mut self, path: &str, perms: &[&str]) -> io::Result<()> {
        let mut payload = [path.as_bytes(), b"\0"].concat();
        for perm in perms {
            payload.extend_from_slice(perm.as_bytes());
            payload.push(0);
        }
        self.call(msg::SET_PERMS, &payload).map(drop)
    }

    /// Asks for an event whenever a node or one below it changes; one comes at once.
    pub fn watch(&mut self, path: &str) -> io::Result<()> {
        self.call(msg::WATCH, &[path.as_bytes(), b"\0agent\0"].concat())
            .map(drop)
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, path: &str) -> io::Result<()> {
        self.call(msg::UNWATCH, &[path.as_bytes(), b"\0agent\0"].concat())
            .map(drop)
    }

    /// The path of the next change that has already arrived.
    pub fn event(&mut self) -> Option<String> {
        self.events.pop_front()
    }

    /// Whether there is an event to take. Calls read everything that arrives on their way to the answer, so
    /// look here before waiting for [`Xenstore::as_fd`]: what has been read makes nothing readable.
    pub fn has_events(&mut self) -> bool {
        self.sort();
        !self.events.is_empty()
    }

    /// Takes in what has arrived; call it when [`Xenstore::as_fd`] is readable, it blocks otherwise.
    pub fn receive(&mut self) -> io::Result<()> {
        self.fill()?;
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        while let Some((header, payload)) = self.take() {
            if header.kind == msg::WATCH_EVENT {
                self.note_event(&payload);
            }
            // Anything else is an answer nobody waits for: calls are made one at a time and to their end.
        }
    }

    fn call(&mut self, kind: u32, payload: &[u8]) -> io::Result<Vec<u8>> {
        if payload.len() > PAYLOAD_MAX {
            return Err(io::Error::other("the request to xenstored is too long"));
        }
        self.last_id = self.last_id.wrapping_add(1);
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let header = Header {
            kind,
            req_id: self.last_id,
            tx_id: 0,
            len,
        };
        let message = [header.as_bytes(), payload].concat();
        match &mut self.stream {
            Stream::Socket(socket) => socket.write_all(&message)?,
            Stream::Device(device) => device.write_all(&message)?,
        }
        loop {
            while let Some((header, payload)) = self.take() {
                match header.kind {
                    msg::WATCH_EVENT => self.note_event(&payload),
                    _ if header.req_id != self.last_id => {}
                    msg::ERROR => return Err(error(&payload)),
                    _ => return Ok(payload),
                }
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0u8; 2 * PAYLOAD_MAX];
        let count = match &mut self.stream {
            Stream::Socket(socket) => socket.read(&mut buffer),
            Stream::Device(device) => device.read(&mut buffer),
        };
        match count {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "xenstored is gone",
            )),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self) -> Option<(Header, Vec<u8>)> {
        let (header, rest) = Header::read_from_prefix(&self.unread).ok()?;
        let payload = rest.get(..header.len as usize)?.to_vec();
        self.unread.drain(..size_of::<Header>() + payload.len());
        Some((header, payload))
    }

    fn note_event(&mut self, payload: &[u8]) {
        let path = payload.split(|byte| *byte == 0).next().unwrap_or_default();
        self.events
            .push_back(String::from_utf8_lossy(path).into_owned());
    }
}

fn error(payload: &[u8]) -> io::Error {
    let name = String::from_utf8_lossy(payload)
        .trim_end_matches('\0')
        .to_owned();
    let kind = match name.as_str() {
        "ENOENT" => io::ErrorKind::NotFound,
        "EEXIST" => io::ErrorKind::AlreadyExists,
        "EACCES" => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("xenstored answered {name}"))
}
