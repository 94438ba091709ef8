//! `platform_op`: the machine's own matters, which only dom0 has.

use super::Reply;
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};
use core::mem::offset_of;
use xen_abi::platform::{
    EnterAcpiSleep, Header, INTERFACE_VERSION, PcpuInfo, PcpuVersion, Settime64, UcodeRevision, op,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `XEN_PCPU_FLAGS_ONLINE`.
const ONLINE: u32 = 1;
/// `XEN_PCPU_FLAGS_INVALID`.
const INVALID: u32 = 2;

pub(super) fn serve<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let header: Header = caller.get(arg)?;
    if header.interface_version != INTERFACE_VERSION {
        return Err(Errno::EACCES);
    }
    if !caller.is_privileged() {
        return Err(Errno::EPERM);
    }
    match header.cmd {
        op::SETTIME64 => {
            let args: Settime64 = part(&header);
            if args.mbz != 0 {
                return Err(Errno::EINVAL);
            }
            let nanoseconds = args
                .secs
                .checked_mul(1_000_000_000)
                .and_then(|s| s.checked_add(args.nsecs.into()));
            let base = nanoseconds
                .and_then(|now| now.checked_sub(args.system_time))
                .ok_or(Errno::EINVAL)?;
            caller.system.set_wall_clock(base);
            Ok(Reply::Value(0))
        }
        op::ENTER_ACPI_SLEEP => {
            let args: EnterAcpiSleep = part(&header);
            if args.sleep_state == 0 || args.sleep_state > 5 || args.flags > 1 {
                return Err(Errno::EINVAL);
            }
            caller
                .system
                .platform
                .enter_sleep(args.sleep_state, args.val_a, args.val_b)?;
            Ok(Reply::Value(0))
        }
        op::GET_CPUINFO => {
            let mut args: PcpuInfo = part(&header);
            let cpus = &caller.system.host.cpus;
            args.max_present = (cpus.len() as u32).saturating_sub(1);
            match cpus.get(args.xen_cpuid as usize) {
                None => args.flags = INVALID,
                Some(cpu) => {
                    args.apic_id = cpu.apic_id;
                    args.acpi_id = cpu.acpi_id;
                    args.flags = ONLINE;
                }
            }
            write_back(caller, arg, &args)
        }
        op::GET_CPU_VERSION => {
            let mut args: PcpuVersion = part(&header);
            let cpus = caller.system.host.cpus.len() as u32;
            args.max_present = cpus.saturating_sub(1);
            let (vendor, family, model, stepping) = caller.system.host.processor;
            let there = args.xen_cpuid < cpus;
            args.vendor_id = if there { vendor } else { [0; 12] };
            args.family = if there { family } else { 0 };
            args.model = if there { model } else { 0 };
            args.stepping = if there { stepping } else { 0 };
            write_back(caller, arg, &args)
        }
        op::GET_UCODE_REVISION => {
            let mut args: UcodeRevision = part(&header);
            let host = &caller.system.host;
            let cpu = host.cpus.get(args.cpu as usize).ok_or(Errno::ENOENT)?;
            args.signature = host.signature;
            args.pf = 0;
            args.revision = cpu.microcode;
            write_back(caller, arg, &args)
        }
        // No EFI, no BIOS services: what Xen says when it has not found them.
        op::FIRMWARE_INFO => Err(Errno::ESRCH),
        _ => Err(Errno::ENOSYS),
    }
}

/// The command's own argument.
fn part<T: FromBytes + IntoBytes>(header: &Header) -> T {
    let mut value = T::new_zeroed();
    let length = size_of::<T>();
    value
        .as_mut_bytes()
        .copy_from_slice(&header.u.as_bytes()[..length]);
    value
}

fn write_back<P: Platform, T: IntoBytes + Immutable>(
    caller: &mut Caller<'_, P>,
    arg: u64,
    value: &T,
) -> Result<Reply> {
    let at = arg
        .checked_add(offset_of!(Header, u) as u64)
        .ok_or(Errno::EFAULT)?;
    caller.put(at, value)?;
    Ok(Reply::Value(0))
}
