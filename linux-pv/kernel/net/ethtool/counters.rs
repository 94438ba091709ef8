// SPDX-License-Identifier: GPL-2.0

//! Counters that `ethtool -S` shows.

use kernel::bindings as k;

/// Bytes of a counter's name with its terminator (`ETH_GSTRING_LEN`).
pub(super) const NAME_LEN: usize = k::ETH_GSTRING_LEN as usize;

/// Collects the counters that `ethtool -S` shows, always in the same order.
pub struct Counters<'a>(pub(super) Sink<'a>);

/// What is collected: the number of counters, their names, or their values.
pub(super) enum Sink<'a> {
    Count(&'a mut usize),
    Names(&'a mut [[u8; NAME_LEN]]),
    Values(&'a mut [u64]),
}

impl Counters<'_> {
    /// Adds a counter. A name that is too long is truncated.
    pub fn add(&mut self, name: kernel::fmt::Arguments<'_>, value: u64) {
        match &mut self.0 {
            Sink::Count(count) => **count += 1,
            Sink::Names(names) => {
                if let Some((first, rest)) = core::mem::take(names).split_first_mut() {
                    *first = [0; NAME_LEN];
                    let mut text = Truncated {
                        into: first,
                        len: 0,
                    };
                    let _ = kernel::fmt::Write::write_fmt(&mut text, name);
                    *names = rest;
                }
            }
            Sink::Values(values) => {
                if let Some((first, rest)) = core::mem::take(values).split_first_mut() {
                    *first = value;
                    *values = rest;
                }
            }
        }
    }
}

/// A buffer for a name, which truncates it. The last byte stays zero.
struct Truncated<'a> {
    into: &'a mut [u8; NAME_LEN],
    len: usize,
}

impl kernel::fmt::Write for Truncated<'_> {
    fn write_str(&mut self, text: &str) -> kernel::fmt::Result {
        for byte in text.bytes() {
            if self.len + 1 < NAME_LEN {
                self.into[self.len] = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}
