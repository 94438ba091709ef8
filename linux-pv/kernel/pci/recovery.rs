// SPDX-License-Identifier: GPL-2.0

//! Recovery of devices from errors.
//!
//! The steps are those that the PCI core takes for errors it finds itself: under the device's lock, so
//! that the driver stays, and with the device's state set for the driver to see.

use kernel::bindings as k;
use xen_bindings as bindings;

use super::{
    root_bus::HeldDevice,
    RootBus, //
};

/// What works of the connection to a device (`pci_channel_state_t`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelState {
    /// All of it.
    Normal,
    /// Nothing, until the device is reset.
    Frozen,
    /// Nothing, for good.
    PermFailure,
}

impl ChannelState {
    fn as_raw(self) -> u32 {
        match self {
            Self::Normal => k::pci_channel_io_normal,
            Self::Frozen => k::pci_channel_io_frozen,
            Self::PermFailure => k::pci_channel_io_perm_failure,
        }
    }
}

/// A step of the recovery (`struct pci_error_handlers`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorStep {
    /// An error was detected.
    ErrorDetected(ChannelState),
    /// The device's registers can be accessed again.
    MmioEnabled,
    /// The slot was reset.
    SlotReset,
    /// The device works again.
    Resume,
}

impl RootBus {
    /// Has the driver of a function take a step, and returns its answer, a number of `pci_ers_result_t`,
    /// if it has one. `None` if there is no such function, or no driver with error handlers. May sleep,
    /// as long as the driver likes.
    pub fn recover(&self, devfn: u8, step: ErrorStep) -> Option<Option<u32>> {
        let device = self.device(devfn)?;
        let locked = Locked::new(&device);
        // SAFETY: The handlers are not used after `locked` is dropped.
        let handlers = unsafe { locked.handlers() }?;
        let dev = device.0.as_ptr();
        Some(match step {
            ErrorStep::ErrorDetected(channel) => {
                let state = channel.as_raw();
                locked.set_state(state);
                let call = handlers.error_detected;
                // SAFETY: The device is locked and bound to this driver, as its handlers expect.
                call.map(|call| unsafe { call(dev, state) })
            }
            ErrorStep::MmioEnabled => {
                let call = handlers.mmio_enabled;
                // SAFETY: The device is locked and bound to this driver, as its handlers expect.
                call.map(|call| unsafe { call(dev) })
            }
            ErrorStep::SlotReset => {
                locked.set_state(k::pci_channel_io_normal);
                let call = handlers.slot_reset;
                // SAFETY: The device is locked and bound to this driver, as its handlers expect.
                call.map(|call| unsafe { call(dev) })
            }
            ErrorStep::Resume => {
                locked.set_state(k::pci_channel_io_normal);
                if let Some(call) = handlers.resume {
                    // SAFETY: The device is locked and bound to this driver, as its handlers expect.
                    unsafe { call(dev) };
                }
                None
            }
        })
    }
}

/// A locked device, which stays bound to its driver.
struct Locked<'a>(&'a HeldDevice);

impl<'a> Locked<'a> {
    fn new(device: &'a HeldDevice) -> Self {
        // SAFETY: By its invariant the device is valid; the caller may sleep.
        unsafe { bindings::xen_rs_device_lock(&raw mut (*device.0.as_ptr()).dev) };
        Self(device)
    }

    /// # Safety
    ///
    /// The result is not used after the lock was given up.
    unsafe fn handlers<'b>(&self) -> Option<&'b k::pci_error_handlers> {
        // SAFETY: Under the device's lock a driver stays, and its handlers are constant.
        unsafe {
            let driver = (*self.0 .0.as_ptr()).driver;
            driver.as_ref()?.err_handler.as_ref()
        }
    }

    fn set_state(&self, state: u32) {
        // SAFETY: By its invariant the device is valid. Others read the state without a lock.
        unsafe { (&raw mut (*self.0 .0.as_ptr()).error_state).write_volatile(state) };
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: `new` has locked it, in this task.
        unsafe { bindings::xen_rs_device_unlock(&raw mut (*self.0 .0.as_ptr()).dev) };
    }
}
