// SPDX-License-Identifier: GPL-2.0

//! The outcomes of ring calls: violations by the peer, flow control, and the duty to notify.

use core::fmt;

/// The peer broke the protocol. The ring or device that says so stays in that state.
///
/// The numbers are what was seen, for the one log line a driver prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// `rsp_prod` claims more responses than there are published requests to answer.
    ResponseIndex {
        /// The `rsp_prod` the peer wrote.
        claimed: u32,
        /// Responses consumed so far.
        consumed: u32,
        /// Requests published so far.
        published: u32,
    },
    /// `req_prod` claims more requests than the ring has slots for.
    RequestIndex {
        /// The `req_prod` the peer wrote.
        claimed: u32,
        /// Requests consumed so far.
        consumed: u32,
        /// Responses published or queued so far.
        answered: u32,
    },
    /// A response carries an id that was never given out, or not by this table.
    UnknownId(u64),
    /// A response carries an id whose request was completed before: a duplicate or a replay.
    StaleId(u64),
    /// A response is for another operation than the request with its id asked for.
    WrongOperation {
        /// Id of the response.
        id: u64,
        /// Operation asked for.
        asked: u8,
        /// Operation the response names.
        answered: u8,
    },
    /// A response has a status the protocol does not define.
    UnknownStatus {
        /// Id of the response.
        id: u64,
        /// The status it carries.
        status: i32,
    },
    /// The indices of a ring of bytes are further apart than the ring is long.
    ByteIndex {
        /// The index of what was written.
        prod: u32,
        /// The index of what was read.
        cons: u32,
    },
    /// Some other rule of the protocol on top was broken; the text says which.
    Protocol(&'static str),
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Corrupt::ResponseIndex {
                claimed,
                consumed,
                published,
            } => write!(
                f,
                "illegal number of responses: rsp_prod {claimed}, \
                 but {consumed} consumed of {published} requests"
            ),
            Corrupt::RequestIndex {
                claimed,
                consumed,
                answered,
            } => write!(
                f,
                "illegal number of requests: req_prod {claimed}, \
                 but {consumed} consumed and {answered} answered"
            ),
            Corrupt::UnknownId(id) => write!(f, "response has incorrect id {id:#x}"),
            Corrupt::StaleId(id) => {
                write!(f, "response references no pending request (id {id:#x})")
            }
            Corrupt::WrongOperation {
                id,
                asked,
                answered,
            } => write!(
                f,
                "response to id {id:#x} has wrong operation {answered} instead of {asked}"
            ),
            Corrupt::UnknownStatus { id, status } => {
                write!(f, "response to id {id:#x} has unknown status {status}")
            }
            Corrupt::ByteIndex { prod, cons } => {
                write!(f, "illegal ring indices: prod {prod}, cons {cons}")
            }
            Corrupt::Protocol(rule) => f.write_str(rule),
        }
    }
}

impl core::error::Error for Corrupt {}

/// Why a message was not put on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// Flow control: no slot is free until the peer makes progress.
    Full,
    /// The ring is in its error state.
    Corrupt(Corrupt),
}

impl From<Corrupt> for PushError {
    fn from(corrupt: Corrupt) -> Self {
        PushError::Corrupt(corrupt)
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PushError::Full => f.write_str("the ring is full"),
            PushError::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl core::error::Error for PushError {}

/// The memory has no room for the header and one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall;

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the memory is too small for a ring header and one slot")
    }
}

impl core::error::Error for TooSmall {}

/// Whether the peer asked to be notified of what was just published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a notification that is not sent leaves the peer asleep"]
pub enum Notify {
    /// The peer is awake and will look at the ring by itself.
    No,
    /// Send an event on the ring's event channel.
    Yes,
}

impl Notify {
    /// True if an event has to be sent.
    #[inline]
    pub fn needed(self) -> bool {
        self == Notify::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_violation_is_logged_with_the_numbers_that_were_seen() {
        let texts = [
            (
                Corrupt::ResponseIndex {
                    claimed: 9,
                    consumed: 3,
                    published: 5,
                },
                "illegal number of responses: rsp_prod 9, but 3 consumed of 5 requests",
            ),
            (
                Corrupt::RequestIndex {
                    claimed: 9,
                    consumed: 3,
                    answered: 2,
                },
                "illegal number of requests: req_prod 9, but 3 consumed and 2 answered",
            ),
            (Corrupt::UnknownId(0x1f), "response has incorrect id 0x1f"),
            (
                Corrupt::StaleId(0x1f),
                "response references no pending request (id 0x1f)",
            ),
            (
                Corrupt::WrongOperation {
                    id: 0x1f,
                    asked: 1,
                    answered: 5,
                },
                "response to id 0x1f has wrong operation 5 instead of 1",
            ),
            (
                Corrupt::UnknownStatus {
                    id: 0x1f,
                    status: -7,
                },
                "response to id 0x1f has unknown status -7",
            ),
            (
                Corrupt::ByteIndex { prod: 9, cons: 10 },
                "illegal ring indices: prod 9, cons 10",
            ),
            (Corrupt::Protocol("a rule is broken"), "a rule is broken"),
        ];
        for (corrupt, text) in texts {
            assert_eq!(corrupt.to_string(), text);
            assert_eq!(PushError::from(corrupt).to_string(), text);
        }
        assert_eq!(PushError::Full.to_string(), "the ring is full");
        let small = "the memory is too small for a ring header and one slot";
        assert_eq!(TooSmall.to_string(), small);
    }
}
