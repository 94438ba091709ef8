// SPDX-License-Identifier: GPL-2.0

//! Handling of VMEXITs.

use paravane::cpuid::{self, CpuidRegs, Tsc, VcpuState};
use paravane::hypercall::{self, Call, VcpuAction};
use paravane::mistake::Mistake;
use paravane::system::Caller;
use paravane::trace::TraceEvent;
use xen_abi::compat::Abi;

use super::inject::{ALIGNMENT_CHECK, DEBUG, INVALID_OPCODE};
use super::{BlockedOn, RFLAGS_IF, SvmVcpu};
use crate::arch;
use crate::arch::svm::vmcb::exit;
use crate::io::decode;
use crate::platform::{sync_pause, system};
use crate::schedule;
use crate::trace;

const CR4_OSXSAVE: u64 = 1 << 18;
/// Leaf 0x80000007 EDX: the TSC is invariant.
const INVARIANT_TSC: u32 = 1 << 8;
/// Leaf 0x80000001 EDX.
const RDTSCP: u32 = 1 << 27;

impl SvmVcpu {
    /// Handles a VMEXIT.
    pub fn handle_vmexit(&mut self) {
        let vmcb = self.vmcb();
        let (code, info1, info2) = (vmcb.exitcode, vmcb.exitinfo1, vmcb.exitinfo2);
        match code {
            // Interrupts were handled already; an interrupt window is used at the next VMRUN. An SMI was handled by the
            // firmware.
            exit::INTR | exit::VINTR | exit::NMI | exit::SMI | exit::INIT => {}
            exit::NPF => self.nested_page_fault(info1, info2),
            exit::IOIO => self.io_port(info1 as u32, info2),
            exit::IRET => self.nmi_iret(),
            exit::WRITE_CR0 | exit::WRITE_CR4 => {
                let (bytes, len) = self.fetch_instruction();
                let (rip, bits) = (self.vmcb().rip, self.bits());
                // An instruction that has gone since the exit is executed anew, here and below.
                if let Some(instruction) = decode::decode(&bytes[..len], rip, bits) {
                    self.write_control_register(&instruction);
                }
            }
            exit::CPUID
            | exit::MSR
            | exit::VMMCALL
            | exit::HLT
            | exit::XSETBV
            | exit::ICEBP
            | exit::WBINVD
            | exit::INVD => {
                if let Some(length) = self.instruction_length() {
                    self.emulate(code, info1, length);
                }
            }
            // DR6 and DR7 are what the guest's handler is to find (APM volume 2, 15.12.2). If the delivery of another event
            // caused the exception, it is delivered in its place, as all of these are benign (8.2.9).
            exit::EXCEPTION_DB => self.inject_exception(DEBUG, None),
            exit::EXCEPTION_AC => self.inject_exception(ALIGNMENT_CHECK, Some(0)),
            exit::RDPMC => self.inject_gp(),
            exit::VMRUN..=exit::SKINIT
            | exit::INVLPGA
            | exit::MONITOR
            | exit::MWAIT
            | exit::MWAIT_ARMED
            | exit::RDPRU
                if code != exit::VMMCALL =>
            {
                self.inject_exception(INVALID_OPCODE, None);
            }
            exit::SHUTDOWN => {
                self.log_state("triple fault");
                self.domain.policy.triple_fault(self.vcpu.id);
            }
            exit::INVALID => self.crash_domain("the processor refuses the state of the vCPU"),
            _ => self.crash_domain("an unexpected VMEXIT"),
        }
    }

    /// Emulates an instruction of `length` bytes that exited with a code.
    fn emulate(&mut self, code: u64, info: u64, length: u64) {
        match code {
            exit::CPUID => self.cpuid(length),
            exit::MSR if info & 1 != 0 => self.write_msr(length),
            exit::MSR => self.read_msr(length),
            exit::VMMCALL => self.hypercall(length),
            exit::XSETBV => self.xsetbv(length),
            // The exception is a trap, behind the instruction.
            exit::ICEBP => {
                self.advance_rip(length);
                self.inject_exception(DEBUG, None);
            }
            exit::HLT => {
                self.advance_rip(length);
                if self.vmcb().rflags & RFLAGS_IF != 0 {
                    self.blocked_on = BlockedOn::Halt;
                } else {
                    // It does not come back by itself, as an offlined processor or a kernel that has crashed.
                    let _ = system().power_off_vcpu(self.vcpu.id);
                }
            }
            // WBINVD, INVD. Caches are coherent; without pass-through to other domains there is nothing to flush.
            _ => self.advance_rip(length),
        }
    }

