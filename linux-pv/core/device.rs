// SPDX-License-Identifier: GPL-2.0

//! DMA masks and addresses of a device.

use core::{
    marker::PhantomData,
    ptr::{
        addr_of,
        NonNull, //
    },
};

use kernel::{
    bindings as kernel_bindings,
    str::{
        CStr,
        CStrExt, //
    },
};

use core_bindings as bindings;

use xen_dma::{
    mask::DmaMask,
    p2m::PhysToMachine,
    BusAddr,
    PhysAddr, //
};

/// A device (`struct device`).
///
/// # Invariants
///
/// The device is valid for `'a`.
#[derive(Clone, Copy)]
pub struct Device<'a>(NonNull<kernel_bindings::device>, PhantomData<&'a ()>);

/// Reads a field that the driver may write at any time.
macro_rules! field {
    ($device:expr, $field:ident) => {
        // SAFETY: The device is valid by the type's invariant.
        unsafe { addr_of!((*$device.0.as_ptr()).$field).read_volatile() }
    };
}

impl<'a> Device<'a> {
    /// From a pointer that the kernel passes.
    ///
    /// # Safety
    ///
    /// `device` is valid for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw(device: *mut kernel_bindings::device) -> Self {
        // SAFETY: A valid device is not at 0.
        // INVARIANT: By the requirement of this function.
        Self(unsafe { NonNull::new_unchecked(device) }, PhantomData)
    }

    #[inline]
    pub(crate) fn as_raw(self) -> *mut kernel_bindings::device {
        self.0.as_ptr()
    }

    /// The device, for messages in the log.
    pub fn device(&self) -> &kernel::device::Device {
        // SAFETY: The device is valid as long as `self`.
        unsafe { kernel::device::Device::from_raw(self.0.as_ptr()) }
    }

    /// The name, such as `0000:00:03.0`.
    pub fn name(&self) -> &[u8] {
        // SAFETY: The device is valid by the type's invariant.
        let own = unsafe { addr_of!((*self.0.as_ptr()).kobj.name).read() };
        let early: *const kernel::ffi::c_char = field!(self, init_name);
        let name = if early.is_null() { own } else { early };
        if name.is_null() {
            return b"?";
        }
        // SAFETY: The name is a string that lives as long as the device, or until the device is
        // renamed, which does not happen to devices with a driver.
        unsafe { CStr::from_char_ptr(name) }.to_bytes()
    }

    /// The mask of streaming mappings. A device without a mask can access nothing.
    #[inline]
    pub fn dma_mask(self) -> DmaMask {
        let mask = field!(self, dma_mask);
        if mask.is_null() {
            return DmaMask::new(0, 0);
        }
        // SAFETY: The mask is in the device or in the structure that contains it, and lives as
        // long.
        DmaMask::new(unsafe { mask.read_volatile() }, field!(self, bus_dma_limit))
    }

    /// The mask of coherent memory.
    pub fn coherent_dma_mask(self) -> DmaMask {
        DmaMask::new(field!(self, coherent_dma_mask), 0)
    }

    /// The device's address of a byte of the domain's memory.
    #[inline]
    pub fn bus(self, p2m: &impl PhysToMachine, at: PhysAddr) -> BusAddr {
        self.on_bus(p2m.bus(at))
    }

    /// The device's address of a machine address. They differ if the bus has DMA ranges.
    #[inline]
    fn on_bus(self, at: BusAddr) -> BusAddr {
        if field!(self, dma_range_map).is_null() || at == BusAddr::NONE {
            return at;
        }
        // SAFETY: The device is valid by the type's invariant; the function takes any address.
        BusAddr(unsafe { bindings::xen_core_phys_to_dma(self.as_raw(), at.0) })
    }

    /// The machine address of a device's address.
    #[inline]
    pub(crate) fn machine(self, at: BusAddr) -> BusAddr {
        if field!(self, dma_range_map).is_null() {
            return at;
        }
        // SAFETY: The device is valid by the type's invariant; the function takes any address.
        BusAddr(unsafe { bindings::xen_core_dma_to_phys(self.as_raw(), at.0) })
    }

    /// Ends skipping of the driver's synchronisation calls. Any context.
    pub fn needs_sync(self) {
        // SAFETY: The device is valid by the type's invariant.
        unsafe { bindings::xen_core_reset_need_sync(self.as_raw()) }
    }
}
