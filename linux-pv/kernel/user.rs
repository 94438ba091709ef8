// SPDX-License-Identifier: GPL-2.0

//! Copying to and from user memory.
//!
//! Each structure is copied once and checked afterwards, since the process may change it at any
//! time. The functions may sleep and take `mmap_lock`, which must not be held.

mod pinned;

pub use pinned::Pinned;

use core::{
    mem::MaybeUninit,
    ops::Range,
    ptr, //
};

use kernel::{
    bindings as k,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

use xen_bindings as bindings;
use zerocopy::Immutable;

/// Copies a structure from user memory.
///
/// # Errors
///
/// `EFAULT` if not all of it could be copied.
#[inline]
pub fn read<T: FromBytes>(address: usize) -> Result<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // The kernel's `UserSlice` would check at run time that the slice is within one object
    // (CONFIG_HARDENED_USERCOPY), which is known here.
    // SAFETY: `value` has room for as many bytes. The function takes any user address.
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
    // SAFETY: All bytes were written, and any bytes are a valid `T` (`FromBytes`).
    Ok(unsafe { value.assume_init() })
}

/// Copies an array from user memory, into memory that is charged to the process.
///
/// The memory grows with the elements that could be copied, so it is limited even if the process
/// passes a wrong `count`.
///
/// # Errors
///
/// `EFAULT` if not all of it could be copied, `ENOMEM`.
pub fn read_array<T: FromBytes>(address: usize, count: usize) -> Result<KVVec<T>> {
    /// Number of elements that are copied first; the array at most doubles with each further copy.
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
        // SAFETY: `values` has room for `more` elements. The function takes any user address.
        let left = unsafe { k::_copy_from_user(to.cast(), from, more * size_of::<T>()) };
        if left != 0 {
            return Err(EFAULT);
        }
        // SAFETY: All bytes of `more` elements were written, and any bytes are a valid `T`
        // (`FromBytes`).
        unsafe { values.inc_len(more) };
    }
    Ok(values)
}

/// Iterates over the elements of an array in user memory. They are copied a few at a time, each
/// once, and without an allocation. If one cannot be copied, the iterator yields `EFAULT` and ends.
pub fn elements<T: FromBytes + Copy>(address: usize, count: usize) -> Elements<T> {
    Elements {
        at: address,
        left: count,
        copied: [const { MaybeUninit::uninit() }; CHUNK],
        ready: 0..0,
    }
}

/// Number of elements that are copied at a time.
const CHUNK: usize = 16;

/// Iterator made by [`elements`].
///
/// # Invariants
///
/// The elements of `copied` with an index in `ready` are initialised.
pub struct Elements<T> {
    /// Address of the elements that are not copied yet.
    at: usize,
    /// Number of these.
    left: usize,
    copied: [MaybeUninit<T>; CHUNK],
    ready: Range<usize>,
}

impl<T: FromBytes + Copy> Elements<T> {
    fn copy(&mut self) -> Result {
        let count = self.left.min(CHUNK);
        let size = count * size_of::<T>();
        let (from, to) = (ptr::without_provenance(self.at), &raw mut self.copied);
        // SAFETY: `copied` has room for `count` elements. The function takes any user address.
        if unsafe { k::_copy_from_user(to.cast(), from, size) } != 0 {
            self.left = 0;
            return Err(EFAULT);
        }
        self.left -= count;
        // At the end of the address space, the next copy fails.
        self.at = self.at.saturating_add(size);
        // INVARIANT: All bytes of `count` elements were written, and any bytes are a valid `T`
        // (`FromBytes`).
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
        // SAFETY: By the type invariant elements in `ready` are initialised.
        Some(Ok(unsafe { element.assume_init() }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ready.len() + self.left;
        (left, Some(left))
    }
}

impl<T: FromBytes + Copy> ExactSizeIterator for Elements<T> {}

/// Whether a range is within user address space (`access_ok`). Memory need not be mapped there.
pub fn access_ok(address: usize, len: usize) -> bool {
    // SAFETY: The shim compares numbers.
    unsafe { bindings::xen_rs_access_ok(address, len) }
}

/// Fills user memory with zeroes.
///
/// # Errors
///
/// `EFAULT` if not all of it could be written.
pub fn clear(address: usize, len: usize) -> Result {
    // SAFETY: The shim takes any range.
    match unsafe { bindings::xen_rs_clear_user(address, len) } {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

/// Copies an array to user memory.
///
/// # Errors
///
/// `EFAULT` if not all of it could be copied.
pub fn write_slice<T: IntoBytes + Immutable>(address: usize, values: &[T]) -> Result {
    let bytes = values.as_bytes();
    UserSlice::new(UserPtr::from_addr(address), bytes.len())
        .writer()
        .write_slice(bytes)
}

/// Copies a structure to user memory.
///
/// # Errors
///
/// `EFAULT` if not all of it could be copied.
#[inline]
pub fn write<T: IntoBytes + Immutable>(address: usize, value: &T) -> Result {
    // SAFETY: All bytes of `value` are initialised (`IntoBytes`). The function takes any user
    // address.
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
