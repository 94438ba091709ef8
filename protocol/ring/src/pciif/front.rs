// SPDX-License-Identifier: GPL-2.0

//! The front end's side of the page.

use super::answer::Pirqs;
use super::request::Request;
use super::{check_size, vector, Address, Answer, Recovery, Refusal, Report, Width};
use super::{AER_ERR, AER_HANDLER, BACK_ACTIVE, ERR, FLAGS, FRONT_ACTIVE, OP, VALUE};
use crate::{FlagMem, TooSmall};
use core::fmt;
use xen_abi::io::pciif::{MsixEntry, MAX_VECTORS};

/// The page, with at most one operation in flight. It does not lock and does not wait: the caller
/// keeps it under a lock, tells the back end of an operation by an event, and looks for the answer
/// when one comes back, or from time to time.
#[derive(Debug)]
pub struct FrontPage<M> {
    mem: M,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The front end owns the page, and may put an operation into it.
    Idle,
    /// The back end owns the page.
    InFlight(Asked),
    /// The back end owns the page, but the front end does not wait for the answer any more.
    Abandoned,
}

/// What was asked for, as far as the answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Read(Width),
    Pirq,
    Pirqs(usize),
    Nothing,
}

/// An operation is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the back end has to be sent an event"]
pub enum Started {
    /// As it should be.
    Normally,
    /// The back end has, after all, answered an operation that was abandoned before.
    BackToLife,
}

/// Why an operation was not put into the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// Another one is in flight.
    Busy,
    /// The back end has not answered one that was abandoned.
    Unanswered,
    /// The page cannot hold it: see [`Request::fits`].
    TooBig,
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotStarted::Busy => "another operation is in flight",
            NotStarted::Unanswered => "an earlier operation was not answered",
            NotStarted::TooBig => "the number of vectors is not 1 to 128",
        })
    }
}

impl core::error::Error for NotStarted {}

impl<M: FlagMem> FrontPage<M> {
    /// Takes over a page of zeroes and says in it that we handle errors of devices, so that a back end
    /// does not kill the domain instead.
    pub fn new(mem: M) -> Result<Self, TooSmall> {
        let mem = check_size(mem)?;
        mem.set_flags(FLAGS, AER_HANDLER);
        Ok(Self {
            mem,
            state: State::Idle,
        })
    }

    /// The memory.
    pub fn mem(&self) -> &M {
        &self.mem
    }

    /// Whether the front end waits for the answer to an operation.
    pub fn is_in_flight(&self) -> bool {
        matches!(self.state, State::InFlight(_))
    }

    /// Puts an operation on the function at `at` into the page. Send the back end an event then.
    pub fn start(&mut self, at: Address, request: &Request<'_>) -> Result<Started, NotStarted> {
        if !request.fits() {
            return Err(NotStarted::TooBig);
        }
        let started = match self.state {
            State::Idle => Started::Normally,
            State::InFlight(_) => return Err(NotStarted::Busy),
            State::Abandoned if self.is_answered() => Started::BackToLife,
            State::Abandoned => return Err(NotStarted::Unanswered),
        };
        self.mem.write(OP, &request.words(at));
        let asked = match request {
            Request::Read(register) => Asked::Read(register.width()),
            Request::EnableMsi => Asked::Pirq,
            Request::EnableMsix(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    // No vector yet: the back end fills that in.
                    let slot = MsixEntry {
                        vector: u16::MAX,
                        entry: *entry,
                    };
                    self.mem.write(vector(index), &slot);
                }
                Asked::Pirqs(entries.len())
            }
            Request::Write(..) | Request::DisableMsi | Request::DisableMsix => Asked::Nothing,
        };
        self.state = State::InFlight(asked);
        self.mem.set_flags(FLAGS, FRONT_ACTIVE);
        Ok(started)
    }

    /// Takes the answer to the operation in flight, if it is there.
    pub fn take(&mut self) -> Option<Result<Answer, Refusal>> {
        let State::InFlight(asked) = self.state else {
            return None;
        };
        if !self.is_answered() {
            return None;
        }
        self.state = State::Idle;
        Some(self.read(asked))
    }

    /// Gives up on the operation in flight. The page stays the back end's until it answers.
    pub fn abandon(&mut self) {
        if self.is_in_flight() {
            self.state = State::Abandoned;
        }
    }

    fn is_answered(&self) -> bool {
        self.mem.load_acquire(FLAGS) & FRONT_ACTIVE == 0
    }

    fn read(&self, asked: Asked) -> Result<Answer, Refusal> {
        Refusal::check(self.mem.read::<i32>(ERR))?;
        let value = || self.mem.read::<u32>(VALUE);
        match asked {
            Asked::Nothing => Ok(Answer::Done),
            Asked::Read(width) => Ok(Answer::Value(value() & width.mask())),
            Asked::Pirq => match u16::try_from(value()) {
                Ok(pirq) if pirq != 0 => Ok(Answer::Pirq(pirq)),
                _ => Err(Refusal::Nonsense),
            },
            Asked::Pirqs(count) => match value() as i32 {
                0 => self.read_pirqs(count),
                fewer if fewer > 0 && (fewer as usize) < count => Ok(Answer::Fewer(fewer as u16)),
                // Zero has its own arm, so there is a refusal.
                error => Err(Refusal::check(error).err().unwrap_or(Refusal::Nonsense)),
            },
        }
    }

    fn read_pirqs(&self, count: usize) -> Result<Answer, Refusal> {
        let mut pirqs = Pirqs {
            all: [0; MAX_VECTORS],
            count,
        };
        for (index, pirq) in pirqs.all.iter_mut().take(count).enumerate() {
            // The entry's number beside it is not read back: the back end may have changed it.
            *pirq = self.mem.read::<MsixEntry>(vector(index)).vector;
        }
        if !pirqs.are_sound() {
            return Err(Refusal::Nonsense);
        }
        Ok(Answer::Pirqs(pirqs))
    }

    /// Whether the back end reports an error of a device and waits for what we say to that.
    pub fn has_report(&self) -> bool {
        self.mem.load_acquire(FLAGS) & BACK_ACTIVE != 0
    }

    /// The report, or none if it is malformed. In either case, call [`reply`](Self::reply).
    pub fn report(&self) -> Option<Report> {
        Report::read(&self.mem)
    }

    /// Says how the device's driver takes it. Send the back end an event then.
    pub fn reply(&self, recovery: Recovery) {
        self.mem.write(AER_ERR, &(recovery as i32));
        self.mem.clear_flags(FLAGS, BACK_ACTIVE);
    }
}
