//! How memory is reached. Nothing here hands out a reference: bytes are copied in or out, and words that guests
//! change at the same time are changed by atomic operations.

use crate::error::{Errno, Result};
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The machine's memory, by machine address.
///
/// Callers have looked up whose frame it is: addresses lie in memory, an access does not cross the end of a frame,
/// and those of words are aligned. An implementation may panic otherwise. Operations on words are atomic and
/// sequentially consistent.
pub trait MachineMemory {
    /// Copies bytes out of memory.
    fn read(&self, address: u64, to: &mut [u8]);
    /// Copies bytes into memory.
    fn write(&self, address: u64, from: &[u8]);
    /// Zeroes a frame.
    fn clear_frame(&self, address: u64);
    /// Exchanges a byte.
    fn swap_u8(&self, address: u64, value: u8) -> u8;
    /// Reads two bytes.
    fn load_u16(&self, address: u64) -> u16;
    /// Replaces two bytes if they are what is expected; else returns what they are.
    fn compare_exchange_u16(
        &self,
        address: u64,
        old: u16,
        new: u16,
    ) -> core::result::Result<u16, u16>;
    /// Reads a word.
    fn load_u32(&self, address: u64) -> u32;
    /// Writes a word.
    fn store_u32(&self, address: u64, value: u32);
    /// Replaces a word if it is what is expected; else returns what it is.
    fn compare_exchange_u32(
        &self,
        address: u64,
        old: u32,
        new: u32,
    ) -> core::result::Result<u32, u32>;
    /// Reads a long word.
    fn load_u64(&self, address: u64) -> u64;
    /// Writes a long word.
    fn store_u64(&self, address: u64, value: u64);
    /// Replaces a long word if it is what is expected; else returns what it is.
    fn compare_exchange_u64(
        &self,
        address: u64,
        old: u64,
        new: u64,
    ) -> core::result::Result<u64, u64>;

    /// Sets bits of two bytes and returns what they were.
    fn fetch_or_u16(&self, address: u64, bits: u16) -> u16 {
        let mut old = self.load_u16(address);
        while let Err(now) = self.compare_exchange_u16(address, old, old | bits) {
            old = now;
        }
        old
    }

    /// Clears bits of two bytes and returns what they were.
    fn fetch_clear_u16(&self, address: u64, bits: u16) -> u16 {
        let mut old = self.load_u16(address);
        while let Err(now) = self.compare_exchange_u16(address, old, old & !bits) {
            old = now;
        }
        old
    }

    /// Sets bits of a word and returns what it was. To be overridden by an instruction that cannot fail, since a
    /// guest may change the word as often as it likes.
    fn fetch_or_u32(&self, address: u64, bits: u32) -> u32 {
        let mut old = self.load_u32(address);
        while let Err(now) = self.compare_exchange_u32(address, old, old | bits) {
            old = now;
        }
        old
    }

    /// Clears bits of a word and returns what it was.
    fn fetch_clear_u32(&self, address: u64, bits: u32) -> u32 {
        let mut old = self.load_u32(address);
        while let Err(now) = self.compare_exchange_u32(address, old, old & !bits) {
            old = now;
        }
        old
    }

    /// Sets bits of a long word and returns what it was.
    fn fetch_or_u64(&self, address: u64, bits: u64) -> u64 {
        let mut old = self.load_u64(address);
        while let Err(now) = self.compare_exchange_u64(address, old, old | bits) {
            old = now;
        }
        old
    }

    /// Clears bits of a long word and returns what it was.
    fn fetch_clear_u64(&self, address: u64, bits: u64) -> u64 {
        let mut old = self.load_u64(address);
        while let Err(now) = self.compare_exchange_u64(address, old, old & !bits) {
            old = now;
        }
        old
    }
}

/// The memory of the guest that makes a hypercall, by the addresses it gives, which are virtual ones.
///
/// An address is an allegation: an access that the guest's page tables or its physical memory do not allow is
/// [`Errno::EFAULT`], and may have been done in part.
pub trait GuestMemory {
    /// Copies bytes from the guest.
    fn copy_in(&mut self, address: u64, to: &mut [u8]) -> Result<()>;

    /// Copies bytes to the guest.
    fn copy_out(&mut self, address: u64, from: &[u8]) -> Result<()>;

    /// Copies a structure from the guest. Its alignment does not matter, as in Xen.
    fn get<T: FromBytes + IntoBytes>(&mut self, address: u64) -> Result<T> {
        let mut value = T::new_zeroed();
        self.copy_in(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies a structure to the guest.
    fn put<T: IntoBytes + Immutable>(&mut self, address: u64, value: &T) -> Result<()> {
        self.copy_out(address, value.as_bytes())
    }

    /// Copies the element of an array from the guest.
    fn get_at<T: FromBytes + IntoBytes>(&mut self, array: u64, index: u64) -> Result<T> {
        self.get(element::<T>(array, index)?)
    }

    /// Copies the element of an array to the guest.
    fn put_at<T: IntoBytes + Immutable>(
        &mut self,
        array: u64,
        index: u64,
        value: &T,
    ) -> Result<()> {
        self.put(element::<T>(array, index)?, value)
    }
}

/// Address of an element of an array.
fn element<T>(array: u64, index: u64) -> Result<u64> {
    index
        .checked_mul(size_of::<T>() as u64)
        .and_then(|offset| array.checked_add(offset))
        .ok_or(Errno::EFAULT)
}

/// Cuts `length` bytes from `address` on into pieces that do not cross the end of a frame: calls `each` with the
/// address of a piece and its place in the whole.
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
