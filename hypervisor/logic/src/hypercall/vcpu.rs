// SPDX-License-Identifier: GPL-2.0

//! `vcpu_op`, `set_timer_op` and `vm_assist`.

use super::{Reply, VcpuAction, with_arg};
use crate::error::{Errno, Result};
use crate::system::vcpu::{GuestArea, VcpuId};
use crate::system::{Caller, Platform};
use xen_abi::compat::{Uint64, Ulong};
use xen_abi::hvm::vcpu::Context;
use xen_abi::vcpu::{RegisterVcpuInfo, RunstateInfo, SetSingleshotTimer, TimeInfo, op};
use xen_abi::xen::virq;

/// Shortest period of the periodic timer, a millisecond.
const MIN_PERIOD: u64 = 1_000_000;
/// Longest (`STIME_DELTA_MAX`).
const MAX_PERIOD: u64 = (1 << 56) - 1;
/// A deadline further away is taken for one that has wrapped.
const MAX_DELAY: u64 = 1 << 50;
/// When such a timer fires instead, in nanoseconds from now.
const WRAPPED_DELAY: u64 = 100_000_000;
/// `VMASST_TYPE_runstate_update_flag`, the only assist for translated guests.
const RUNSTATE_UPDATE_FLAG: u32 = 5;

pub(super) fn do_vcpu_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    vcpu: u32,
    arg: u64,
) -> Result<Reply> {
    let id = caller.vcpu.domain;
    caller.domain()?.vcpu(vcpu).ok_or(Errno::ENOENT)?;
    let target = VcpuId { domain: id, vcpu };
    let own = target == caller.vcpu;
    match command {
        op::INITIALISE => with_arg(caller, arg, |caller, context: Context| {
            if caller.system.vcpu_mut(target)?.initialised {
                return Err(Errno::EEXIST);
            }
            if context.pad != 0 {
                return Err(Errno::EINVAL);
            }
            caller.system.platform.initialise_vcpu(target, &context)?;
            // It stays down until `VCPUOP_up`.
            caller.system.vcpu_mut(target)?.initialised = true;
            Ok(())
        }),
        op::UP => {
            if !caller.system.vcpu_mut(target)?.initialised {
                return Err(Errno::EINVAL);
            }
            caller.system.vcpu_up(target)?;
            Ok(Reply::Value(0))
        }
        op::DOWN => {
            let is_last = caller.system.power_off_vcpu(target)?;
            Ok(if own || is_last {
                VcpuAction::Stop.into()
            } else {
                Reply::Value(0)
            })
        }
        op::IS_UP => Ok(Reply::Value(u64::from(
            !caller.system.vcpu_mut(target)?.down,
        ))),
        op::GET_RUNSTATE_INFO => {
            let now = caller.system.platform.now();
            let info = caller.system.vcpu_mut(target)?.runstate.info_at(now);
            caller.write_arg(arg, &info)?;
            Ok(Reply::Value(0))
        }
        op::REGISTER_RUNSTATE_MEMORY_AREA => {
            let Ulong(address) = caller.read_arg(arg)?;
            let area = virtual_area(address, caller.size_of::<RunstateInfo>())?;
            replace_area(caller, target, area, |state| &mut state.runstate_area)?;
            caller.system.vcpu_mut(target)?.runstate_abi = caller.abi;
            let paging = caller.paging;
            caller.system.update_runstate_area(target, Some(&paging));
            Ok(Reply::Value(0))
        }
        op::REGISTER_RUNSTATE_PHYS_AREA => {
            let Uint64(address) = caller.read_arg(arg)?;
            let size = caller.size_of::<RunstateInfo>();
            let area = caller.system.physical_area(id, address, size as usize)?;
            replace_area(caller, target, area, |state| &mut state.runstate_area)?;
            caller.system.vcpu_mut(target)?.runstate_abi = caller.abi;
            caller.system.update_runstate_area(target, None);
            Ok(Reply::Value(0))
        }
        op::REGISTER_VCPU_TIME_MEMORY_AREA => {
            let Ulong(address) = caller.read_arg(arg)?;
            let area = virtual_area(address, caller.size_of::<TimeInfo>())?;
            replace_area(caller, target, area, |state| &mut state.time_area)?;
            let paging = caller.paging;
            caller.system.update_system_time(target);
            caller.system.update_secondary_system_time(target, &paging);
            Ok(Reply::Value(0))
        }
        op::REGISTER_VCPU_TIME_PHYS_AREA => {
            let Uint64(address) = caller.read_arg(arg)?;
            let area = caller
                .system
                .physical_area(id, address, size_of::<TimeInfo>())?;
            replace_area(caller, target, area, |state| &mut state.time_area)?;
            caller.system.update_system_time(target);
            Ok(Reply::Value(0))
        }
        op::SET_PERIODIC_TIMER => with_arg(caller, arg, |caller, Uint64(period)| {
            if !(MIN_PERIOD..=MAX_PERIOD).contains(&period) {
                return Err(Errno::EINVAL);
            }
            let next = caller.system.platform.now().saturating_add(period);
            caller
                .system
                .update_timers(target, |state| state.periodic = Some((period, next)))?;
            Ok(())
        }),
        op::STOP_PERIODIC_TIMER => {
            caller
                .system
                .update_timers(target, |state| state.periodic = None)?;
            Ok(Reply::Value(0))
        }
        op::SET_SINGLESHOT_TIMER | op::STOP_SINGLESHOT_TIMER if !own => Err(Errno::EINVAL),
        op::SET_SINGLESHOT_TIMER => with_arg(caller, arg, |caller, args: SetSingleshotTimer| {
            let past = args.timeout_abs_ns < caller.system.platform.now();
            let at = (!past).then_some(args.timeout_abs_ns);
            caller
                .system
                .update_timers(target, |state| state.single_shot = at)?;
            if past {
                caller.system.send_vcpu_virq(target, virq::TIMER);
            }
            Ok(())
        }),
        op::STOP_SINGLESHOT_TIMER => {
            caller
                .system
                .update_timers(target, |state| state.single_shot = None)?;
            Ok(Reply::Value(0))
        }
        op::REGISTER_VCPU_INFO => with_arg(caller, arg, |caller, args: RegisterVcpuInfo| {
            caller
                .system
                .register_vcpu_info(target, args.mfn, args.offset)
        }),
        op::SEND_NMI if arg != 0 => Err(Errno::EINVAL),
        op::SEND_NMI => {
            // A vCPU that is down stays down, and takes the NMI when it is brought up.
            if !core::mem::replace(&mut caller.system.vcpu_mut(target)?.nmi_pending, true) {
                caller.system.platform.vcpu_unblock(target);
            }
            Ok(Reply::Value(0))
        }
        // vCPUs are not pinned, so they have no physical id.
        op::GET_PHYSID => Err(Errno::EINVAL),
        _ => Err(Errno::ENOSYS),
    }
}

