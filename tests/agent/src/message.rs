// SPDX-License-Identifier: GPL-2.0

//! What the host asks of an agent and what the agent answers; each message is the body of one frame.

mod codec;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::fmt;

pub use reply::Reply;
pub use request::Request;

/// The protocol's version: host and agent are built from the same tree, so anything else is a stale image.
pub const VERSION: u32 = 1;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With a status.
    Code(u8),
    /// By a signal.
    Signal(u8),
    /// Killed by the agent because its time was over.
    TimedOut,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "ended with status {code}"),
            Exit::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Exit::TimedOut => f.write_str("did not end in time"),
        }
    }
}

/// A body that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a message of the agent cannot be understood (is the image older than the tool?)",
        )
    }
}

impl std::error::Error for Malformed {}
