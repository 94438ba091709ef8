// SPDX-License-Identifier: GPL-2.0

//! What a request asks for, and the outcome its response reports.

use crate::Corrupt;
use xen_abi::io::blkif::{op, rsp, Response};

/// What a request asks the back end to do. In memory it is its number, which costs less to get at
/// than a number of the compiler's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// Reads into the segments.
    Read = op::READ,
    /// Writes the segments.
    Write = op::WRITE,
    /// Writes the segments, if any, after all earlier writes and before all later ones, and to
    /// stable storage (`feature-barrier`).
    Barrier = op::WRITE_BARRIER,
    /// Makes completed writes stable (`feature-flush-cache`).
    Flush = op::FLUSH_DISKCACHE,
    /// Tells that the data are no longer needed (`feature-discard`).
    Discard {
        /// No copy of them may remain (`discard-secure`).
        secure: bool,
    } = op::DISCARD,
}

impl Operation {
    /// The number of the operation that a response echoes. For an indirect request that is the
    /// number of what it does, not [`op::INDIRECT`].
    #[inline]
    pub const fn number(self) -> u8 {
        match self {
            Operation::Read => op::READ,
            Operation::Write => op::WRITE,
            Operation::Barrier => op::WRITE_BARRIER,
            Operation::Flush => op::FLUSH_DISKCACHE,
            Operation::Discard { .. } => op::DISCARD,
        }
    }

    /// Whether the back end may answer that it does not support the operation, although it
    /// offered it. What is asked of the disk then has to be done without, or fail.
    #[inline]
    pub const fn is_optional(self) -> bool {
        !matches!(self, Operation::Read | Operation::Write)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Failed; nothing is known about the data.
    Failed,
    /// An optional operation is not supported after all: stop using it.
    Unsupported,
}

impl Outcome {
    /// Reads the outcome from a response to a request that asked for `asked`.
    ///
    /// The caller has matched the id already, see [`crate::TagTable::complete`]. A response for
    /// another operation or with a status that does not exist is a violation.
    #[inline]
    pub fn of(response: &Response, asked: Operation) -> Result<Outcome, Corrupt> {
        if response.operation != asked.number() {
            return Err(Corrupt::WrongOperation {
                id: response.id,
                asked: asked.number(),
                answered: response.operation,
            });
        }
        match response.status {
            rsp::OKAY => Ok(Outcome::Done),
            rsp::ERROR => Ok(Outcome::Failed),
            rsp::EOPNOTSUPP if asked.is_optional() => Ok(Outcome::Unsupported),
            rsp::EOPNOTSUPP => Ok(Outcome::Failed),
            status => Err(Corrupt::UnknownStatus {
                id: response.id,
                status: status.into(),
            }),
        }
    }

    /// The status that a back end sends.
    #[inline]
    pub const fn status(self) -> i16 {
        match self {
            Outcome::Done => rsp::OKAY,
            Outcome::Failed => rsp::ERROR,
            Outcome::Unsupported => rsp::EOPNOTSUPP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(operation: u8, status: i16) -> Response {
        Response {
            id: 7,
            operation,
            status,
            ..Response::default()
        }
    }

    #[test]
    fn a_response_must_be_for_the_operation_that_was_asked() {
        let all = [
            Operation::Read,
            Operation::Write,
            Operation::Barrier,
            Operation::Flush,
            Operation::Discard { secure: true },
        ];
        for asked in all {
            for answered in 0..=255 {
                let outcome = Outcome::of(&answer(answered, rsp::OKAY), asked);
                let expected = if answered == asked.number() {
                    Ok(Outcome::Done)
                } else {
                    Err(Corrupt::WrongOperation {
                        id: 7,
                        asked: asked.number(),
                        answered,
                    })
                };
                assert_eq!(outcome, expected);
            }
        }
    }

    #[test]
    fn only_the_three_statuses_of_the_protocol_are_taken() {
        for status in i16::MIN..=i16::MAX {
            let outcome = Outcome::of(&answer(op::FLUSH_DISKCACHE, status), Operation::Flush);
            match outcome {
                Ok(outcome) => assert_eq!(outcome.status(), status),
                Err(corrupt) => {
                    assert!(!(-2..=0).contains(&status));
                    let status = status.into();
                    assert_eq!(corrupt, Corrupt::UnknownStatus { id: 7, status });
                }
            }
        }
    }

    #[test]
    fn a_read_that_is_not_supported_has_failed() {
        let response = answer(op::READ, rsp::EOPNOTSUPP);
        assert_eq!(Outcome::of(&response, Operation::Read), Ok(Outcome::Failed));
    }
}