/// Registers an area at a virtual address. It need not be mapped now: each write translates it anew.
fn virtual_area(address: u64, size: u64) -> Result<GuestArea> {
    // A null handle unregisters the area.
    if address == 0 {
        return Ok(GuestArea::None);
    }
    address.checked_add(size).ok_or(Errno::EFAULT)?;
    Ok(GuestArea::Virtual(address))
}

/// Replaces an area of a vCPU, and drops the reference of the old one.
fn replace_area<P: Platform>(
    caller: &mut Caller<'_, P>,
    target: VcpuId,
    area: GuestArea,
    field: impl FnOnce(&mut crate::system::vcpu::Vcpu) -> &mut GuestArea,
) -> Result<()> {
    let old = core::mem::replace(field(caller.system.vcpu_mut(target)?), area);
    caller.system.unmap_guest_area(old);
    Ok(())
}

/// `set_timer_op`: the caller's single-shot timer, at a system time; 0 stops it.
pub(super) fn do_set_timer_op<P: Platform>(caller: &mut Caller<'_, P>, at: u64) -> Result<Reply> {
    let now = caller.system.platform.now();
    let negative = at >> 63 != 0;
    let far = at > now && at - now >= MAX_DELAY;
    let at = match at {
        0 => None,
        // Linux's time has wrapped, or it means "never": the timer fires soon, but not at once, as in Xen.
        _ if negative || far => Some(now + WRAPPED_DELAY),
        at => Some(at),
    };
    let vcpu = caller.vcpu;
    caller
        .system
        .update_timers(vcpu, |state| state.single_shot = at)?;
    Ok(Reply::Value(0))
}

/// `vm_assist`: enables (0) or disables (1) an assist of the guest.
pub(super) fn do_vm_assist<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    assist: u32,
) -> Result<Reply> {
    if assist != RUNSTATE_UPDATE_FLAG {
        return Err(Errno::EINVAL);
    }
    let on = match command {
        0 => true,
        1 => false,
        _ => return Err(Errno::ENOSYS),
    };
    caller.domain_mut()?.runstate_update_flag = on;
    Ok(Reply::Value(0))
}
