// SPDX-License-Identifier: GPL-2.0

//! Errors that are answers: what went wrong, and how the backend is notified of it.

use kernel::{
    alloc::AllocError,
    prelude::*, //
};

use kernel_ext::show::Show;
use xen_ring::Corrupt;

use super::StoreError;

/// What the other end gets to know of a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing; it is our own business.
    Silent,
    /// A message in the xenstore (`error/…`), and the device goes on (`xenbus_dev_error`).
    Error,
    /// A message, and the device goes to state Closing (`xenbus_dev_fatal`).
    Fatal,
}

/// A failure of a device, with the answer to it. A callback of a driver returns it with `?`, and
/// the bus gives the answer; elsewhere use [`Device::answer`](super::Device::answer).
///
/// An error that is converted without further words is fatal for the device.
#[derive(Clone, Copy)]
pub struct Failure {
    answer: Answer,
    source: Source,
    what: &'static str,
}

#[derive(Clone, Copy)]
enum Source {
    Errno(Error),
    Store(StoreError),
    Ring(Corrupt),
}

impl Failure {
    /// A failure that the other end is not told about.
    pub fn silent(errno: Error) -> Self {
        Self::new(Answer::Silent, Source::Errno(errno), "")
    }

    /// The other end has broken the protocol: `what` it did, as in "response with unknown id".
    pub fn protocol(what: &'static str) -> Self {
        Self::new(Answer::Fatal, Source::Errno(EIO), what)
    }

    fn new(answer: Answer, source: Source, what: &'static str) -> Self {
        Self {
            answer,
            source,
            what,
        }
    }

    /// What the user can do about it, as the end of a message.
    fn remedy(&self) -> &'static str {
        match self.source {
            // The hypervisor has limits for both, and the toolstack sets them for each domain.
            Source::Errno(errno) if errno == ENOSPC => {
                ": none are left, raise the domain's max_grant_frames or max_event_channels"
            }
            _ => "",
        }
    }

    /// The answer the other end gets.
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// The kernel's error number for it.
    pub fn errno(&self) -> Error {
        match self.source {
            Source::Errno(errno) => errno,
            Source::Store(error) => error.into(),
            Source::Ring(_) => EIO,
        }
    }
}

impl kernel::fmt::Display for Failure {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        f.write_str(self.what)?;
        match &self.source {
            // The number stands before the message anyway.
            Source::Errno(_) if !self.what.is_empty() => {}
            Source::Errno(errno) => f.write_fmt(fmt!("error {}", errno.to_errno()))?,
            Source::Store(error) if self.what.is_empty() => f.write_fmt(fmt!("{}", error))?,
            Source::Store(error) => f.write_fmt(fmt!(": {}", error))?,
            Source::Ring(corrupt) if self.what.is_empty() => {
                f.write_fmt(fmt!("{}", Show(corrupt)))?
            }
            Source::Ring(corrupt) => f.write_fmt(fmt!(": {}", Show(corrupt)))?,
        }
        f.write_str(self.remedy())
    }
}

impl core::fmt::Debug for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        kernel::fmt::Display::fmt(self, f)
    }
}

impl From<Error> for Failure {
    fn from(errno: Error) -> Self {
        Self::new(Answer::Fatal, Source::Errno(errno), "")
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Answer::Fatal, Source::Store(error), "")
    }
}

impl From<Corrupt> for Failure {
    fn from(corrupt: Corrupt) -> Self {
        Self::new(Answer::Fatal, Source::Ring(corrupt), "")
    }
}

impl From<AllocError> for Failure {
    fn from(_: AllocError) -> Self {
        Self::from(ENOMEM)
    }
}

/// Says what a result's error means for the device.
pub trait OrFail<T> {
    /// The device cannot go on. `what` was being done, as in "reading backend fields".
    fn or_fatal(self, what: &'static str) -> Result<T, Failure>;
    /// The other end gets a message, and the device goes on.
    fn or_error(self, what: &'static str) -> Result<T, Failure>;
    /// The other end is not told.
    fn or_silent(self) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> OrFail<T> for Result<T, E> {
    fn or_fatal(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(Answer::Fatal, e.into().source, what))
    }

    fn or_error(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(Answer::Error, e.into().source, what))
    }

    fn or_silent(self) -> Result<T, Failure> {
        self.map_err(|e| {
            let failure = e.into();
            Failure::new(Answer::Silent, failure.source, failure.what)
        })
    }
}
