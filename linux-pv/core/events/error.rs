// SPDX-License-Identifier: GPL-2.0

//! Error numbers, which functions with C names return.

use kernel::{
    bindings as k,
    ffi::c_int, //
};

use xen_hypercall::Errno;

/// An error number, positive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error(c_int);

/// A result with an error number.
pub(crate) type Result<T = ()> = core::result::Result<T, Error>;

impl Error {
    pub(crate) const NO_MEMORY: Self = Self(k::ENOMEM as c_int);
    pub(crate) const INVALID: Self = Self(k::EINVAL as c_int);
    pub(crate) const NO_ENTRY: Self = Self(k::ENOENT as c_int);
    pub(crate) const EXISTS: Self = Self(k::EEXIST as c_int);
    pub(crate) const NO_SPACE: Self = Self(k::ENOSPC as c_int);
    pub(crate) const NO_PROCESS: Self = Self(k::ESRCH as c_int);
    pub(crate) const NOT_IMPLEMENTED: Self = Self(k::ENOSYS as c_int);

    /// The result of a C function: a number, or a negative error number.
    pub(crate) fn check(result: c_int) -> Result<u32> {
        u32::try_from(result).map_err(|_| Self(result.wrapping_neg()))
    }

    /// The number, negative.
    pub(crate) fn to_raw(self) -> c_int {
        self.0.wrapping_neg()
    }
}

impl From<Errno> for Error {
    fn from(error: Errno) -> Self {
        Self(error.number())
    }
}

/// What a C function returns for a result: the number, or a negative error number.
pub(crate) fn to_raw(result: Result<u32>) -> c_int {
    match result {
        Ok(number) => number as c_int,
        Err(error) => error.to_raw(),
    }
}
