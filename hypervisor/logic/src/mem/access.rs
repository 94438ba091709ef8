// SPDX-License-Identifier: GPL-2.0

//! Access to machine and guest memory. Nothing here hands out a Rust reference to it: bytes are copied, and words that
//! guests change at the same time are changed by atomic operations.

use crate::error::{Errno, Result};
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The machine's memory, by machine address.
///
/// Before each access the caller has looked the frame up in the frame table or a p2m: the address is RAM, the access
/// does not cross the end of a frame, and an address of a word is aligned. An implementation may panic otherwise.
/// Operations on words are atomic and sequentially consistent.
pub trait MachineMemory {
    /// Copies bytes out of memory.
    fn read(&self, address: u64, to: &mut [u8]);
    /// Copies bytes into memory.
    fn write(&self, address: u64, from: &[u8]);
    /// Zeroes a frame.
    fn clear_frame(&self, address: u64);
    /// Exchanges a byte and returns the old value.
    fn swap_u8(&self, address: u64, value: u8) -> u8;
    /// Reads 16 bits.
    fn load_u16(&self, address: u64) -> u16;
    /// Replaces 16 bits if they equal `old`; `Err` has the present value.
    fn compare_exchange_u16(
        &self,
        address: u64,
        old: u16,
        new: u16,
    ) -> core::result::Result<u16, u16>;
    /// Reads 32 bits.
    fn load_u32(&self, address: u64) -> u32;
    /// Writes 32 bits.
    fn store_u32(&self, address: u64, value: u32);
    /// Replaces 32 bits if they equal `old`; `Err` has the present value.
    fn compare_exchange_u32(
        &self,
        address: u64,
        old: u32,
        new: u32,
    ) -> core::result::Result<u32, u32>;
    /// Reads 64 bits.
    fn load_u64(&self, address: u64) -> u64;
    /// Writes 64 bits.
    fn store_u64(&self, address: u64, value: u64);
    /// Replaces 64 bits if they equal `old`; `Err` has the present value.
    fn compare_exchange_u64(
        &self,
        address: u64,
        old: u64,
        new: u64,
    ) -> core::result::Result<u64, u64>;

    /// Sets bits of a 16-bit word and returns its old value.
    fn fetch_or_u16(&self, address: u64, bits: u16) -> u16 {
        let mut old = self.load_u16(address);
        while let Err(now) = self.compare_exchange_u16(address, old, old | bits) {
            old = now;
        }
        old
    }

    /// Clears bits of a 16-bit word and returns its old value.
    fn fetch_clear_u16(&self, address: u64, bits: u16) -> u16 {
        let mut old = self.load_u16(address);
        while let Err(now) = self.compare_exchange_u16(address, old, old & !bits) {
            old = now;
        }
        old
    }

    /// Sets bits of a 32-bit word and returns its old value. The machine overrides this and its like by a single locked
    /// instruction: a guest that keeps changing the word could make this loop run for ever.
    fn fetch_or_u32(&self, address: u64, bits: u32) -> u32 {
        let mut old = self.load_u32(address);
        while let Err(now) = self.compare_exchange_u32(address, old, old | bits) {
            old = now;
        }
        old
    }

    /// Clears bits of a 32-bit word and returns its old value.
    fn fetch_clear_u32(&self, address: u64, bits: u32) -> u32 {
        let mut old = self.load_u32(address);
        while let Err(now) = self.compare_exchange_u32(address, old, old & !bits) {
            old = now;
        }
        old
    }

    /// Sets bits of a 64-bit word and returns its old value.
    fn fetch_or_u64(&self, address: u64, bits: u64) -> u64 {
        let mut old = self.load_u64(address);
        while let Err(now) = self.compare_exchange_u64(address, old, old | bits) {
            old = now;
        }
        old
    }

    /// Clears bits of a 64-bit word and returns its old value.
    fn fetch_clear_u64(&self, address: u64, bits: u64) -> u64 {
        let mut old = self.load_u64(address);
        while let Err(now) = self.compare_exchange_u64(address, old, old & !bits) {
            old = now;
        }
        old
    }
}

