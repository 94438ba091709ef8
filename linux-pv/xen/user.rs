// SPDX-License-Identifier: GPL-2.0

//! Copying to and from a program's memory.
//!
//! Each structure is copied once and looked at only afterwards: the program may change it at any time.
//! All of this may sleep, and needs the program's memory map, so not with `mmap_lock` held.

use kernel::iov::{IovIterDest, IovIterSource};
use kernel::prelude::*;
use kernel::uaccess::{UserPtr, UserSlice};
use zerocopy::Immutable;

/// Copies a structure out of the program's memory.
///
/// # Errors
///
/// `EFAULT` if it is not all there.
pub fn read<T: FromBytes + IntoBytes>(address: usize) -> Result<T> {
    let mut value = T::new_zeroed();
    read_slice(address, core::slice::from_mut(&mut value))?;
    Ok(value)
}

/// Copies an array out of the program's memory.
///
/// # Errors
///
/// `EFAULT` if it is not all there; part of `to` may have been written then.
pub fn read_slice<T: FromBytes + IntoBytes>(address: usize, to: &mut [T]) -> Result {
    let bytes = to.as_mut_bytes();
    UserSlice::new(UserPtr::from_addr(address), bytes.len())
        .reader()
        .read_slice(bytes)
}

/// Copies a structure into the program's memory.
///
/// # Errors
///
/// `EFAULT` if there is no memory that the program may write to.
pub fn write<T: IntoBytes + Immutable>(address: usize, value: &T) -> Result {
    let bytes = value.as_bytes();
    UserSlice::new(UserPtr::from_addr(address), bytes.len())
        .writer()
        .write_slice(bytes)
}

/// Hands out an array as part of a read.
///
/// # Errors
///
/// `EFAULT` if not all of it could be copied.
pub fn give<T: IntoBytes + Immutable>(to: &mut IovIterDest<'_>, values: &[T]) -> Result {
    let bytes = values.as_bytes();
    if to.copy_to_iter(bytes) != bytes.len() {
        return Err(EFAULT);
    }
    Ok(())
}

/// Takes in an array as part of a write.
///
/// # Errors
///
/// `EFAULT` if not all of it could be copied.
pub fn take<T: FromBytes + IntoBytes>(from: &mut IovIterSource<'_>, values: &mut [T]) -> Result {
    let bytes = values.as_mut_bytes();
    if from.copy_from_iter(bytes) != bytes.len() {
        return Err(EFAULT);
    }
    Ok(())
}
