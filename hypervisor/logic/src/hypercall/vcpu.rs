//! `vcpu_op`, `set_timer_op` and `vm_assist`: what concerns one vCPU.

use super::{After, Reply, given};
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::vcpu::{Area, VcpuId};
use crate::system::{Caller, Platform};
use xen_abi::hvm::vcpu::Context;
use xen_abi::sched::shutdown;
use xen_abi::vcpu::{RegisterVcpuInfo, RunstateInfo, SetSingleshotTimer, TimeInfo, op};
use xen_abi::xen::virq;

/// Shortest period of the periodic timer, a millisecond.
const SHORTEST_PERIOD: u64 = 1_000_000;
/// Longest (`STIME_DELTA_MAX`).
const LONGEST_PERIOD: u64 = (1 << 56) - 1;
/// A time further away is taken for one that has wrapped.
const FAR: u64 = 1 << 50;
/// When such a timer fires instead: in a tenth of a second.
const INSTEAD: u64 = 100_000_000;
/// `VMASST_TYPE_runstate_update_flag`, the one assistance that a translated guest has.
const RUNSTATE_UPDATE_FLAG: u32 = 5;

pub(super) fn serve<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    vcpu: u32,
    arg: u64,
) -> Result<Reply> {
    let id = caller.vcpu.domain;
    caller.domain()?.vcpu(vcpu).ok_or(Errno::ENOENT)?;
    let who = VcpuId { domain: id, vcpu };
    let own = who == caller.vcpu;
    match command {
        op::INITIALISE => given(caller, arg, |caller, context: Context| {
            if caller.system.vcpu_mut(who)?.initialised {
                return Err(Errno::EEXIST);
            }
            if context.pad != 0 {
                return Err(Errno::EINVAL);
            }
            caller.system.platform.initialise(who, &context)?;
            let state = caller.system.vcpu_mut(who)?;
            state.initialised = true;
            state.down = true;
            Ok(())
        }),
        op::UP => {
            let state = caller.system.vcpu_mut(who)?;
            if !state.initialised {
                return Err(Errno::EINVAL);
            }
            if core::mem::take(&mut state.down) {
                caller.system.platform.wake(who);
            }
            Ok(Reply::Value(0))
        }
        op::DOWN => {
            let up = |(number, state): (usize, &crate::system::vcpu::Vcpu)| {
                number != vcpu as usize && !state.down
            };
            if !caller.domain()?.vcpus.iter().enumerate().any(up) {
                // The last one turns off the light.
                caller.system.shut_down(id, shutdown::POWEROFF as u8)?;
                return Ok(After::Stop.into());
            }
            if !core::mem::replace(&mut caller.system.vcpu_mut(who)?.down, true) {
                caller.system.platform.stop(who);
            }
            Ok(if own {
                After::Stop.into()
            } else {
                Reply::Value(0)
            })
        }
        op::IS_UP => Ok(Reply::Value(u64::from(!caller.system.vcpu_mut(who)?.down))),
        op::GET_RUNSTATE_INFO => {
            let now = caller.system.platform.now();
            let info = caller.system.vcpu_mut(who)?.times.info_at(now);
            caller.put(arg, &info)?;
            Ok(Reply::Value(0))
        }
        op::REGISTER_RUNSTATE_MEMORY_AREA => {
            let address: u64 = caller.get(arg)?;
            let area = virtual_area(caller, address, size_of::<RunstateInfo>())?;
            replace(caller, who, area, |state| &mut state.runstate_area)?;
            let paging = caller.paging;
            caller.system.write_runstate(who, Some(&paging));
            Ok(Reply::Value(0))
        }
        op::REGISTER_RUNSTATE_PHYS_AREA => {
            let address: u64 = caller.get(arg)?;
            let area = caller
                .system
                .physical_area(id, address, size_of::<RunstateInfo>())?;
            replace(caller, who, area, |state| &mut state.runstate_area)?;
            caller.system.write_runstate(who, None);
            Ok(Reply::Value(0))
        }
        op::REGISTER_VCPU_TIME_MEMORY_AREA => {
            let address: u64 = caller.get(arg)?;
            let area = virtual_area(caller, address, size_of::<TimeInfo>())?;
            replace(caller, who, area, |state| &mut state.time_area)?;
            let paging = caller.paging;
            caller.system.update_clock(who);
            caller.system.update_virtual_clock(who, &paging);
            Ok(Reply::Value(0))
        }
        op::REGISTER_VCPU_TIME_PHYS_AREA => {
            let address: u64 = caller.get(arg)?;
            let area = caller
                .system
                .physical_area(id, address, size_of::<TimeInfo>())?;
            replace(caller, who, area, |state| &mut state.time_area)?;
            caller.system.update_clock(who);
            Ok(Reply::Value(0))
        }
        op::SET_PERIODIC_TIMER => given(caller, arg, |caller, period: u64| {
            if !(SHORTEST_PERIOD..=LONGEST_PERIOD).contains(&period) {
                return Err(Errno::EINVAL);
            }
            let next = caller.system.platform.now().saturating_add(period);
            caller
                .system
                .change_timers(who, |state| state.periodic = Some((period, next)))?;
            Ok(())
        }),
        op::STOP_PERIODIC_TIMER => {
            caller
                .system
                .change_timers(who, |state| state.periodic = None)?;
            Ok(Reply::Value(0))
        }
        op::SET_SINGLESHOT_TIMER | op::STOP_SINGLESHOT_TIMER if !own => Err(Errno::EINVAL),
        op::SET_SINGLESHOT_TIMER => given(caller, arg, |caller, args: SetSingleshotTimer| {
            let past = args.timeout_abs_ns < caller.system.platform.now();
            let at = (!past).then_some(args.timeout_abs_ns);
            caller
                .system
                .change_timers(who, |state| state.single_shot = at)?;
            if past {
                caller.system.raise_vcpu_virq(who, virq::TIMER);
            }
            Ok(())
        }),
        op::STOP_SINGLESHOT_TIMER => {
            caller
                .system
                .change_timers(who, |state| state.single_shot = None)?;
            Ok(Reply::Value(0))
        }
        op::REGISTER_VCPU_INFO => given(caller, arg, |caller, args: RegisterVcpuInfo| {
            caller.system.register_vcpu_info(who, args.mfn, args.offset)
        }),
        op::SEND_NMI if arg != 0 => Err(Errno::EINVAL),
        op::SEND_NMI => {
            if !core::mem::replace(&mut caller.system.vcpu_mut(who)?.nmi_pending, true) {
                caller.system.platform.wake(who);
            }
            Ok(Reply::Value(0))
        }
        // vCPUs are not pinned, so they have no identity of a CPU's.
        op::GET_PHYSID => Err(Errno::EINVAL),
        _ => Err(Errno::ENOSYS),
    }
}