/// Implements [`MachineMemory`]'s functions by passing them on to a field `memory`, for machines in tests.
#[cfg(any(test, feature = "heap"))]
macro_rules! forward_to_memory {
    (accesses) => {
        $crate::mem::access::forward_to_memory! {
            read(address: u64, to: &mut [u8]);
            write(address: u64, from: &[u8]);
            clear_frame(address: u64);
            swap_u8(address: u64, value: u8) -> u8;
            load_u16(address: u64) -> u16;
            load_u32(address: u64) -> u32;
            store_u32(address: u64, value: u32);
            load_u64(address: u64) -> u64;
            store_u64(address: u64, value: u64);
        }
    };
    (exchanges) => {
        $crate::mem::access::forward_to_memory! {
            compare_exchange_u16(address: u64, old: u16, new: u16) -> core::result::Result<u16, u16>;
            compare_exchange_u32(address: u64, old: u32, new: u32) -> core::result::Result<u32, u32>;
            compare_exchange_u64(address: u64, old: u64, new: u64) -> core::result::Result<u64, u64>;
        }
    };
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $name(&self, $($arg: $type),*) $(-> $result)? {
            self.memory.$name($($arg),*)
        })*
    };
}

#[cfg(any(test, feature = "heap"))]
pub(crate) use forward_to_memory;

/// The memory of the vCPU that makes a hypercall, by guest-virtual address.
///
/// An access that the guest's page tables or its p2m do not allow fails with [`Errno::EFAULT`]; a part of it may have
/// been done by then. Every function copies; what was copied in is checked afterwards and never read again.
pub trait GuestMemory {
    /// Copies bytes from the guest (`raw_copy_from_guest` in Xen).
    fn raw_copy_from_guest(&mut self, address: u64, to: &mut [u8]) -> Result<()>;

    /// Copies bytes to the guest.
    fn raw_copy_to_guest(&mut self, address: u64, from: &[u8]) -> Result<()>;
}

/// Copies of structures as they stand, for what only 64-bit code passes: the toolstack's hypercalls, and tests. Other
/// hypercalls copy by [`crate::system::Caller::read_arg`] and its siblings, which know how the caller lays a structure out.
pub trait NativeStructures: GuestMemory {
    /// Copies a structure from the guest. Its alignment does not matter, as in Xen.
    fn copy_from_guest<T: FromBytes + IntoBytes>(&mut self, address: u64) -> Result<T> {
        let mut value = T::new_zeroed();
        self.raw_copy_from_guest(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies a structure to the guest.
    fn copy_to_guest<T: IntoBytes + Immutable>(&mut self, address: u64, value: &T) -> Result<()> {
        self.raw_copy_to_guest(address, value.as_bytes())
    }

    /// Copies one element of an array from the guest.
    fn copy_from_guest_offset<T: FromBytes + IntoBytes>(
        &mut self,
        array: u64,
        index: u64,
    ) -> Result<T> {
        self.copy_from_guest(element(array, index, size_of::<T>())?)
    }

    /// Copies one element of an array to the guest.
    fn copy_to_guest_offset<T: IntoBytes + Immutable>(
        &mut self,
        array: u64,
        index: u64,
        value: &T,
    ) -> Result<()> {
        self.copy_to_guest(element(array, index, size_of::<T>())?, value)
    }
}

impl<M: GuestMemory + ?Sized> NativeStructures for M {}

/// Guest-virtual address of an element of an array, each of `size` bytes.
pub(crate) fn element(array: u64, index: u64, size: usize) -> Result<u64> {
    index
        .checked_mul(size as u64)
        .and_then(|offset| array.checked_add(offset))
        .ok_or(Errno::EFAULT)
}

/// Cuts an access to `length` bytes at `address` at page boundaries, and calls `each` with the address of each piece
/// and its range in the whole.
pub fn by_page(
    address: u64,
    length: usize,
    mut each: impl FnMut(u64, Range<usize>) -> Result<()>,
) -> Result<()> {
    let mut done = 0;
    while done < length {
        let at = address.checked_add(done as u64).ok_or(Errno::EFAULT)?;
        let room = (super::PAGE_SIZE - at % super::PAGE_SIZE) as usize;
        let piece = room.min(length - done);
        each(at, done..done + piece)?;
        done += piece;
    }
    Ok(())
}
