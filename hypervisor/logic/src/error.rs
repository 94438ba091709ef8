// SPDX-License-Identifier: GPL-2.0

//! Error numbers that hypercalls return.

use core::fmt;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One of Xen's error numbers (`errno.h`), as a positive number.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct Errno(i32);

        #[allow(missing_docs, reason = "they are documented in xen_abi::errno")]
        impl Errno {
            $(pub const $name: Self = Self(xen_abi::errno::$name);)*
        }

        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    Self(other) => write!(f, "errno {other}"),
                }
            }
        }
    };
}

errnos! {
    EPERM, ENOENT, ESRCH, EIO, ENXIO, E2BIG, EBADF, EAGAIN, ENOMEM, EACCES, EFAULT, EBUSY, EEXIST, EXDEV, ENODEV,
    EINVAL, ENOSPC, EROFS, EDOM, ERANGE, ENAMETOOLONG, ENOSYS, ENODATA, ETIME, EOVERFLOW, EILSEQ, EOPNOTSUPP,
    ENOBUFS,
}

impl Errno {
    /// The number itself, positive.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The return value of a hypercall that fails with it: the negated number, sign-extended to a register.
    pub const fn register(self) -> u64 {
        (-(self.0 as i64)) as u64
    }
}

/// Result of an operation on behalf of a guest.
pub type Result<T> = core::result::Result<T, Errno>;
