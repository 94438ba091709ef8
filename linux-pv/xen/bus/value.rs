// SPDX-License-Identifier: GPL-2.0

//! Values read from the xenstore, and what can be wrong with them.

use core::ptr::NonNull;
use kernel::prelude::*;
use xen_ring::xenstore::number;

/// What was wrong with a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// There is no such key.
    Missing,
    /// The value is not what it has to be, such as a number in range.
    Malformed,
    /// The xenstore said no, or could not be asked.
    Store(Error),
}

/// An error reading or writing a key, with the key's name (its first 31 bytes) for the message.
#[derive(Clone, Copy)]
pub struct StoreError {
    problem: Problem,
    key: [u8; 32],
}

impl StoreError {
    pub(super) fn new(problem: Problem, key: &CStr) -> Self {
        let mut name = [0; 32];
        for (to, from) in name.iter_mut().take(31).zip(key.to_bytes()) {
            *to = *from;
        }
        Self { problem, key: name }
    }

    pub(super) fn from_errno(error: Error, key: &CStr) -> Self {
        let problem = if error == ENOENT {
            Problem::Missing
        } else {
            Problem::Store(error)
        };
        Self::new(problem, key)
    }

    /// Whether the key does not exist.
    pub fn is_missing(&self) -> bool {
        self.problem == Problem::Missing
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        match error.problem {
            Problem::Missing => ENOENT,
            Problem::Malformed => ERANGE,
            Problem::Store(errno) => errno,
        }
    }
}

impl kernel::fmt::Display for StoreError {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        let end = self.key.iter().position(|&b| b == 0).unwrap_or(0);
        let key = core::str::from_utf8(&self.key[..end]).unwrap_or("?");
        f.write_str(key)?;
        match self.problem {
            Problem::Missing => f.write_str(" is missing"),
            Problem::Malformed => f.write_str(" is malformed"),
            Problem::Store(errno) => f.write_fmt(fmt!(": xenstore error {}", errno.to_errno())),
        }
    }
}

impl core::fmt::Debug for StoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        kernel::fmt::Display::fmt(self, f)
    }
}

/// The bytes of one key, at most 4096 of them, as the other end or the toolstack wrote them.
///
/// # Invariants
///
/// `bytes` is an allocation by `kmalloc` that is owned by this and valid for `len` bytes.
pub struct Value {
    bytes: NonNull<u8>,
    len: usize,
}

// SAFETY: Owned, immutable memory.
unsafe impl Send for Value {}
// SAFETY: As above.
unsafe impl Sync for Value {}

impl Value {
    /// # Safety
    ///
    /// `bytes` is from `kmalloc`, valid for `len` bytes, and nobody else's.
    pub(super) unsafe fn from_raw(bytes: NonNull<u8>, len: usize) -> Self {
        Self { bytes, len }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: By the type invariant.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { kernel::bindings::kfree(self.bytes.as_ptr().cast()) }
    }
}

/// Types a key's value can be read as.
pub trait FromStore: Sized {
    /// Converts the bytes of a value, or says that they are malformed.
    fn from_store(bytes: &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(
            /// A decimal number and nothing else.
            impl FromStore for $type {
                fn from_store(bytes: &[u8]) -> Option<Self> {
                    number::decimal(bytes)?.try_into().ok()
                }
            }
        )*
    };
}

numbers!(u8, u16, u32, u64);

/// A feature flag: zero is off, any other number on.
impl FromStore for bool {
    fn from_store(bytes: &[u8]) -> Option<Self> {
        u32::from_store(bytes).map(|number| number != 0)
    }
}

impl FromStore for super::State {
    fn from_store(bytes: &[u8]) -> Option<Self> {
        u32::from_store(bytes).map(super::state_of)
    }
}
