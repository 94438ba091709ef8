// SPDX-License-Identifier: GPL-2.0

//! Names of keys and folders in the xenstore.

use core::ops::Deref;

use kernel::{
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    str::NullTerminatedFormatter, //
};

/// Longest absolute path the xenstore takes (`XENSTORE_ABS_PATH_MAX` of `io/xs_wire.h`), without
/// the terminating zero.
pub(super) const LONGEST_PATH: usize = 3072;

/// Checks that `dir/key` fits into the xenstore.
pub(super) fn check_length(dir: &CStr, key: &CStr) -> Result {
    let length = dir.to_bytes().len() + 1 + key.to_bytes().len();
    if length > LONGEST_PATH {
        return Err(E2BIG);
    }
    Ok(())
}

/// The name of a key that is put together at run time, such as `ring-ref3`; at most 63 bytes. It
/// lives on the stack and is used wherever a `&CStr` is.
pub struct Key([u8; 64]);

impl Key {
    /// Formats a key: `Key::new(fmt!("ring-ref{}", i))?`.
    ///
    /// # Errors
    ///
    /// `E2BIG` if it does not fit, `EINVAL` if it contains a zero byte.
    pub fn new(args: fmt::Arguments<'_>) -> Result<Self> {
        let mut key = Self([0; 64]);
        let mut f = NullTerminatedFormatter::new(&mut key.0).ok_or(E2BIG)?;
        f.write_fmt(args).map_err(|_| E2BIG)?;
        // A zero byte inside would silently name another key.
        let end = key.0.iter().position(|&b| b == 0).ok_or(E2BIG)?;
        if key.0[end..].iter().any(|&b| b != 0) {
            return Err(EINVAL);
        }
        Ok(key)
    }
}

impl Deref for Key {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        // `new` has left a zero byte at the end, so the default is never taken.
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// An absolute path in the xenstore, owned.
pub struct Path(KVec<u8>);

impl Path {
    /// A copy of `dir`. May sleep.
    pub fn new(dir: &CStr) -> Result<Self> {
        check_length(dir, c"")?;
        let mut bytes = KVec::with_capacity(dir.to_bytes_with_nul().len(), GFP_KERNEL)?;
        bytes.extend_from_slice(dir.to_bytes_with_nul(), GFP_KERNEL)?;
        Ok(Self(bytes))
    }

    /// The path of `key` below `dir`. May sleep.
    pub fn join(dir: &CStr, key: &CStr) -> Result<Self> {
        check_length(dir, key)?;
        let (dir, key) = (dir.to_bytes(), key.to_bytes_with_nul());
        let mut bytes = KVec::with_capacity(dir.len() + 1 + key.len(), GFP_KERNEL)?;
        bytes.extend_from_slice(dir, GFP_KERNEL)?;
        bytes.extend_from_slice(b"/", GFP_KERNEL)?;
        bytes.extend_from_slice(key, GFP_KERNEL)?;
        Ok(Self(bytes))
    }
}

impl Deref for Path {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        // Both constructors end with a zero byte, so the default is never taken.
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}
