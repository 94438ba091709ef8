//! `platform_op`: the machine's own matters, which only dom0 has.

use super::Reply;
use super::command::Command;
use crate::error::{Errno, Result};
use crate::system::{Caller, Platform};
use xen_abi::platform::{
    EnterAcpiSleep, Header, PcpuInfo, PcpuVersion, Settime64, UcodeRevision, op,
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
        // No EFI, no BIOS services: what Xen says when it has not found them.
        op::FIRMWARE_INFO => Err(Errno::ESRCH),
        _ => Err(Errno::ENOSYS),
    }
}
