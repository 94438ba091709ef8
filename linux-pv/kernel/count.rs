// SPDX-License-Identifier: GPL-2.0

//! Counters of a driver, with names.

use core::cell::UnsafeCell;

use kernel::{
    fmt,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A counter that can be read.
pub trait Number {
    /// The current value.
    fn get(&self) -> u64;
}

/// For counters that are read under a lock.
impl Number for u64 {
    #[inline]
    fn get(&self) -> u64 {
        *self
    }
}

/// A counter with one writer at a time, which is read without a lock. For hot paths: `READ_ONCE`
/// and `WRITE_ONCE`, where [`Atomic`] would call a function for each access.
#[derive(Default)]
pub struct Counter(UnsafeCell<u64>);

// SAFETY: All accesses are volatile accesses of an aligned word, which do not tear.
unsafe impl Sync for Counter {}

impl Counter {
    /// Adds to it.
    #[inline]
    pub fn add(&self, count: u64) {
        // SAFETY: The pointer is valid; concurrent accesses are volatile too.
        unsafe { self.0.get().write_volatile(self.get().wrapping_add(count)) }
    }

    /// Adds one.
    #[inline]
    pub fn one(&self) {
        self.add(1);
    }
}

impl Number for Counter {
    #[inline]
    fn get(&self) -> u64 {
        // SAFETY: The pointer is valid; concurrent accesses are volatile too.
        unsafe { self.0.get().read_volatile() }
    }
}

/// A counter with any number of writers. Any context.
pub struct SharedCounter(Atomic<u64>);

impl Default for SharedCounter {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedCounter {
    /// Zero.
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Adds to it.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.add(count, Relaxed);
    }

    /// Adds one.
    #[inline]
    pub fn one(&self) {
        self.add(1);
    }

    /// Raises it to `value` if it is lower.
    #[inline]
    pub fn at_least(&self, value: u64) {
        let mut current = self.0.load(Relaxed);
        while current < value {
            match self.0.cmpxchg(current, value, Relaxed) {
                Ok(_) => break,
                Err(other) => current = other,
            }
        }
    }
}

impl Number for SharedCounter {
    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The number of objects of a kind that exist. Any context.
pub struct Live(Atomic<i64>);

impl Live {
    /// Zero.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// `count` objects were made.
    #[inline]
    pub fn add(&self, count: usize) {
        self.0.add(count as i64, Relaxed);
    }

    /// `count` objects were dropped.
    #[inline]
    pub fn sub(&self, count: usize) {
        self.0.add(-(count as i64), Relaxed);
    }

    /// The current number.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Counters with names, made by [`counters!`](crate::counters).
pub trait Counts {
    /// Calls `f` with each name and value, in the order of definition, until it fails.
    fn each<E>(
        &self,
        f: impl FnMut(&'static str, u64) -> core::result::Result<(), E>,
    ) -> core::result::Result<(), E>;

    /// Prints a line `name value` for each.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.each(|name, value| writeln!(f, "{name} {value}"))
    }
}

/// Defines a structure of counters of one type, which is a [`Number`]. It implements [`Counts`].
#[macro_export]
macro_rules! counters {
    (
        $(#[$doc:meta])*
        $vis:vis struct $structure:ident: $number:ty {
            $($(#[$name_doc:meta])* $name:ident),* $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Default)]
        $vis struct $structure {
            $($(#[$name_doc])* $vis $name: $number,)*
        }

        impl $crate::count::Counts for $structure {
            fn each<E>(
                &self,
                mut f: impl FnMut(&'static str, u64) -> core::result::Result<(), E>,
            ) -> core::result::Result<(), E> {
                $(f(stringify!($name), $crate::count::Number::get(&self.$name))?;)*
                Ok(())
            }
        }
    };
}
