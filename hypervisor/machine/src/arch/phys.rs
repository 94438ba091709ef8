// SPDX-License-Identifier: GPL-2.0

//! Access to physical memory through the direct map. Nothing here makes a Rust reference to it: bytes are copied, and
//! words that guests change at the same time are accessed atomically.

use core::ptr;
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// Virtual address of the direct map. The boot tables map 4 GiB there, the final ones all memory but the image.
pub const DIRECT: u64 = 0xffff_8880_0000_0000;

/// The virtual address of a physical one.
pub fn address(physical: u64) -> u64 {
    DIRECT + physical
}

/// A pointer to physical memory. Its user has to know that the frame is mapped and who owns it.
pub fn pointer<T>(physical: u64) -> *mut T {
    address(physical) as *mut T
}

macro_rules! read {
    ($($name:ident: $type:ty),*) => {$(
        /// Reads a little-endian number at a physical address, of any alignment, in mapped RAM.
        pub fn $name(physical: u64) -> $type {
            // SAFETY: the direct map maps all RAM, and a read through a raw pointer makes no reference. Callers pass
            // addresses of firmware tables and of the hypervisor's frames.
            unsafe { ptr::read_unaligned(pointer::<$type>(physical)) }
        }
    )*};
}

read!(read_u8: u8, read_u16: u16, read_u32: u32, read_u64: u64);

/// Copies physical memory to `out`.
pub fn read_bytes(physical: u64, out: &mut [u8]) {
    // SAFETY: the direct map maps all RAM; `out` is borrowed exclusively, so it does not overlap the source.
    unsafe { ptr::copy_nonoverlapping(pointer::<u8>(physical), out.as_mut_ptr(), out.len()) };
}

/// Copies `data` to physical memory.
///
/// # Safety
///
/// The whole range must be RAM without Rust objects: memory of a guest, or frames that the caller owns.
pub unsafe fn write_bytes(physical: u64, data: &[u8]) {
    // SAFETY: by the function's contract the range is mapped RAM without Rust objects, so it does not overlap `data`
    // either.
    unsafe { ptr::copy_nonoverlapping(data.as_ptr(), pointer::<u8>(physical), data.len()) };
}

/// Copies `len` bytes from one physical address to another; the ranges may overlap.
///
/// # Safety
///
/// As for [`write_bytes`], for the destination.
pub unsafe fn copy(from: u64, to: u64, len: u64) {
    // SAFETY: by the function's contract the destination is mapped RAM without Rust objects; `ptr::copy` allows
    // overlap.
    unsafe { ptr::copy(pointer::<u8>(from), pointer::<u8>(to), len as usize) };
}

/// Fills physical memory with zeroes.
///
/// # Safety
///
/// As for [`write_bytes`].
pub unsafe fn zero(physical: u64, len: u64) {
    // SAFETY: by the function's contract the range is mapped RAM without Rust objects.
    unsafe { ptr::write_bytes(pointer::<u8>(physical), 0, len as usize) };
}

/// The machine, for the library. Its memory is accessed at addresses of frames that the caller has looked up: of a
/// guest, or of the hypervisor and shared with a guest.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

macro_rules! atomic {
    ($type:ty, $address:expr) => {{
        let address: u64 = $address;
        assert!(address % size_of::<$type>() as u64 == 0, "misaligned word");
        // SAFETY:
        // - By the contract of `MachineMemory` the frame is RAM of a guest or shared with one, so the direct map maps
        //   it and no Rust object lies there.
        // - The address is aligned, and the hypervisor accesses words there atomically only.
        unsafe { <$type>::from_ptr(pointer(address)) }
    }};
}

impl paravane::mem::MachineMemory for Machine {
    fn read(&self, address: u64, to: &mut [u8]) {
        read_bytes(address, to);
    }

    fn write(&self, address: u64, from: &[u8]) {
        // SAFETY: by the contract of `MachineMemory` the bytes lie in a frame of a guest or shared with one, where no
        // Rust object is.
        unsafe { write_bytes(address, from) };
    }

    fn clear_frame(&self, address: u64) {
        // SAFETY: by the contract of `MachineMemory` the frame is about to become a guest's or a table of one, where no
        // Rust object is.
        unsafe { zero(address & !0xfff, 4096) };
    }

    fn swap_u8(&self, address: u64, value: u8) -> u8 {
        atomic!(AtomicU8, address).swap(value, SeqCst)
    }

    fn load_u16(&self, address: u64) -> u16 {
        atomic!(AtomicU16, address).load(SeqCst)
    }

    fn compare_exchange_u16(&self, address: u64, old: u16, new: u16) -> Result<u16, u16> {
        atomic!(AtomicU16, address).compare_exchange(old, new, SeqCst, SeqCst)
    }

    fn load_u32(&self, address: u64) -> u32 {
        atomic!(AtomicU32, address).load(SeqCst)
    }

    fn store_u32(&self, address: u64, value: u32) {
        atomic!(AtomicU32, address).store(value, SeqCst);
    }

    fn compare_exchange_u32(&self, address: u64, old: u32, new: u32) -> Result<u32, u32> {
        atomic!(AtomicU32, address).compare_exchange(old, new, SeqCst, SeqCst)
    }

    fn load_u64(&self, address: u64) -> u64 {
        atomic!(AtomicU64, address).load(SeqCst)
    }

    fn store_u64(&self, address: u64, value: u64) {
        atomic!(AtomicU64, address).store(value, SeqCst);
    }

    fn compare_exchange_u64(&self, address: u64, old: u64, new: u64) -> Result<u64, u64> {
        atomic!(AtomicU64, address).compare_exchange(old, new, SeqCst, SeqCst)
    }

    // Single locked instructions: a guest that keeps changing the word cannot delay them.

    fn fetch_or_u16(&self, address: u64, bits: u16) -> u16 {
        atomic!(AtomicU16, address).fetch_or(bits, SeqCst)
    }

    fn fetch_clear_u16(&self, address: u64, bits: u16) -> u16 {
        atomic!(AtomicU16, address).fetch_and(!bits, SeqCst)
    }

    fn fetch_or_u32(&self, address: u64, bits: u32) -> u32 {
        atomic!(AtomicU32, address).fetch_or(bits, SeqCst)
    }

    fn fetch_clear_u32(&self, address: u64, bits: u32) -> u32 {
        atomic!(AtomicU32, address).fetch_and(!bits, SeqCst)
    }

    fn fetch_or_u64(&self, address: u64, bits: u64) -> u64 {
        atomic!(AtomicU64, address).fetch_or(bits, SeqCst)
    }

    fn fetch_clear_u64(&self, address: u64, bits: u64) -> u64 {
        atomic!(AtomicU64, address).fetch_and(!bits, SeqCst)
    }
}
