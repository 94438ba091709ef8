// SPDX-License-Identifier: GPL-2.0

//! A device's registers in memory.

use core::ptr;

use super::paging;

/// A window onto a device's registers, mapped uncached for ever.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    base: usize,
    len: usize,
}

impl Window {
    /// Maps `len` bytes at a physical address. The hypervisor gives the frames to no domain.
    pub fn map(physical: u64, len: u64) -> Self {
        Self {
            base: paging::map_device(physical, len) as usize,
            len: len as usize,
        }
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        assert!(
            offset % size_of::<T>() == 0 && offset + size_of::<T>() <= self.len,
            "register out of its window"
        );
        (self.base + offset) as *mut T
    }

    /// Reads a 32-bit register.
    pub fn read(&self, offset: usize) -> u32 {
        // SAFETY: within the window, aligned; a device's register is no object of Rust's.
        unsafe { ptr::read_volatile(self.at(offset)) }
    }

    /// Writes a 32-bit register.
    pub fn write(&self, offset: usize, value: u32) {
        // SAFETY: as for `read`; the hypervisor's drivers set up no access of a device's to memory of ours.
        unsafe { ptr::write_volatile(self.at(offset), value) }
    }

    /// Writes a part of a register: 1, 2 or 4 bytes at a multiple of as many.
    pub fn write_part(&self, offset: usize, size: u8, value: u32) {
        match size {
            // SAFETY: as for `write`.
            1 => unsafe { ptr::write_volatile(self.at(offset), value as u8) },
            // SAFETY: the same.
            2 => unsafe { ptr::write_volatile(self.at(offset), value as u16) },
            _ => self.write(offset, value),
        }
    }
}
