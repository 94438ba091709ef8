//! `platform_op`: the machine's own matters, which only dom0 has.

use super::Reply;
use super::command::Command;
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};
use xen_abi::platform::{
    EnterAcpiSleep, FirmwareInfo, Header, PcpuInfo, PcpuVersion, SetPminfo, Settime64,
    UcodeRevision, firmware, op, pm,
};

/// `XEN_PCPU_FLAGS_ONLINE`.
const ONLINE: u32 = 1;
/// `XEN_PCPU_FLAGS_INVALID`.
const INVALID: u32 = 2;

pub(super) fn serve<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let command: Command<Header> = Command::read(caller, arg)?;
    match command.header.cmd {
        op::SETTIME64 => {
            let args: Settime64 = command.part();
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
            let args: EnterAcpiSleep = command.part();
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
            let mut args: PcpuInfo = command.part();
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
            command.write_back(caller, &args)
        }
        op::GET_CPU_VERSION => {
            let mut args: PcpuVersion = command.part();
            let cpus = caller.system.host.cpus.len() as u32;
            args.max_present = cpus.saturating_sub(1);
            let (vendor, family, model, stepping) = caller.system.host.processor;
            let there = args.xen_cpuid < cpus;
            args.vendor_id = if there { vendor } else { [0; 12] };
            args.family = if there { family } else { 0 };
            args.model = if there { model } else { 0 };
            args.stepping = if there { stepping } else { 0 };
            command.write_back(caller, &args)
        }
        op::GET_UCODE_REVISION => {
            let mut args: UcodeRevision = command.part();
            let host = &caller.system.host;
            let cpu = host.cpus.get(args.cpu as usize).ok_or(Errno::ENOENT)?;
            args.signature = host.signature;
            args.pf = 0;
            args.revision = cpu.microcode;
            command.write_back(caller, &args)
        }
        op::FIRMWARE_INFO => {
            let args: FirmwareInfo = command.part();
            Err(match args.kind {
                // It is not booted by EFI.
                firmware::EFI_INFO => Errno::ENOSYS,
                // It does not ask the BIOS.
                firmware::DISK_INFO
                | firmware::DISK_MBR_SIGNATURE
                | firmware::VBEDDC_INFO
                | firmware::KBD_SHIFT_FLAGS => Errno::ESRCH,
                _ => Errno::EINVAL,
            })
        }
        op::SET_PROCESSOR_PMINFO => power(caller, &command.part()),
        // It knows of no screen.
        op::GET_DOM0_CONSOLE => Err(Errno::ENODEV),
        _ => Err(Errno::ENOSYS),
    }
}

/// What of `_PDC`'s capabilities dom0 may announce to the firmware: states for performance, idleness and throttling that
/// are reached by ports or HLT. States that are reached by MWAIT (bits 8 and 9) need an instruction that guests do not have,
/// and what stands for nothing here is not announced (Intel's processor vendor-specific ACPI specification).
const PDC: u32 = 0x8ff;

/// The revision of what `_PDC` is given.
const PDC_REVISION: u32 = 1;

/// Power management: no processor's state is changed here but by HLT, so what dom0 knows of states is of no use.
fn power<P: Platform>(caller: &mut Caller<'_, P>, args: &SetPminfo) -> Result<Reply> {
    match args.kind {
        pm::CX | pm::PX | pm::TX => return Err(Errno::ENOSYS),
        pm::PDC => {}
        _ => return Err(Errno::EINVAL),
    }
    let [revision, count]: [u32; 2] = caller.get(args.pdc)?;
    if revision != PDC_REVISION || count == 0 {
        return Err(Errno::EINVAL);
    }
    let mut cpus = caller.system.host.cpus.iter();
    if args.id != u32::MAX && !cpus.any(|cpu| cpu.acpi_id == args.id) {
        return Err(Errno::EINVAL);
    }
    let at = args.pdc.checked_add(8).ok_or(Errno::EFAULT)?;
    let capabilities: u32 = caller.get(at)?;
    caller.put(at, &(capabilities & PDC))?;
    Ok(Reply::Value(0))
}
