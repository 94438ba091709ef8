// SPDX-License-Identifier: GPL-2.0

//! What a device says of its DMA.

use core::marker::PhantomData;
use core::ptr::{addr_of, NonNull};

use core_bindings as bindings;
use kernel::bindings as kernel_bindings;
use kernel::str::{CStr, CStrExt};
use xen_dma::frames::Frames;
use xen_dma::reach::Reach;
use xen_dma::{Bus, Phys};

/// A device for which the kernel calls.
///
/// # Invariants
///
/// It is valid for `'a`.
#[derive(Clone, Copy)]
pub struct Device<'a>(NonNull<kernel_bindings::device>, PhantomData<&'a ()>);

/// Reads a field that the device's driver may write at any time.
macro_rules! field {
    ($device:expr, $field:ident) => {
        // SAFETY: The device is valid by the type's invariant.
        unsafe { addr_of!((*$device.0.as_ptr()).$field).read_volatile() }
    };
}

impl<'a> Device<'a> {
    /// Wraps what the kernel passes.
    ///
    /// # Safety
    ///
    /// `device` is valid for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw(device: *mut kernel_bindings::device) -> Self {
        // SAFETY: A valid device is not at 0.
        // INVARIANT: The caller's promise.
        Self(unsafe { NonNull::new_unchecked(device) }, PhantomData)
    }

    #[inline]
    pub(crate) fn as_raw(self) -> *mut kernel_bindings::device {
        self.0.as_ptr()
    }

    /// For messages.
    pub fn device(&self) -> &kernel::device::Device {
        // SAFETY: The device is valid as long as `self`.
        unsafe { kernel::device::Device::from_raw(self.0.as_ptr()) }
    }

    /// Its name on its bus, as `0000:00:03.0`.
    pub fn name(&self) -> &[u8] {
        // SAFETY: The device is valid by the type's invariant.
        let own = unsafe { addr_of!((*self.0.as_ptr()).kobj.name).read() };
        let early: *const kernel::ffi::c_char = field!(self, init_name);
        let name = if early.is_null() { own } else { early };
        if name.is_null() {
            return b"?";
        }
        // SAFETY: A name is a string that lives as long as the device, or until it is renamed, which no device with a
        // driver is.
        unsafe { CStr::from_char_ptr(name) }.to_bytes()
    }

    /// What it reaches by streaming DMA. A device without a mask reaches nothing.
    #[inline]
    pub fn reach(self) -> Reach {
        let mask = field!(self, dma_mask);
        if mask.is_null() {
            return Reach::new(0, 0);
        }
        // SAFETY: A device's mask is in the device or in what it belongs to, and lives as long.
        Reach::new(unsafe { mask.read_volatile() }, field!(self, bus_dma_limit))
    }

    /// What it reaches in coherent memory.
    pub fn coherent_reach(self) -> Reach {
        Reach::new(field!(self, coherent_dma_mask), 0)
    }

    /// Where the device sees a byte of the domain's memory.
    #[inline]
    pub fn bus(self, frames: &impl Frames, at: Phys) -> Bus {
        self.on_bus(frames.bus(at))
    }

    /// Where the device sees a byte of the machine's memory: there, unless its bus numbers memory in a way of its own.
    #[inline]
    fn on_bus(self, at: Bus) -> Bus {
        if field!(self, dma_range_map).is_null() || at == Bus::NONE {
            return at;
        }
        // SAFETY: The device is valid; any address may be asked for.
        Bus(unsafe { bindings::xen_core_phys_to_dma(self.as_raw(), at.0) })
    }

    /// The byte of the machine's memory that the device means.
    #[inline]
    pub(crate) fn machine(self, at: Bus) -> Bus {
        if field!(self, dma_range_map).is_null() {
            return at;
        }
        // SAFETY: The device is valid; any address may be asked for.
        Bus(unsafe { bindings::xen_core_dma_to_phys(self.as_raw(), at.0) })
    }

    /// From now on the driver's calls that synchronise are not left out. Any context.
    pub fn needs_sync(self) {
        // SAFETY: The device is valid.
        unsafe { bindings::xen_core_reset_need_sync(self.as_raw()) }
    }
}
