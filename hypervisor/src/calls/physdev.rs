// SPDX-License-Identifier: GPL-2.0

//! `physdev_op`.

use paravane::error::{Errno, Result};
use paravane::mem::GuestMemory;

use super::Call;

/// Carries out a command.
pub fn call(call: &mut Call, command: u32, argument: u64) -> Result<u64> {
    match command {
        // PHYSDEVOP_pci_device_add: segment, bus, function; what follows says more of virtual functions.
        25 => {
            let [segment, place]: [u16; 2] = call.memory.get(argument)?;
            // In memory the bus comes first.
            let bdf = place.swap_bytes();
            if segment != 0 || !call.domain.pci.lock().add(bdf) {
                return Err(Errno::ENODEV);
            }
            Ok(0)
        }
        _ => Err(Errno::ENOSYS),
    }
}
