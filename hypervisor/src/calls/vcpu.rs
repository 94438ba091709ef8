// SPDX-License-Identifier: GPL-2.0

//! `vcpu_op`.

use core::sync::atomic::Ordering;

use paravane::error::{Errno, Result};
use paravane::mem::{GuestMemory, MachineMemory};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Call;
use crate::arch::{phys::Machine, time};
use crate::domain::Activity;
use crate::vcpu::runstate;

/// `vcpu_register_vcpu_info`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RegisterInfo {
    gfn: u64,
    offset: u32,
    reserved: u32,
}

/// `vcpu_set_singleshot_timer`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct SingleShot {
    at: u64,
    flags: u32,
    padding: u32,
}

/// Bytes of a `vcpu_info`.
const INFO: usize = 64;
/// `VCPU_SSHOTTMR_future`.
const FUTURE: u32 = 1;

/// Carries out a command for a vCPU.
pub fn call(call: &mut Call, command: u32, id: u32, argument: u64) -> Result<u64> {
    let vcpu = call.domain.vcpus.get(id as usize).ok_or(Errno::ENOENT)?;
    match command {
        // VCPUOP_is_up.
        3 => Ok(u64::from(*vcpu.activity.lock() == Activity::On)),
        // VCPUOP_get_runstate_info.
        4 => {
            let bytes = vcpu.runstate.lock().bytes(time::now());
            call.memory.copy_out(argument, &bytes)?;
            Ok(0)
        }
        // VCPUOP_register_runstate_memory_area: the argument holds a virtual address.
        5 => {
            let address: u64 = call.memory.get(argument)?;
            let end = address
                .checked_add(runstate::SIZE as u64 - 1)
                .ok_or(Errno::EFAULT)?;
            let first = call.memory.physical(address, true)?;
            let next = call.memory.physical(end, true)? & !0xfff;
            if address % 8 != 0 || call.domain.machine_address(first, true).is_none() {
                return Err(Errno::EINVAL);
            }
            vcpu.runstate.lock().register(call.domain, first, next);
            Ok(0)
        }
        // VCPUOP_stop_periodic_timer: there is never one running.
        7 => Ok(0),
        // VCPUOP_set_singleshot_timer.
        8 => {
            if vcpu.id != call.vcpu.id {
                return Err(Errno::EINVAL);
            }
            let timer: SingleShot = call.memory.get(argument)?;
            if timer.flags & FUTURE != 0 && timer.at < time::now() {
                return Err(Errno::ETIME);
            }
            vcpu.timer.store(timer.at.max(1), Ordering::SeqCst);
            Ok(0)
        }
        // VCPUOP_stop_singleshot_timer.
        9 => {
            vcpu.timer.store(0, Ordering::SeqCst);
            Ok(0)
        }
        // VCPUOP_register_vcpu_info.
        10 => {
            let place: RegisterInfo = call.memory.get(argument)?;
            if place.offset as usize > 4096 - INFO || place.offset % 8 != 0 {
                return Err(Errno::EINVAL);
            }
            let gpa = place.gfn.checked_mul(4096).ok_or(Errno::EINVAL)? + u64::from(place.offset);
            let new = call
                .domain
                .machine_address(gpa, true)
                .ok_or(Errno::EINVAL)?;
            let old = vcpu.info.load(Ordering::SeqCst);
            if !call.domain.shared_info.range().contains(&old) {
                return Err(Errno::EINVAL);
            }
            let mut bytes = [0; INFO];
            Machine.read(old, &mut bytes);
            Machine.write(new, &bytes);
            vcpu.info.store(new, Ordering::SeqCst);
            call.domain.write_time(vcpu);
            // What was raised meanwhile may have gone to the old place: have everything looked at again.
            Machine.fetch_or_u64(new + 8, !0);
            Machine.swap_u8(new, 1);
            call.domain.notify(vcpu);
            Ok(0)
        }
        _ => Err(Errno::ENOSYS),
    }
}
