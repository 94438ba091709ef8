// SPDX-License-Identifier: GPL-2.0

//! What a frontend did wrong, apart from what merely went wrong for a backend that asked for it.

use std::error::Error;
use std::fmt;
use std::io;

/// The frontend is at fault.
#[derive(Debug)]
struct Finding(String);

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Finding {}

/// An error that says what the frontend did wrong.
pub fn finding(what: impl Into<String>) -> io::Error {
    io::Error::other(Finding(what.into()))
}

/// Whether an error says that.
pub fn is_finding(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Finding>())
}
