// SPDX-License-Identifier: GPL-2.0

//! What is in the nodes that another end has written, and what to say of those that are bad.

use super::number::decimal;
use core::fmt;

/// A node without which there is no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadNode {
    /// Its name.
    pub key: &'static str,
    /// What is wrong.
    pub why: BadNodeWhy,
}

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNodeWhy {
    /// It is not there.
    Missing,
    /// It is not a decimal number.
    NotANumber,
    /// The number is not a valid value of this node.
    OutOfRange(u64),
}

impl fmt::Display for BadNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key;
        match self.why {
            BadNodeWhy::Missing => write!(f, "the back end has not written {key}"),
            BadNodeWhy::NotANumber => write!(f, "the back end's {key} is not a number"),
            BadNodeWhy::OutOfRange(value) => {
                write!(f, "the back end's {key} is {value}, which is out of range")
            }
        }
    }
}

impl core::error::Error for BadNode {}

/// The number in a node that is optional: none if it is not there or is no number.
pub(crate) fn number<V: AsRef<[u8]>>(value: Option<V>) -> Option<u64> {
    decimal(value?.as_ref())
}

/// The number in a node that is needed.
pub(crate) fn needed<V: AsRef<[u8]>>(key: &'static str, value: Option<V>) -> Result<u64, BadNode> {
    let bad = |why| BadNode { key, why };
    let value = value.ok_or(bad(BadNodeWhy::Missing))?;
    decimal(value.as_ref()).ok_or(bad(BadNodeWhy::NotANumber))
}

/// The error for a number that is.
pub(crate) fn out_of_range(key: &'static str, value: u64) -> BadNode {
    BadNode {
        key,
        why: BadNodeWhy::OutOfRange(value),
    }
}

/// The number, put into bounds.
pub(crate) fn clamp(value: u64, least: u32, most: u32) -> u32 {
    u32::try_from(value).unwrap_or(most).clamp(least, most)
}
