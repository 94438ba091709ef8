// SPDX-License-Identifier: GPL-2.0

//! The hypercalls dom0 makes while it boots. Arguments are copied in once, results copied out; what is not served
//! is -ENOSYS and said once a number.

pub mod events;
mod hvm;
mod memory;
mod physdev;
mod platform;
mod sched;
mod vcpu;
mod version;

pub use version::VERSION;

use core::sync::atomic::{AtomicU64, Ordering};

use paravane::error::{Errno, Result};
use xen_abi::xen::hypercall;

use crate::arch::{self, serial};
use crate::domain::{Domain, Vcpu};
use crate::vcpu::memory::Virtual;
use paravane::mem::GuestMemory;

/// A hypercall being carried out.
pub struct Call {
    /// Who asks.
    pub domain: &'static Domain,
    /// By which vCPU.
    pub vcpu: &'static Vcpu,
    /// Its memory.
    pub memory: Virtual,
    /// Whether the caller runs 64-bit code.
    pub wide: bool,
}

/// How a hypercall ends.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// With a value for RAX.
    Done(u64),
    /// The vCPU sleeps until an event comes.
    Block,
    /// The domain ends, for a reason (`SHUTDOWN_*`).
    Shutdown(u32),
}

/// Carries out a hypercall.
pub fn dispatch(call: &mut Call, number: u32, arguments: [u64; 5]) -> Outcome {
    let [first, second, third, ..] = arguments;
    if !call.wide && number != hypercall::SCHED_OP {
        log::warn!("hypercall {number} from 32-bit code is not served");
        return Outcome::Done(Errno::ENOSYS.register());
    }
    let result = match number {
        hypercall::XEN_VERSION => version::call(call, first as u32, second),
        hypercall::MEMORY_OP => memory::call(call, first as u32, second),
        hypercall::EVENT_CHANNEL_OP => events::call(call, first as u32, second),
        hypercall::VCPU_OP => vcpu::call(call, first as u32, second as u32, third),
        hypercall::SET_TIMER_OP => {
            call.vcpu.timer.store(first, Ordering::SeqCst);
            Ok(0)
        }
        // VMASST_CMD_enable of VMASST_TYPE_runstate_update_flag: that is how it is always written.
        hypercall::VM_ASSIST if (first, second) == (0, 5) => Ok(0),
        hypercall::PHYSDEV_OP => physdev::call(call, first as u32, second),
        hypercall::PLATFORM_OP => platform::call(call, first),
        hypercall::HVM_OP => hvm::call(call, first as u32, second),
        hypercall::CONSOLE_IO => console(call, first as u32, second, third),
        hypercall::SCHED_OP => return sched::call(call, first as u32, second),
        _ => Err(Errno::ENOSYS),
    };
    if result == Err(Errno::ENOSYS) {
        say_once(number, first);
    }
    Outcome::Done(result.unwrap_or_else(Errno::register))
}

/// Tells of a hypercall that is not served, once a number.
fn say_once(number: u32, command: u64) {
    static SAID: AtomicU64 = AtomicU64::new(0);
    let bit = 1 << (number % 64);
    if SAID.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        log::info!("d0: hypercall {number}, command {command}, is not served");
    }
}

/// `console_io`: dom0's console is ours. Returns how many bytes were read, or 0.
fn console(call: &mut Call, command: u32, count: u64, address: u64) -> Result<u64> {
    // A C int, and not negative.
    if count as u32 > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    let count = u64::from(count as u32);
    match command {
        0 => {
            let mut done = 0;
            let mut bytes = [0; 128];
            while done < count {
                let piece = (count - done).min(bytes.len() as u64) as usize;
                let part = &mut bytes[..piece];
                call.memory.copy_in(address.wrapping_add(done), part)?;
                serial::write_bytes(part);
                done += piece as u64;
            }
            Ok(0)
        }
        1 => {
            let mut done = 0;
            while let Some(byte) = (done < count).then(serial::try_read).flatten() {
                call.memory.copy_out(address.wrapping_add(done), &[byte])?;
                done += 1;
            }
            Ok(done)
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// dom0 ends: the machine starts again or is halted. Turning it off is done by dom0 itself, through ACPI.
pub fn shutdown(reason: u32) -> ! {
    log::info!("dom0 ends, reason {reason}");
    match reason {
        // SHUTDOWN_reboot.
        1 => arch::cpu::reboot(),
        // SHUTDOWN_crash.
        3 => panic!("dom0 crashed"),
        _ => arch::halt_forever(),
    }
}
