// SPDX-License-Identifier: GPL-2.0

//! Copying to and from a program's memory.
//!
//! Each structure is copied once and looked at only afterwards: the program may change it at any time.
//! All of this may sleep, and needs the program's memory map, so not with `mmap_lock` held.

mod pinned;

pub use pinned::Pinned;

use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr;

use kernel::bindings as k;
use kernel::iov::{IovIterDest, IovIterSource};
use kernel::prelude::*;
use kernel::uaccess::{UserPtr, UserSlice};
use xen_bindings as bindings;
use zerocopy::Immutable;

/// Copies a structure out of the program's memory.
///
/// # Errors
///
/// `EFAULT` if it is not all there.
#[inline]
pub fn read<T: FromBytes>(address: usize) -> Result<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // Not by way of the kernel's `UserSlice`, which for a slice makes sure that it is no part of some other object.
    // SAFETY: There is room for as many bytes. The call takes any address.
    let left = unsafe {
        k::_copy_from_user(
            value.as_mut_ptr().cast(),
            ptr::without_provenance(address),
            size_of::<T>(),
        )
    };
    if left != 0 {
        return Err(EFAULT);
    }
    // SAFETY: All bytes were written, and any bytes make a `T`.
    Ok(unsafe { value.assume_init() })
}

/// Copies an array out of the program's memory, into memory that is charged to the program.
///
/// However many elements the program says there are, no more memory is used than a small multiple of
/// what could be read.
///
/// # Errors
///
/// `EFAULT` if it is not all there, `ENOMEM` if there is no memory for it.
pub fn read_array<T: FromBytes>(address: usize, count: usize) -> Result<KVVec<T>> {
    /// Elements that are read at first; as many again as there are then each time.
    const FIRST: usize = 4096;
    let flags = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
    let mut values = KVVec::<T>::new();
    while values.len() < count {
        let done = values.len();
        let more = (count - done).min(done.max(FIRST));
        values.reserve(more, flags)?;
        let at = done
            .checked_mul(size_of::<T>())
            .and_then(|done| address.checked_add(done));
        let (from, to) = (
            ptr::without_provenance(at.ok_or(EFAULT)?),
            &raw mut *values.spare_capacity_mut(),
        );
        // SAFETY: There is room for as many elements. The call takes any address.
        let left = unsafe { k::_copy_from_user(to.cast(), from, more * size_of::<T>()) };
        if left != 0 {
            return Err(EFAULT);
        }
        // SAFETY: All bytes of as many elements were written, and any bytes make a `T`.
        unsafe { values.inc_len(more) };
    }
    Ok(values)
}

/// The elements of an array in the program's memory. They are copied out a few at a time, so that nothing is allocated for them;
/// each is copied once. The error is `EFAULT`, if one is not there, and then nothing comes after it.
pub fn elements<T: FromBytes + Copy>(address: usize, count: usize) -> Elements<T> {
    Elements {
        at: address,
        left: count,
        copied: [const { MaybeUninit::uninit() }; TOGETHER],
        ready: 0..0,
    }
}

/// How many elements are copied at a time.
const TOGETHER: usize = 16;

/// See [`elements`].
///
/// # Invariants
///
/// Those of `copied` that are in `ready` are initialised.
pub struct Elements<T> {
    /// Where those are that were not copied yet.
    at: usize,
    /// How many these are.
    left: usize,
    copied: [MaybeUninit<T>; TOGETHER],
    ready: Range<usize>,
}

impl<T: FromBytes + Copy> Elements<T> {
    fn copy(&mut self) -> Result {
        let count = self.left.min(TOGETHER);
        let size = count * size_of::<T>();
        let (from, to) = (ptr::without_provenance(self.at), &raw mut self.copied);
        // SAFETY: There is room for as many elements. The call takes any address.
        if unsafe { k::_copy_from_user(to.cast(), from, size) } != 0 {
            self.left = 0;
            return Err(EFAULT);
        }
        self.left -= count;
        // If this is where addresses end, there is nothing to be read at the next one.
        self.at = self.at.saturating_add(size);
        // INVARIANT: All bytes of as many elements were written, and any bytes make a `T`.
        self.ready = 0..count;
        Ok(())
    }
}

impl<T: FromBytes + Copy> Iterator for Elements<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.ready.is_empty() {
            if self.left == 0 {
                return None;
            }
            if let Err(error) = self.copy() {
                return Some(Err(error));
            }
        }
        let element = self.copied.get(self.ready.next()?)?;
        // SAFETY: By the type invariant.
        Some(Ok(unsafe { element.assume_init() }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ready.len() + self.left;
        (left, Some(left))
    }
}

impl<T: FromBytes + Copy> ExactSizeIterator for Elements<T> {}

/// Whether a program can have memory there, not whether it has.
pub fn access_ok(address: usize, len: usize) -> bool {
    // SAFETY: The shim compares numbers.
    unsafe { bindings::xen_rs_access_ok(address, len) }
}

/// Fills a program's memory with zeroes.
///
/// # Errors
///
/// `EFAULT` if not all of it is there.
pub fn clear(address: usize, len: usize) -> Result {
    // SAFETY: The shim takes any range.
    match unsafe { bindings::xen_rs_clear_user(address, len) } {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

/// Copies an array into the program's memory.
///
/// # Errors
///
/// `EFAULT` if there is no memory that the program may write to.
pub fn write_slice<T: IntoBytes + Immutable>(address: usize, values: &[T]) -> Result {
    let bytes = values.as_bytes();
    UserSlice::new(UserPtr::from_addr(address), bytes.len())
        .writer()
        .write_slice(bytes)
}

/// Copies a structure into the program's memory.
///
/// # Errors
///
/// `EFAULT` if there is no memory that the program may write to.
#[inline]
pub fn write<T: IntoBytes + Immutable>(address: usize, value: &T) -> Result {
    // SAFETY: There are as many bytes, all of them initialised. The call takes any address.
    let left = unsafe {
        k::_copy_to_user(
            ptr::without_provenance_mut(address),
            ptr::from_ref(value).cast(),
            size_of::<T>(),
        )
    };
    if left != 0 {
        return Err(EFAULT);
    }
    Ok(())
}

/// Copies an array to the reader of a file.
///
/// # Errors
///
/// `EFAULT` if not all of it could be copied.
pub fn copy_to_iter<T: IntoBytes + Immutable>(to: &mut IovIterDest<'_>, values: &[T]) -> Result {
    let bytes = values.as_bytes();
    if to.copy_to_iter(bytes) != bytes.len() {
        return Err(EFAULT);
    }
    Ok(())
}

/// Copies an array from the writer of a file.
///
/// # Errors
///
/// `EFAULT` if not all of it could be copied.
pub fn copy_from_iter<T: FromBytes + IntoBytes>(
    from: &mut IovIterSource<'_>,
    values: &mut [T],
) -> Result {
    let bytes = values.as_mut_bytes();
    if from.copy_from_iter(bytes) != bytes.len() {
        return Err(EFAULT);
    }
    Ok(())
}
