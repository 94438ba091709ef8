// SPDX-License-Identifier: GPL-2.0

//! Batches of hypercalls (`multicall`): calls are collected together with the memory that their
//! arguments point to, and are made at once when the batch is flushed.
//!
//! [`Batch`] is the state: how much there is of each. [`Buffer`] is where calls, arguments and
//! callbacks lie, and what makes the calls: in the kernel a per-CPU variable and the hypervisor, in
//! tests lists. The functions are the operations that the kernel's C code asks for.
//!
//! A callback is called when the calls before it have been made, and the batch is empty by then: it
//! may begin another one, add callbacks, and flush.

use core::cell::Cell;

/// The most calls in a batch.
pub const MAX_CALLS: usize = 32;

/// Bytes for what the calls' arguments point to.
pub const ARGUMENT_BYTES: usize = 512;

/// The most callbacks that wait for a batch.
pub const MAX_CALLBACKS: usize = 32;

/// What a call's arguments begin at a multiple of.
const ALIGN: u32 = 8;

/// What a batch holds. It belongs to one CPU.
///
/// # Invariants
///
/// - `calls` is at most [`MAX_CALLS`], `bytes` at most [`ARGUMENT_BYTES`], and `callbacks` at most
///   [`MAX_CALLBACKS`].
/// - `bytes` is 0 if `calls` is.
/// - `called` is at most `callbacks`.
#[derive(Debug, Default)]
pub struct Batch {
    calls: Cell<u32>,
    bytes: Cell<u32>,
    callbacks: Cell<u32>,
    /// Callbacks that have been called while the others still wait.
    called: Cell<u32>,
}

/// A place for a call and for its arguments.
///
/// # Invariants
///
/// `call` is below [`MAX_CALLS`]. As many bytes as were asked for lie from `argument` on within
/// [`ARGUMENT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    call: usize,
    argument: usize,
}

impl Place {
    /// The call's index.
    #[inline]
    pub const fn call(self) -> usize {
        self.call
    }

    /// Where the argument's first byte is.
    #[inline]
    pub const fn argument(self) -> usize {
        self.argument
    }
}

/// Why a batch is flushed although nobody has asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are [`MAX_CALLS`].
    Calls,
    /// The arguments do not fit.
    Arguments,
    /// There are [`MAX_CALLBACKS`].
    Callbacks,
}

/// Why a call's arguments cannot be extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotExtended {
    /// There is no call, or the latest has another number.
    OtherCall,
    /// The arguments do not fit.
    NoRoom,
}

/// What happens to a batch, for those who trace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A place for a call is asked for.
    Entry {
        /// Bytes of arguments.
        bytes: usize,
    },
    /// A call's arguments were extended, or not.
    Extend {
        /// The call's number.
        number: u64,
        /// Bytes asked for.
        bytes: usize,
        /// What came of it.
        result: Result<(), NotExtended>,
    },
    /// The batch is full and will be flushed.
    Full(Full),
    /// The batch is flushed.
    Flush {
        /// Calls in it.
        calls: u32,
        /// Bytes of arguments.
        bytes: u32,
        /// Callbacks that wait.
        callbacks: u32,
    },
}

impl Batch {
    /// An empty batch.
    pub const fn new() -> Self {
        // INVARIANT: All are 0.
        Self {
            calls: Cell::new(0),
            bytes: Cell::new(0),
            callbacks: Cell::new(0),
            called: Cell::new(0),
        }
    }

    /// A place for another call.
    #[inline]
    fn entry(&self, bytes: usize) -> Result<Place, Full> {
        let calls = self.calls.get();
        if calls as usize == MAX_CALLS {
            return Err(Full::Calls);
        }
        // At most `ARGUMENT_BYTES`, since that is a multiple of `ALIGN`.
        let argument = self.bytes.get().wrapping_add(ALIGN - 1) & !(ALIGN - 1);
        if bytes > ARGUMENT_BYTES.wrapping_sub(argument as usize) {
            return Err(Full::Arguments);
        }
        // INVARIANT: There was room for both.
        self.calls.set(calls.wrapping_add(1));
        self.bytes.set(argument.wrapping_add(bytes as u32));
        Ok(Place {
            call: calls as usize,
            argument: argument as usize,
        })
    }

    /// More arguments for a call, the latest one.
    #[inline]
    fn extend(&self, call: usize, bytes: usize) -> Result<Place, NotExtended> {
        let argument = self.bytes.get();
        if bytes > ARGUMENT_BYTES.wrapping_sub(argument as usize) {
            return Err(NotExtended::NoRoom);
        }
        // INVARIANT: There was room, and there is a call.
        self.bytes.set(argument.wrapping_add(bytes as u32));
        Ok(Place {
            call,
            argument: argument as usize,
        })
    }

