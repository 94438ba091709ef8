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
    /// The value cannot be parsed, or is out of range.
    Malformed,
    /// The xenstore returned this error, or could not be reached.
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
/// `bytes` is an allocation of `kmalloc` that this value owns, valid for reads of `len` bytes.
pub struct Value {
    bytes: NonNull<u8>,
    len: usize,
}

// SAFETY: By the type invariant the memory is owned; any task may free it.
unsafe impl Send for Value {}
// SAFETY: The memory does not change.
unsafe impl Sync for Value {}

impl Value {
    /// # Safety
    ///
    /// `bytes` is an allocation of `kmalloc`, valid for reads of `len` bytes, whose ownership is
    /// passed on.
    pub(super) unsafe fn from_raw(bytes: NonNull<u8>, len: usize) -> Self {
        // INVARIANT: By the requirements of this function.
        Self { bytes, len }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: By the type invariant `bytes` is valid for reads of `len` bytes as long as
        // `self`; nothing writes there.
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
        // SAFETY: By the type invariant `bytes` is an owned allocation of `kmalloc`.
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

/// A number in any of the bases of C's source, as the C driver reads it with `%i`.
pub struct Integer(pub u32);

impl FromStore for Integer {
    fn from_store(bytes: &[u8]) -> Option<Self> {
        number::integer(bytes)?.try_into().ok().map(Self)
    }
}

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
