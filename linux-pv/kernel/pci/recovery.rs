// SPDX-License-Identifier: GPL-2.0

//! Error recovery of devices.
//!
//! The steps are those of the PCI core for errors that it detects itself: with the device locked,
//! so that the driver stays bound, and the channel state of the device set.

use kernel::bindings as k;
use xen_bindings as bindings;

use super::{
    root_bus::HeldDevice,
    RootBus, //
};

/// State of the channel to a device (`pci_channel_state_t`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelState {
    /// I/O works.
    Normal,
    /// I/O is blocked until the device is reset.
    Frozen,
    /// The device is lost.
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
    /// The device's registers are accessible again.
    MmioEnabled,
    /// The slot was reset.
    SlotReset,
    /// The recovery is complete.
    Resume,
}

impl RootBus {
    /// Calls the error handler of a function's driver for a step; returns its result
    /// (`pci_ers_result_t`), or `Some(None)` if the driver has no handler for the step or it has no
    /// result. `None` if there is no such function, or no driver with error handlers. May sleep.
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
                    // SAFETY: The device is locked and bound to this driver, as its handlers
                    // expect.
                    unsafe { call(dev) };
                }
                None
            }
        })
    }
}

/// A locked device, which stays bound to its driver.
///
/// # Invariants
///
/// This value holds the device's lock.
struct Locked<'a>(&'a HeldDevice);

impl<'a> Locked<'a> {
    fn new(device: &'a HeldDevice) -> Self {
        // SAFETY: By the invariant of `HeldDevice` the device is valid; the caller may sleep.
        unsafe { bindings::xen_rs_device_lock(&raw mut (*device.0.as_ptr()).dev) };
        // INVARIANT: The lock was just taken.
        Self(device)
    }

    /// # Safety
    ///
    /// The result is not used after `self` was dropped.
    unsafe fn handlers<'b>(&self) -> Option<&'b k::pci_error_handlers> {
        // SAFETY: By the type invariant the lock is held, so the driver stays bound; its handlers
        // are constant.
        unsafe {
            let driver = (*self.0 .0.as_ptr()).driver;
            driver.as_ref()?.err_handler.as_ref()
        }
    }

    fn set_state(&self, state: u32) {
        // SAFETY: By the invariant of `HeldDevice` the device is valid. The state is read without a
        // lock, so it is written as a whole.
        unsafe { (&raw mut (*self.0 .0.as_ptr()).error_state).write_volatile(state) };
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the lock is held.
        unsafe { bindings::xen_rs_device_unlock(&raw mut (*self.0 .0.as_ptr()).dev) };
    }
}
