// SPDX-License-Identifier: GPL-2.0

//! Errors of devices: what their drivers say to each step of the recovery.
//!
//! The steps are those that the PCI core takes for errors it finds itself: under the device's lock, so that the driver
//! stays, and with the device's state set for the driver to see.

use kernel::bindings as k;
use xen_bindings as bindings;
use xen_ring::pciif::{Channel, Recovery, Step};

use super::bus::HeldDevice;
use super::RootBus;

impl RootBus {
    /// Has the driver of a function take a step. Nothing if there is no such function, or no driver. May sleep, as long
    /// as the driver likes.
    pub fn recover(&self, devfn: u8, step: Step, channel: Channel) -> Option<Recovery> {
        let device = self.device(devfn)?;
        let locked = Locked::new(&device);
        // SAFETY: The driver stays while its device is locked.
        let handlers = unsafe { locked.handlers() }?;
        let dev = device.0.as_ptr();
        let number = match step {
            Step::Detected => {
                locked.set_state(channel as u32);
                let call = handlers.error_detected;
                // SAFETY: That is how a driver's functions are called; so below.
                call.map(|call| unsafe { call(dev, channel as u32) })
            }
            // SAFETY: As above.
            Step::MmioEnabled => handlers.mmio_enabled.map(|call| unsafe { call(dev) }),
            Step::SlotReset => {
                locked.set_state(k::pci_channel_io_normal);
                // SAFETY: As above.
                handlers.slot_reset.map(|call| unsafe { call(dev) })
            }
            Step::Resume => {
                locked.set_state(k::pci_channel_io_normal);
                if let Some(call) = handlers.resume {
                    // SAFETY: As above.
                    unsafe { call(dev) };
                }
                None
            }
        };
        let answer = number.and_then(Recovery::from_number);
        Some(answer.unwrap_or(Recovery::None))
    }
}

/// A device whose driver stays as it is.
struct Locked<'a>(&'a HeldDevice);

impl<'a> Locked<'a> {
    fn new(device: &'a HeldDevice) -> Self {
        // SAFETY: The device is valid; may sleep.
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
        // SAFETY: The device is valid. Others read the state without a lock.
        unsafe { (&raw mut (*self.0 .0.as_ptr()).error_state).write_volatile(state) };
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: It was locked by this task.
        unsafe { bindings::xen_rs_device_unlock(&raw mut (*self.0 .0.as_ptr()).dev) };
    }
}
