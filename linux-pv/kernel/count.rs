// SPDX-License-Identifier: GPL-2.0

//! What a driver counts, with names.

use core::cell::UnsafeCell;

use kernel::{
    fmt,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A number that is counted up, and can be read.
pub trait Number {
    /// The present value.
    fn get(&self) -> u64;
}

/// One that whoever reads it has locked, too.
impl Number for u64 {
    #[inline]
    fn get(&self) -> u64 {
        *self
    }
}

/// A number that has one writer at a time, and is read without a lock.
///
/// Counting is in the hot paths, so it is two plain instructions, C's `READ_ONCE` and `WRITE_ONCE`:
/// [`Atomic`] calls a function for each.
#[derive(Default)]
pub struct Counter(UnsafeCell<u64>);

// SAFETY: All accesses are volatile ones of a whole aligned word, which do not tear.
unsafe impl Sync for Counter {}

impl Counter {
    /// Adds to it.
    #[inline]
    pub fn add(&self, count: u64) {
        // SAFETY: The pointer is valid, and all accesses are volatile.
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
        // SAFETY: The pointer is valid, and all accesses are volatile.
        unsafe { self.0.get().read_volatile() }
    }
}

/// A number that anybody may add to, in an interrupt too.
pub struct SharedCounter(Atomic<u64>);

impl Default for SharedCounter {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedCounter {
    /// None yet.
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

    /// Makes it at least so much.
    #[inline]
    pub fn at_least(&self, value: u64) {
        let mut present = self.0.load(Relaxed);
        while present < value {
            match self.0.cmpxchg(present, value, Relaxed) {
                Ok(_) => break,
                Err(other) => present = other,
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

/// How many objects of a kind exist. Any context.
pub struct Live(Atomic<i64>);

impl Live {
    /// None yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// `count` more exist.
    #[inline]
    pub fn add(&self, count: usize) {
        self.0.add(count as i64, Relaxed);
    }

    /// `count` fewer exist.
    #[inline]
    pub fn sub(&self, count: usize) {
        self.0.add(-(count as i64), Relaxed);
    }

    /// How many there are now.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Numbers with names, made by [`counters!`](crate::counters).
pub trait Counts {
    /// Tells names and values, in the order of their definition.
    ///
    /// # Errors
    ///
    /// The first that `tell` returns, which ends it.
    fn each<E>(
        &self,
        tell: impl FnMut(&'static str, u64) -> core::result::Result<(), E>,
    ) -> core::result::Result<(), E>;

    /// Writes one `name value` a line.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.each(|name, value| writeln!(f, "{name} {value}"))
    }
}

/// Defines a structure of numbers of one type, a [`Number`], that [`Counts`].
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
                mut tell: impl FnMut(&'static str, u64) -> core::result::Result<(), E>,
            ) -> core::result::Result<(), E> {
                $(tell(stringify!($name), $crate::count::Number::get(&self.$name))?;)*
                Ok(())
            }
        }
    };
}