/// An area at a virtual address. It may not be there now: it is written when it is.
fn virtual_area<P: Platform>(_: &Caller<'_, P>, address: u64, size: usize) -> Result<Area> {
    // Null takes the area away.
    if address == 0 {
        return Ok(Area::None);
    }
    address.checked_add(size as u64).ok_or(Errno::EFAULT)?;
    Ok(Area::Virtual(address))
}

fn replace<P: Platform>(
    caller: &mut Caller<'_, P>,
    who: VcpuId,
    area: Area,
    place: impl FnOnce(&mut crate::system::vcpu::Vcpu) -> &mut Area,
) -> Result<()> {
    let old = core::mem::replace(place(caller.system.vcpu_mut(who)?), area);
    caller.system.drop_area(old);
    Ok(())
}

/// `set_timer_op`: the caller's single-shot timer, at a system time; 0 stops it.
pub(super) fn set_timer<P: Platform>(caller: &mut Caller<'_, P>, at: u64) -> Result<Reply> {
    let now = caller.system.platform.now();
    let negative = at >> 63 != 0;
    let far = at > now && at - now >= FAR;
    let at = match at {
        0 => None,
        // Linux's time has wrapped, or it means "never": see to it, but not at once.
        _ if negative || far => Some(now + INSTEAD),
        at => Some(at),
    };
    let vcpu = caller.vcpu;
    caller
        .system
        .change_timers(vcpu, |state| state.single_shot = at)?;
    Ok(Reply::Value(0))
}

/// `vm_assist`: switches one of the guest's wishes on (0) or off (1).
pub(super) fn assist<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    kind: u32,
) -> Result<Reply> {
    if kind != RUNSTATE_UPDATE_FLAG {
        return Err(Errno::EINVAL);
    }
    let on = match command {
        0 => true,
        1 => false,
        _ => return Err(Errno::ENOSYS),
    };
    caller.domain_mut()?.runstate_flag = on;
    Ok(Reply::Value(0))
}
