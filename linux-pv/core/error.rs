// SPDX-License-Identifier: GPL-2.0

//! Error numbers, which functions with C names return, and what hypercalls return.
//!
//! The kernel's own type has fewer constants in some of the series that objects are built for.

use kernel::{
    alloc::AllocError,
    bindings as k,
    ffi::c_int, //
};

use xen_hypercall::Errno;

/// An error number, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(c_int);

/// A result with an error number.
pub type Result<T = ()> = core::result::Result<T, Error>;

/// Defines constants with C's names.
macro_rules! numbers {
    ($($name:ident)*) => {
        impl Error {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub const $name: Self = Self(k::$name as c_int);
            )*
        }
    };
}

numbers! {
    EAGAIN EEXIST EFAULT EINVAL EIO ENODEV ENOENT ENOMEM ENOSPC ENOSYS ENOTCONN ESRCH
}

impl Error {
    /// The result of a C function: a number, or a negative error number.
    #[inline]
    pub fn check(result: c_int) -> Result<u32> {
        u32::try_from(result).map_err(|_| Self::from_raw(result))
    }

    /// From a negative error number.
    #[inline]
    pub const fn from_raw(number: c_int) -> Self {
        Self(number.wrapping_neg())
    }

    /// The number, negative.
    #[inline]
    pub const fn to_raw(self) -> c_int {
        self.0.wrapping_neg()
    }

    /// The number, negative, for functions that return how many bytes they have read or written.
    #[inline]
    pub const fn to_raw_size(self) -> isize {
        self.to_raw() as isize
    }
}

impl From<Errno> for Error {
    #[inline]
    fn from(error: Errno) -> Self {
        Self(error.number())
    }
}

impl From<AllocError> for Error {
    #[inline]
    fn from(_: AllocError) -> Self {
        Self::ENOMEM
    }
}

/// What a C function returns for a result: the number, or a negative error number.
#[inline]
pub fn to_raw(result: Result<u32>) -> c_int {
    match result {
        Ok(number) => number as c_int,
        Err(error) => error.to_raw(),
    }
}

/// What a C function returns that returns nothing but whether it has failed.
#[inline]
pub fn to_status(result: Result) -> c_int {
    to_raw(result.map(|()| 0))
}
