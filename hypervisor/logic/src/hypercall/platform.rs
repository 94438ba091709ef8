// SPDX-License-Identifier: GPL-2.0

//! `platform_op`: the machine's clock, CPUs, firmware and power, for dom0.

mod resource;

use super::Reply;
use super::command::Command;
use crate::error::{Errno, Result};
use crate::mem::access::NativeStructures;
use crate::system::{Caller, Platform};
use xen_abi::platform::{
    EnterAcpiSleep, FirmwareInfo, Header, PcpuInfo, PcpuVersion, SetPminfo, Settime64,
    UcodeRevision, firmware, op, pm,
};

/// `XEN_PCPU_FLAGS_ONLINE`.
const ONLINE: u32 = 1;
/// `XEN_PCPU_FLAGS_INVALID`.
const INVALID: u32 = 2;

pub(super) fn do_platform_op<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let command: Command<Header> = Command::copy_from_guest(caller, arg)?;
    match command.header.cmd {
        op::SETTIME64 => {
            let args: Settime64 = command.argument();
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
            let args: EnterAcpiSleep = command.argument();
            if args.sleep_state == 0 || args.sleep_state > 5 || args.flags > 1 {
                return Err(Errno::EINVAL);
            }
            caller
                .system
                .platform
                .enter_acpi_sleep(args.sleep_state, args.val_a, args.val_b)?;
            Ok(Reply::Value(0))
        }
        op::GET_CPUINFO => {
            let mut args: PcpuInfo = command.argument();
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
            command.copyback(caller, &args)
        }
        op::GET_CPU_VERSION => {
            let mut args: PcpuVersion = command.argument();
            let cpus = caller.system.host.cpus.len() as u32;
            args.max_present = cpus.saturating_sub(1);
            let (vendor, family, model, stepping) = caller.system.host.processor;
            let there = args.xen_cpuid < cpus;
            args.vendor_id = if there { vendor } else { [0; 12] };
            args.family = if there { family } else { 0 };
            args.model = if there { model } else { 0 };
            args.stepping = if there { stepping } else { 0 };
            command.copyback(caller, &args)
        }
        op::GET_UCODE_REVISION => {
            let mut args: UcodeRevision = command.argument();
            let host = &caller.system.host;
            let cpu = host.cpus.get(args.cpu as usize).ok_or(Errno::ENOENT)?;
            args.signature = host.signature;
            args.pf = 0;
            args.revision = cpu.microcode;
            command.copyback(caller, &args)
        }
        op::FIRMWARE_INFO => {
            let args: FirmwareInfo = command.argument();
            Err(match args.kind {
                // EFI is not supported.
                firmware::EFI_INFO => Errno::ENOSYS,
                // The BIOS is never called.
                firmware::DISK_INFO
                | firmware::DISK_MBR_SIGNATURE
                | firmware::VBEDDC_INFO
                | firmware::KBD_SHIFT_FLAGS => Errno::ESRCH,
                _ => Errno::EINVAL,
            })
        }
        op::RESOURCE_OP => resource::access(caller, &command.argument()),
        op::SET_PROCESSOR_PMINFO => set_pminfo(caller, &command.argument()),
        // No screen is known.
        op::GET_DOM0_CONSOLE => Err(Errno::ENODEV),
        _ => Err(Errno::ENOSYS),
    }
}

/// The `_PDC` capabilities that dom0 may announce to the firmware: performance, idle and throttling states that are
/// entered by ports or HLT. Those that are entered by MWAIT (bits 8 and 9) need an instruction that guests do not have
/// (Intel's processor vendor-specific ACPI specification).
const PDC: u32 = 0x8ff;

/// The revision of `_PDC`'s argument.
const PDC_REVISION: u32 = 1;

/// `XENPF_set_processor_pminfo`: CPUs enter no state but that of HLT, so tables of states are refused, and only `_PDC`
/// is answered.
fn set_pminfo<P: Platform>(caller: &mut Caller<'_, P>, args: &SetPminfo) -> Result<Reply> {
    match args.kind {
        pm::CX | pm::PX | pm::TX => return Err(Errno::ENOSYS),
        pm::PDC => {}
        _ => return Err(Errno::EINVAL),
    }
    let [revision, count]: [u32; 2] = caller.copy_from_guest(args.pdc)?;
    if revision != PDC_REVISION || count == 0 {
        return Err(Errno::EINVAL);
    }
    let mut cpus = caller.system.host.cpus.iter();
    if args.id != u32::MAX && !cpus.any(|cpu| cpu.acpi_id == args.id) {
        return Err(Errno::EINVAL);
    }
    let at = args.pdc.checked_add(8).ok_or(Errno::EFAULT)?;
    let capabilities: u32 = caller.copy_from_guest(at)?;
    caller.copy_to_guest(at, &(capabilities & PDC))?;
    Ok(Reply::Value(0))
}
