// SPDX-License-Identifier: GPL-2.0

//! Access to device registers in memory.

use core::ptr;

use super::paging;

/// Registers of a device, mapped uncached for ever.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    base: usize,
    len: usize,
}

impl Window {
    /// Maps `len` bytes of registers at a physical address.
    pub fn map(physical: u64, len: u64) -> Self {
        Self {
            base: paging::map_device(physical, len) as usize,
            len: len as usize,
        }
    }

    /// A pointer to the register at an offset.
    ///
    /// # Panics
    ///
    /// If it is misaligned or not within the window.
    fn at<T>(&self, offset: usize) -> *mut T {
        assert!(
            offset % size_of::<T>() == 0 && offset + size_of::<T>() <= self.len,
            "register out of its window"
        );
        (self.base + offset) as *mut T
    }

    /// Reads a 32-bit register.
    pub fn read(&self, offset: usize) -> u32 {
        // SAFETY: `at` returns an aligned pointer into the window, which is mapped for ever; a register is not a Rust
        // object.
        unsafe { ptr::read_volatile(self.at(offset)) }
    }

    /// Writes a 32-bit register.
    pub fn write(&self, offset: usize, value: u32) {
        // SAFETY: `at` returns an aligned pointer into the window, which is mapped for ever; a register is not a Rust
        // object. Registers that start DMA are written on behalf of dom0 only, which is trusted with its devices.
        unsafe { ptr::write_volatile(self.at(offset), value) }
    }

    /// Writes a part of a register: 1, 2 or 4 bytes at a multiple of as many.
    pub fn write_part(&self, offset: usize, size: u8, value: u32) {
        match size {
            // SAFETY: `at` returns an aligned pointer into the window, as in `write`.
            1 => unsafe { ptr::write_volatile(self.at(offset), value as u8) },
            // SAFETY: `at` returns an aligned pointer into the window, as in `write`.
            2 => unsafe { ptr::write_volatile(self.at(offset), value as u16) },
            _ => self.write(offset, value),
        }
    }
}