    /// Size of the guest's code: 16, 32 or 64 bits.
    pub fn bits(&mut self) -> u32 {
        if self.long_mode() {
            64
        } else if self.vmcb().cs.attributes & 1 << 10 != 0 {
            32
        } else {
            16
        }
    }

    /// Length in bytes of the instruction that exited; `None` if it is not there any more.
    fn instruction_length(&mut self) -> Option<u64> {
        let (next, rip) = (self.vmcb().next_rip, self.vmcb().rip);
        if self.next_rip && next > rip {
            return Some(next - rip);
        }
        let (bytes, len) = self.fetch_instruction();
        let bits = self.bits();
        decode::decode(&bytes[..len], rip, bits).map(|instruction| instruction.len() as u64)
    }

    fn cpuid(&mut self, length: u64) {
        let (leaf, sub) = (self.vmcb().rax as u32, self.context.registers.rcx as u32);
        let out = self.cpuid_leaf(leaf, sub);
        self.vmcb().rax = u64::from(out.a);
        let registers = &mut self.context.registers;
        (registers.rbx, registers.rcx, registers.rdx) =
            (u64::from(out.b), u64::from(out.c), u64::from(out.d));
        self.advance_rip(length);
    }

    /// A leaf of the guest's CPUID, by the state that the vCPU is in.
    pub fn cpuid_leaf(&mut self, leaf: u32, sub: u32) -> CpuidRegs {
        let osxsave = self.vmcb().cr4 & CR4_OSXSAVE != 0;
        let apic = self.vcpu.apic.lock();
        let state = VcpuState {
            apic_id: apic.id(),
            vcpus: self.domain.vcpus().count() as u32,
            osxsave,
            apic: apic.is_on(),
            xcr0: self.extended.xcr0,
        };
        drop(apic);
        let host = |leaf, sub| {
            let [a, b, c, d] = arch::cpu::leaf(leaf, sub);
            CpuidRegs { a, b, c, d }
        };
        let clock = arch::time::clock();
        let time = Tsc {
            reliable: host(0x8000_0007, 0).d & INVARIANT_TSC != 0,
            rdtscp: host(0x8000_0001, 0).d & RDTSCP != 0,
            khz: (arch::time::tsc_hz() / 1000) as u32,
            offset: self.vmcb().tsc_offset,
            scale: (clock.mul, clock.shift),
        };
        let id = self.vcpu.id;
        match &self.cpu_policy {
            Some(policy) => policy.guest_leaf(leaf, sub, id, &state, &time),
            None => cpuid::leaf(leaf, sub, id, &state, &time, host),
        }
    }

    fn xsetbv(&mut self, length: u64) {
        let value = self.context.registers.rdx << 32 | self.vmcb().rax & 0xffff_ffff;
        let allowed = self.vmcb().cpl == 0
            && self.context.registers.rcx as u32 == 0
            && self.extended.set_xcr0(value);
        if !allowed {
            self.inject_gp();
            return;
        }
        self.advance_rip(length);
    }

