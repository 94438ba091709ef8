// SPDX-License-Identifier: GPL-2.0

//! What a domain meets outside of its memory: ports, unmapped addresses, MSRs, and what its end means. There is one
//! policy for each kind of domain, so no emulation asks which domain it works for.

use arrayvec::ArrayString;
use paravane::mem::Gfn;
use paravane::mem::frames::DomId;
use paravane::msr::{self, MsrPolicy};
use paravane::system::gfn_access::NestedAccess;
use paravane::system::vcpu::VcpuId;
use xen_abi::hvm::params;
use xen_abi::sched::shutdown;

use super::Domain;
use crate::arch::{self, serial};
use crate::io::ports;
use crate::platform::system;

/// A policy. The default functions are those of a domain without devices.
pub trait DomainPolicy: Sync {
    /// Reads 1, 2 or 4 bytes from an intercepted port. Bits beyond them are ignored.
    fn read_port(&self, _: &Domain, _port: u16, _size: u8) -> u32 {
        !0
    }

    /// Writes 1, 2 or 4 bytes to an intercepted port.
    fn write_port(&self, _: &Domain, _port: u16, _size: u8, _value: u32) {}

    /// Whether something is behind an intercepted port.
    fn is_there(&self, _port: u16) -> bool {
        true
    }

    /// Maps memory at a guest-physical address that the domain has accessed, or lets the domain write to it. True if the
    /// access is to be made again. False if there is none, and the access is emulated. The system is not locked.
    fn map_on_access(&self, domain: &Domain, gpa: u64, access: NestedAccess) -> bool {
        system().nested_page_fault(domain.id, Gfn::of(gpa), access)
    }

    /// Reads up to 8 bytes of emulated registers; all ones where there are none.
    fn read_mmio(&self, _: &Domain, _gpa: u64, _size: usize) -> u64 {
        !0
    }

    /// Writes up to 8 bytes to emulated registers. The write is lost where there are none.
    fn write_mmio(&self, _: &Domain, _gpa: u64, _size: usize, _value: u64) {}

    /// How an MSR is handled.
    fn msr(&self, number: u32) -> MsrPolicy {
        msr::guest_policy(number)
    }

    /// A vCPU has had a triple fault: the domain shuts down for the reason that `HVM_PARAM_TRIPLE_FAULT_REASON` has.
    /// The system is not locked.
    fn triple_fault(&self, vcpu: VcpuId) {
        let mut system = system();
        let reason = system
            .domain(vcpu.domain)
            .map(|domain| domain.params[params::TRIPLE_FAULT_REASON as usize]);
        // The domain is there as long as its vCPUs run.
        let _ = system.shut_down(vcpu.domain, reason.unwrap_or(0) as u8);
    }

    /// The domain cannot continue, by its own fault: it shuts down as crashed. The system is not locked.
    fn crash(&self, vcpu: VcpuId, _why: &str) {
        let _ = system().shut_down(vcpu.domain, shutdown::CRASH as u8);
    }
}

/// The policy of the kind of a domain.
pub fn of(is_hardware_domain: bool) -> &'static dyn DomainPolicy {
    if is_hardware_domain {
        &HardwareDomainPolicy
    } else {
        &PvhPolicy
    }
}

/// The policy of a guest that the hypervisor starts in the place of dom0.
pub fn of_solo_guest() -> &'static dyn DomainPolicy {
    &SoloPolicy
}

/// Port of the debug console (`XEN_HVM_DEBUGCONS_IOPORT`).
const DEBUG_CONSOLE: u16 = 0xe9;

/// A PVH guest: it has no devices but its local APICs. What it writes to the debug console is logged, at the level of
/// debugging.
struct PvhPolicy;

impl DomainPolicy for PvhPolicy {
    fn is_there(&self, port: u16) -> bool {
        port == DEBUG_CONSOLE
    }

    fn write_port(&self, domain: &Domain, port: u16, size: u8, value: u32) {
        if (port, size) == (DEBUG_CONSOLE, 1) && log::log_enabled!(log::Level::Debug) {
            domain.debug_console.lock().put(domain.id, value as u8);
        }
    }
}

/// A PVH guest in the place of dom0, whose debug console is the hypervisor's console.
struct SoloPolicy;

impl DomainPolicy for SoloPolicy {
    fn write_port(&self, _: &Domain, port: u16, size: u8, value: u32) {
        if (port, size) == (DEBUG_CONSOLE, 1) {
            serial::write_bytes(&[value as u8]);
        }
    }
}

/// A line that a guest has begun to write to the debug console.
#[derive(Default)]
pub struct DebugConsole {
    line: ArrayString<80>,
}

impl DebugConsole {
    /// Takes a character, and logs the line when it ends or is full. Control characters are left out.
    fn put(&mut self, domain: DomId, byte: u8) {
        let ends = byte == b'\n';
        if byte.is_ascii_graphic() || byte == b' ' {
            let _ = self.line.try_push(byte.into());
        }
        if (ends && !self.line.is_empty()) || self.line.is_full() {
            log::debug!("(d{domain}) {}", self.line);
            self.line.clear();
        }
    }
}

/// dom0, which has the machine's devices except those of the hypervisor.
struct HardwareDomainPolicy;

impl DomainPolicy for HardwareDomainPolicy {
    fn read_port(&self, domain: &Domain, port: u16, size: u8) -> u32 {
        match ports::PCI.contains(&u32::from(port)) {
            true => domain.pci.lock().read(port, size),
            false => !0,
        }
    }

    fn write_port(&self, domain: &Domain, port: u16, size: u8, value: u32) {
        if port == ports::RESET && size == 1 {
            arch::cpu::write_reset_control(value as u8);
        } else if ports::PCI.contains(&u32::from(port)) {
            domain.pci.lock().write(port, size, value);
        }
    }

    fn map_on_access(&self, domain: &Domain, gpa: u64, access: NestedAccess) -> bool {
        domain.map_device(gpa, access)
    }

    fn read_mmio(&self, domain: &Domain, gpa: u64, size: usize) -> u64 {
        if let Some((index, offset)) = domain.io_apic_at(gpa) {
            return u64::from(domain.read_io_apic(index, offset));
        }
        let value = domain.pci.lock().read_mmio(gpa, size);
        value.unwrap_or(!0)
    }

    fn write_mmio(&self, domain: &Domain, gpa: u64, size: usize, value: u64) {
        if let Some((index, offset)) = domain.io_apic_at(gpa) {
            domain.write_io_apic(index, offset, value as u32);
        } else {
            let _ = domain.pci.lock().write_mmio(gpa, size, value);
        }
    }

    fn msr(&self, number: u32) -> MsrPolicy {
        msr::hardware_domain_policy(number)
    }

    fn triple_fault(&self, vcpu: VcpuId) {
        self.crash(vcpu, "triple fault");
    }

    fn crash(&self, _: VcpuId, why: &str) {
        arch::crash::dom0_crashed(why)
    }
}