    /// The index of the latest call.
    #[inline]
    fn latest(&self) -> Option<usize> {
        match self.calls.get() {
            0 => None,
            calls => Some(calls.wrapping_sub(1) as usize),
        }
    }

    /// An index for another callback.
    #[inline]
    fn callback(&self) -> Result<usize, Full> {
        let callbacks = self.callbacks.get();
        if callbacks as usize == MAX_CALLBACKS {
            return Err(Full::Callbacks);
        }
        // INVARIANT: There was room.
        self.callbacks.set(callbacks.wrapping_add(1));
        Ok(callbacks as usize)
    }

    /// The index of a callback that has not been called. Without one, all are forgotten.
    #[inline]
    fn next_callback(&self) -> Option<usize> {
        let callbacks = self.callbacks.get();
        if callbacks == 0 {
            return None;
        }
        let called = self.called.get();
        // INVARIANT: Both are 0, or one more was called of those that there are.
        if called == callbacks {
            self.callbacks.set(0);
            self.called.set(0);
            return None;
        }
        self.called.set(called.wrapping_add(1));
        Some(called as usize)
    }
}

/// Where a batch lies, and what makes its calls.
pub trait Buffer {
    /// The state.
    fn batch(&self) -> &Batch;

    /// The number of a call, as it was written to its place.
    fn number(&self, call: usize) -> u64;

    /// Makes the first so many calls, in order. There are some, and at most [`MAX_CALLS`].
    fn issue(&self, calls: usize);

    /// Calls a callback, whose index is below [`MAX_CALLBACKS`].
    fn call_back(&self, callback: usize);

    /// Is told of an event.
    #[inline]
    fn trace(&self, event: Event) {
        let _ = event;
    }
}

/// Makes the calls of a batch, if there are some, and then its callbacks, in the order in which they
/// were added.
#[inline]
pub fn flush(buffer: &impl Buffer) {
    let batch = buffer.batch();
    let calls = batch.calls.get();
    buffer.trace(Event::Flush {
        calls,
        bytes: batch.bytes.get(),
        callbacks: batch.callbacks.get(),
    });
    if calls != 0 {
        buffer.issue(calls as usize);
        // INVARIANT: Both are 0.
        batch.calls.set(0);
        batch.bytes.set(0);
    }
    while let Some(callback) = batch.next_callback() {
        buffer.call_back(callback);
    }
}

/// Gives a place as [`entry`] does, if that takes no flush.
#[inline]
pub fn entry_if_room<B: Buffer>(buffer: &B, bytes: usize) -> Option<Place> {
    let place = buffer.batch().entry(bytes).ok()?;
    buffer.trace(Event::Entry { bytes });
    Some(place)
}

/// Gives a place for a call with so many bytes of arguments, which begin at a multiple of 8. The
/// caller fills both before anything else is done with the batch. If the batch is full, `flush` is
/// called before.
///
/// None if the arguments would not fit in an empty batch either.
#[inline]
pub fn entry<B: Buffer>(buffer: &B, bytes: usize, flush: impl FnOnce()) -> Option<Place> {
    buffer.trace(Event::Entry { bytes });
    match buffer.batch().entry(bytes) {
        Ok(place) => Some(place),
        Err(full) => {
            buffer.trace(Event::Full(full));
            flush();
            buffer.batch().entry(bytes).ok()
        }
    }
}

/// Gives more bytes of arguments to the latest call, right behind those that it has, if it has this
/// number and there is room.
#[inline]
pub fn extend<B: Buffer>(buffer: &B, number: u64, bytes: usize) -> Option<Place> {
    let batch = buffer.batch();
    let place = match batch.latest() {
        Some(latest) if buffer.number(latest) == number => batch.extend(latest, bytes),
        _ => Err(NotExtended::OtherCall),
    };
    buffer.trace(Event::Extend {
        number,
        bytes,
        result: place.map(|_| ()),
    });
    place.ok()
}

/// Gives an index for a callback, below [`MAX_CALLBACKS`]. If there are as many already, `flush` is
/// called before. None if it has left no room: callbacks have added others.
#[inline]
pub fn callback<B: Buffer>(buffer: &B, flush: impl FnOnce()) -> Option<usize> {
    match buffer.batch().callback() {
        Ok(index) => Some(index),
        Err(full) => {
            buffer.trace(Event::Full(full));
            flush();
            buffer.batch().callback().ok()
        }
    }
}
