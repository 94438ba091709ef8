// SPDX-License-Identifier: GPL-2.0

//! `platform_op`.

use paravane::error::{Errno, Result};
use paravane::mem::GuestMemory;

use super::Call;
use crate::arch::{power, time};

/// `XENPF_INTERFACE_VERSION`.
const VERSION: u32 = 0x0300_0000;
/// Sleep state S5: the machine is off.
const OFF: u32 = 5;

/// Carries out a command; the argument is a `xen_platform_op`, whose union starts at 8.
pub fn call(call: &mut Call, argument: u64) -> Result<u64> {
    let [command, version, words @ ..]: [u32; 8] = call.memory.get(argument)?;
    if version != VERSION {
        return Err(Errno::EACCES);
    }
    match command {
        // XENPF_enter_acpi_sleep: the two values, the state, flags.
        51 => {
            let [values, state, flags, ..] = words;
            if flags != 0 {
                return Err(Errno::EINVAL);
            }
            if state != OFF {
                // The processors' state is not saved yet.
                return Err(Errno::EOPNOTSUPP);
            }
            log::info!("dom0 turns the machine off");
            power::enter([values as u16, (values >> 16) as u16]);
            Err(Errno::EIO)
        }
        // XENPF_settime64: seconds, nanoseconds, zero, and the system time at which it is that late.
        62 => {
            let [low, high, nanoseconds, zero, system_low, system_high] = words;
            if zero != 0 {
                return Err(Errno::EINVAL);
            }
            let seconds = u64::from(high) << 32 | u64::from(low);
            let system = u64::from(system_high) << 32 | u64::from(system_low);
            let system = system.min(time::now());
            let total = u128::from(seconds) * 1_000_000_000 + u128::from(nanoseconds);
            let start = total.saturating_sub(u128::from(system));
            call.domain.set_wall_clock(
                (start / 1_000_000_000) as u64,
                (start % 1_000_000_000) as u32,
            );
            Ok(0)
        }
        _ => Err(Errno::ENOSYS),
    }
}
