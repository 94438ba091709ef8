// SPDX-License-Identifier: GPL-2.0

//! Why the guest exited and what is done about it.

use core::sync::atomic::Ordering;

use paravane::cpuid::{self, Tsc, Virtual};
use paravane::hypercall::{self, After, Call};
use paravane::system::Caller;

use super::inject::UNDEFINED;
use super::{Runner, Wait};
use crate::arch;
use crate::arch::svm::vmcb::exit;
use crate::io::decode;
use crate::platform::system;
use crate::schedule;

const CR4_OSXSAVE: u64 = 1 << 18;
/// Leaf 0x80000007 EDX: the time-stamp counter's rate never changes.
const INVARIANT_TSC: u32 = 1 << 8;
/// Leaf 0x80000001 EDX.
const RDTSCP: u32 = 1 << 27;

impl Runner {
    /// Deals with an exit.
    pub fn exit(&mut self) {
        let vmcb = self.vmcb();
        let (code, info1, info2) = (vmcb.exitcode, vmcb.exitinfo1, vmcb.exitinfo2);
        match code {
            // Interrupts were taken already; a window for one is used at the next entry.
            // What the firmware's management mode wanted it got meanwhile.
            exit::INTR | exit::VINTR | exit::NMI | exit::SMI | exit::INIT => {}
            exit::NESTED_FAULT => self.nested_fault(info1, info2),
            exit::CPUID => self.cpuid(),
            exit::MSR => {
                if info1 & 1 != 0 {
                    self.write_msr()
                } else {
                    self.read_msr()
                }
            }
            exit::IOIO => self.port(info1 as u32, info2),
            exit::VMMCALL => self.hypercall(),
            exit::HLT => {
                let length = self.length();
                self.skip(length);
                self.wait = Wait::Halt;
            }
            exit::IRET => self.nmi_ends(),
            exit::XSETBV => self.xsetbv(),
            // The processor keeps caches coherent; dom0's devices are its own affair.
            exit::WBINVD | exit::INVD => {
                let length = self.length();
                self.skip(length);
            }
            exit::RDPMC => self.general_protection(),
            exit::VMRUN..=exit::SKINIT
            | exit::INVLPGA
            | exit::MONITOR
            | exit::MWAIT
            | exit::MWAIT_ARMED
                if code != exit::VMMCALL =>
            {
                self.raise(UNDEFINED, None);
            }
            exit::SHUTDOWN => self.stop("triple fault"),
            exit::INVALID => self.stop("the processor refuses the state of the vCPU"),
            _ => self.stop("an exit that nobody asked for"),
        }
    }

    /// 16, 32 or 64: how the guest's code is to be read.
    pub fn bits(&mut self) -> u32 {
        if self.wide() {
            64
        } else if self.vmcb().cs.attributes & 1 << 10 != 0 {
            32
        } else {
            16
        }
    }

    /// Length of the instruction that exited, in bytes.
    pub fn length(&mut self) -> u64 {
        let (next, rip) = (self.vmcb().next_rip, self.vmcb().rip);
        if self.next_rip && next > rip {
            return next - rip;
        }
        let (bytes, len) = self.fetch();
        let bits = self.bits();
        match decode::decode(&bytes[..len], rip, bits) {
            Some(instruction) => instruction.len() as u64,
            None => self.stop("the instruction that exited cannot be read"),
        }
    }

    fn cpuid(&mut self) {
        let (leaf, sub) = (self.vmcb().rax as u32, self.context.registers.rcx as u32);
        let osxsave = self.vmcb().cr4 & CR4_OSXSAVE != 0;
        let apic = self.vcpu.apic.lock();
        let of = Virtual {
            apic_id: apic.id(),
            vcpus: self.domain.vcpus.len() as u32,
            osxsave,
            apic: apic.is_on(),
            xcr0: self.extended.xcr0,
        };
        drop(apic);
        let host = |leaf, sub| {
            let [a, b, c, d] = arch::cpu::leaf(leaf, sub);
            cpuid::Registers { a, b, c, d }
        };
        let clock = arch::time::clock();
        let time = Tsc {
            reliable: host(0x8000_0007, 0).d & INVARIANT_TSC != 0,
            rdtscp: host(0x8000_0001, 0).d & RDTSCP != 0,
            khz: (arch::time::tsc_hz() / 1000) as u32,
            offset: self.vmcb().tsc_offset,
            scale: (clock.mul, clock.shift),
        };
        let out = cpuid::leaf(leaf, sub, self.vcpu.id, &of, &time, host);
        self.vmcb().rax = u64::from(out.a);
        let registers = &mut self.context.registers;
        (registers.rbx, registers.rcx, registers.rdx) =
            (u64::from(out.b), u64::from(out.c), u64::from(out.d));
        let length = self.length();
        self.skip(length);
    }

    fn xsetbv(&mut self) {
        let value = self.context.registers.rdx << 32 | self.vmcb().rax & 0xffff_ffff;
        let allowed = self.vmcb().cpl == 0
            && self.context.registers.rcx as u32 == 0
            && self.extended.set_xcr0(value);
        if !allowed {
            self.general_protection();
            return;
        }
        let length = self.length();
        self.skip(length);
    }

    fn hypercall(&mut self) {
        let length = self.length();
        let next = self.vmcb().rip.wrapping_add(length);
        let (wide, cpl, rax) = (self.wide(), self.vmcb().cpl, self.vmcb().rax);
        let registers = &self.context.registers;
        let call = Call {
            number: rax,
            args: [
                registers.rdi,
                registers.rsi,
                registers.rdx,
                registers.r10,
                registers.r8,
            ],
            cpl,
            long_mode: wide,
        };
        let (paging, vcpu) = (self.paging(), self.vcpu.id);
        let mut system = system();
        // What comes from here on ends the wait that the call may begin.
        self.vcpu.woken.store(false, Ordering::SeqCst);
        let mut caller = Caller {
            system: &mut *system,
            vcpu,
            paging,
        };
        let outcome = hypercall::dispatch(&mut caller, call);
        let pending = system.upcall_pending(vcpu);
        drop(system);
        if let Some((number, command)) = outcome.news {
            let error = outcome.value as i64;
            log::debug!(
                "d0v{}: hypercall {number}, command {command}: {error}",
                vcpu.vcpu
            );
        }
        match outcome.after {
            After::Again(args) => {
                let registers = &mut self.context.registers;
                [
                    registers.rdi,
                    registers.rsi,
                    registers.rdx,
                    registers.r10,
                    registers.r8,
                ] = args;
                return;
            }
            // Events may have come before it asked: then it does not wait.
            After::Block if pending => {}
            After::Block => self.wait = Wait::Block,
            After::Poll => self.wait = Wait::Poll,
            After::Yield => {
                schedule::yields();
                self.gives_way = true;
            }
            // One that is down is not run again.
            After::Resume | After::Stop => {}
        }
        self.vmcb().rax = outcome.value;
        self.go_on_at(next);
    }

    /// Stops the domain for good, and with dom0 the machine.
    pub fn stop(&mut self, why: &str) -> ! {
        let id = self.vcpu.id.vcpu;
        let registers = self.context.registers;
        let (bytes, len) = self.fetch();
        let vmcb = self.vmcb();
        log::error!(
            "d0v{id}: {why} (exit {:#x}, {:#x}, {:#x})",
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
        crate::arch::crash::dom0_crashed(why)
    }
}
