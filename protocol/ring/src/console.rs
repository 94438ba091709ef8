// SPDX-License-Identifier: GPL-2.0

//! The console's page, both ends: a domain's kernel ([`ConsoleFront`]) and the console daemon
//! ([`ConsoleBack`]).
//!
//! The page is that of [`xen_abi::io::console`]: a byte ring for each direction. There is no
//! handshake: both sides continue where the indices are, so that neither notices if the other one
//! is started anew. Each notifies the other after it has moved bytes.
//!
//! How long a kernel waits for a daemon that does not read is in [`patience`].

pub mod patience;

use crate::bytes::{ByteReader, ByteRingAt, ByteWriter};
use crate::{Corrupt, RingMem, TooSmall};
use core::mem::offset_of;
use xen_abi::io::console::{connection, Interface};

/// Most bytes of input that wait to be read.
pub const MAX_INPUT: u32 = 1024;
/// Most bytes of output that wait to be read.
pub const MAX_OUTPUT: u32 = 2048;

/// Input to the domain.
const INPUT: ByteRingAt = ByteRingAt {
    bytes: offset_of!(Interface, input),
    size: MAX_INPUT,
    prod: offset_of!(Interface, in_prod),
    cons: offset_of!(Interface, in_cons),
};

/// Output of the domain.
const OUTPUT: ByteRingAt = ByteRingAt {
    bytes: offset_of!(Interface, out),
    size: MAX_OUTPUT,
    prod: offset_of!(Interface, out_prod),
    cons: offset_of!(Interface, out_cons),
};

/// The word with the connection field, whose first byte that is.
const CONNECTION: usize = offset_of!(Interface, connection);

/// The domain's end. `M` is a handle to the page, which both directions use.
#[derive(Debug)]
pub struct ConsoleFront<M> {
    mem: M,
    output: ByteWriter<M>,
    input: ByteReader<M>,
}

impl<M: RingMem + Clone> ConsoleFront<M> {
    /// Continues on a page that the toolstack or the kernel has set up.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] if the memory is no page.
    pub fn attach(mem: M) -> Result<Self, TooSmall> {
        if mem.size() < size_of::<Interface>() {
            return Err(TooSmall);
        }
        Ok(Self {
            output: ByteWriter::attach(mem.clone(), OUTPUT)?,
            input: ByteReader::attach(mem.clone(), INPUT)?,
            mem,
        })
    }

    /// Whether a daemon takes output. Otherwise output would stay in the ring until one does.
    pub fn is_connected(&self) -> bool {
        let [state, ..] = self.mem.load_relaxed(CONNECTION).to_ne_bytes();
        state != connection::DISCONNECTED
    }

    /// Writes as many bytes of output as there is room for, and returns how many. If it is more
    /// than none, the daemon has to be notified.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] by the daemon. It stays so for this direction.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        self.output.write(bytes)
    }

    /// How many bytes of output the daemon has not read.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] as of [`write`](Self::write).
    pub fn unread(&mut self) -> Result<u32, Corrupt> {
        self.output.unread()
    }

    /// How many bytes of output the daemon says that it has read, modulo 2³²: whatever it says. Tells
    /// whether an event has a reason.
    pub fn taken(&self) -> u32 {
        self.mem.load_relaxed(OUTPUT.cons)
    }

    /// Reads input and returns how many bytes. If it is more than none, the daemon has to be
    /// notified.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] by the daemon. It stays so for this direction.
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Corrupt> {
        self.input.read(to)
    }
}

/// The daemon's end.
#[derive(Debug)]
pub struct ConsoleBack<M> {
    mem: M,
    output: ByteReader<M>,
    input: ByteWriter<M>,
}

impl<M: RingMem + Clone> ConsoleBack<M> {
    /// Continues on a domain's page.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] if the memory is no page.
    pub fn attach(mem: M) -> Result<Self, TooSmall> {
        if mem.size() < size_of::<Interface>() {
            return Err(TooSmall);
        }
        Ok(Self {
            output: ByteReader::attach(mem.clone(), OUTPUT)?,
            input: ByteWriter::attach(mem.clone(), INPUT)?,
            mem,
        })
    }

    /// Says whether output is taken.
    pub fn set_connected(&self, is_connected: bool) {
        let state = match is_connected {
            true => connection::CONNECTED,
            false => connection::DISCONNECTED,
        };
        // The bytes behind the field are zero.
        let word = u32::from_ne_bytes([state, 0, 0, 0]);
        self.mem.store_relaxed(CONNECTION, word);
    }

    /// Reads the domain's output and returns how many bytes. If it is more than none, the domain
    /// has to be notified.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] by the domain. It stays so for this direction.
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Corrupt> {
        self.output.read(to)
    }

    /// Writes as many bytes of input as there is room for, and returns how many. If it is more than
    /// none, the domain has to be notified.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] by the domain. It stays so for this direction.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        self.input.write(bytes)
    }
}