    fn hypercall(&mut self, length: u64) {
        let next = self.vmcb().rip.wrapping_add(length);
        let abi = self.abi();
        let call = Call {
            number: abi.register(self.vmcb().rax),
            args: self.hypercall_args(abi),
            cpl: self.vmcb().cpl,
        };
        let number = u32::try_from(call.number).unwrap_or(u32::MAX);
        trace::record(TraceEvent::HypercallBegin { number });
        let (paging, vcpu) = (self.paging(), self.vcpu.id);
        let mut system = system();
        // What happens from here on ends the blocking that the call may begin.
        self.vcpu.run.clear_event();
        let mut caller = Caller {
            system: &mut *system,
            vcpu,
            paging,
            abi,
        };
        let outcome = hypercall::dispatch(&mut caller, call);
        system.note_hypercall(outcome.key);
        let pending = system.evtchn_upcall_pending(vcpu);
        drop(system);
        if let Some((number, command)) = outcome.first_error {
            let error = outcome.value as i64;
            let code = match abi {
                Abi::Bits64 => "",
                Abi::Bits32 => " of 32-bit code",
            };
            self.report(
                Mistake::Hypercall,
                format_args!("hypercall {number}, command {command}{code}: {error}"),
            );
        }
        match outcome.continuation {
            Some(args) => self.set_hypercall_args(abi, args),
            None => {
                self.vmcb().rax = abi.register(outcome.value);
                self.set_rip(next);
            }
        }
        match outcome.action {
            // If an event is pending already, it does not block.
            VcpuAction::Block if pending => {}
            VcpuAction::Block => self.blocked_on = BlockedOn::Block,
            VcpuAction::Poll => self.blocked_on = BlockedOn::Poll,
            VcpuAction::Yield => {
                schedule::yield_cpu();
                self.yielded = true;
            }
            VcpuAction::SyncPause(id) => sync_pause(id),
            // A vCPU that is down does not run again until it is brought up.
            VcpuAction::Resume | VcpuAction::Stop => {}
        }
        trace::record(TraceEvent::HypercallEnd {
            key: outcome.key,
            result: match outcome.continuation {
                Some(_) => None,
                None => Some(outcome.value as i64),
            },
        });
    }

    /// Whose ABI the guest's code uses. As in Xen, 16-bit code is taken for 32-bit code.
    pub fn abi(&mut self) -> Abi {
        match self.long_mode() {
            true => Abi::Bits64,
            false => Abi::Bits32,
        }
    }

    /// The arguments of a hypercall.
    fn hypercall_args(&self, abi: Abi) -> [u64; 5] {
        let r = &self.context.registers;
        match abi {
            Abi::Bits64 => [r.rdi, r.rsi, r.rdx, r.r10, r.r8],
            Abi::Bits32 => [r.rbx, r.rcx, r.rdx, r.rsi, r.rdi].map(|value| abi.register(value)),
        }
    }

    /// Puts arguments where the same hypercall finds them when it is made again.
    fn set_hypercall_args(&mut self, abi: Abi, args: [u64; 5]) {
        let r = &mut self.context.registers;
        match abi {
            Abi::Bits64 => [r.rdi, r.rsi, r.rdx, r.r10, r.r8] = args,
            Abi::Bits32 => [r.rbx, r.rcx, r.rdx, r.rsi, r.rdi] = args,
        }
    }

    /// Logs a mistake of the guest, if it is to be logged.
    pub(super) fn report(&self, mistake: Mistake, what: core::fmt::Arguments<'_>) {
        self.domain.report(self.vcpu.id, mistake, what);
    }

    /// Reports the vCPU's state, and ends its domain as crashed.
    fn crash_domain(&mut self, why: &str) {
        self.log_state(why);
        self.domain.policy.crash(self.vcpu.id, why);
    }

    /// Logs why a vCPU cannot continue, and its registers.
    fn log_state(&mut self, why: &str) {
        let id = self.vcpu.id;
        let registers = self.context.registers;
        let (bytes, len) = self.fetch_instruction();
        let vmcb = self.vmcb();
        log::error!(
            "{id}: {why} (exit {:#x}, {:#x}, {:#x})",
            vmcb.exitcode,
            vmcb.exitinfo1,
            vmcb.exitinfo2
        );
        log::error!(
            "  rip {:#06x}:{:016x} rflags {:08x} rsp {:016x} rax {:016x}",
            vmcb.cs.selector,
            vmcb.rip,
            vmcb.rflags,
            vmcb.rsp,
            vmcb.rax
        );
        log::error!(
            "  cr0 {:08x} cr2 {:016x} cr3 {:016x} cr4 {:08x} efer {:04x} cs {:x?}",
            vmcb.cr0,
            vmcb.cr2,
            vmcb.cr3,
            vmcb.cr4,
            vmcb.efer,
            vmcb.cs
        );
        log::error!("  code {:02x?}", &bytes[..len]);
        log::error!("  {registers:x?}");
    }
}
