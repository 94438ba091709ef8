// SPDX-License-Identifier: GPL-2.0

//! Running a vCPU: what the processor that runs it keeps to itself, and the loop of entries and exits.

pub mod cpuid;
mod exits;
pub mod memory;
mod mmio;
mod msr;
mod registers;
pub mod runstate;

use core::sync::atomic::Ordering;

use crate::arch::svm::enter::Context;
use crate::arch::svm::vmcb::{Segment, Vmcb, event, int_ctl, intercept1, intercept2};
use crate::arch::svm::{EFER_SVME, Features};
use crate::arch::{lapic, time, traps};
use crate::domain::{Activity, Domain, Vcpu};
use runstate::State;

/// Flags of an exception that carries no error code.
const UNDEFINED: u8 = 6;
/// General protection.
const PROTECTION: u8 = 13;

/// The PAT after a reset (AMD APM volume 2, 7.8.2).
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// CR0 after a reset or INIT.
const CR0_RESET: u64 = 0x6000_0010;

/// A vCPU in the hands of the processor that runs it.
pub struct Runner {
    domain: &'static Domain,
    vcpu: &'static Vcpu,
    context: Context,
    features: Features,
    /// The guest sleeps until an interrupt.
    halted: bool,
    /// An exception to be injected at the next entry, in the VMCB's form.
    exception: Option<u64>,
    /// The extended state the guest enabled.
    xcr0: u64,
    /// What the processor's timer is set to, in nanoseconds.
    armed: Option<u64>,
}

impl Runner {
    /// Makes a vCPU ready to be started.
    pub fn new(domain: &'static Domain, vcpu: &'static Vcpu, features: Features) -> Option<Self> {
        let mut context = Context::new()?;
        let root = domain.p2m.lock().root().address();
        let vmcb = context.vmcb();
        vmcb.intercept_1 = intercept1::INTR
            | intercept1::NMI
            | intercept1::SMI
            | intercept1::INIT
            | intercept1::RDPMC
            | intercept1::CPUID
            | intercept1::INVD
            | intercept1::HLT
            | intercept1::INVLPGA
            | intercept1::IOIO
            | intercept1::MSR
            | intercept1::SHUTDOWN;
        vmcb.intercept_2 = intercept2::VMRUN
            | intercept2::VMMCALL
            | intercept2::VMLOAD
            | intercept2::VMSAVE
            | intercept2::STGI
            | intercept2::CLGI
            | intercept2::SKINIT
            | intercept2::WBINVD
            | intercept2::MONITOR
            | intercept2::MWAIT
            | intercept2::MWAIT_ARMED
            | intercept2::XSETBV;
        // A machine check is the hypervisor's to see.
        vmcb.intercept_exceptions = 1 << 18;
        vmcb.iopm_base_pa = domain.ports.address();
        vmcb.msrpm_base_pa = domain.registers.address();
        vmcb.asid = 1 + vcpu.id;
        vmcb.tlb_control = 1;
        vmcb.int_ctl = int_ctl::V_INTR_MASKING;
        vmcb.np_enable = 1;
        vmcb.n_cr3 = root;
        let mut runner = Self {
            domain,
            vcpu,
            context,
            features,
            halted: false,
            exception: None,
            xcr0: 1,
            armed: None,
        };
        runner.reset(0);
        Some(runner)
    }

    /// The state after INIT, in real mode, at the page of a start-up interrupt.
    fn reset(&mut self, page: u8) {
        let code = Segment {
            selector: u16::from(page) << 8,
            attributes: 0x9b,
            limit: 0xffff,
            base: u64::from(page) << 12,
        };
        let data = Segment {
            selector: 0,
            attributes: 0x93,
            limit: 0xffff,
            base: 0,
        };
        let table = Segment {
            selector: 0,
            attributes: 0,
            limit: 0xffff,
            base: 0,
        };
        let vmcb = self.context.vmcb();
        vmcb.cs = code;
        for segment in [
            &mut vmcb.ds,
            &mut vmcb.es,
            &mut vmcb.ss,
            &mut vmcb.fs,
            &mut vmcb.gs,
        ] {
            *segment = data;
        }
        vmcb.gdtr = table;
        vmcb.idtr = table;
        vmcb.ldtr = Segment {
            attributes: 0x82,
            ..table
        };
        vmcb.tr = Segment {
            attributes: 0x8b,
            ..table
        };
        vmcb.cpl = 0;
        vmcb.efer = EFER_SVME;
        vmcb.cr0 = CR0_RESET;
        vmcb.cr3 = 0;
        vmcb.cr4 = 0;
        vmcb.dr6 = 0xffff_0ff0;
        vmcb.dr7 = 0x400;
        vmcb.rflags = 2;
        vmcb.rip = 0;
        vmcb.rsp = 0;
        vmcb.rax = 0;
        vmcb.g_pat = PAT_RESET;
        vmcb.interrupt_shadow = 0;
        vmcb.eventinj = 0;
        vmcb.exitintinfo = 0;
        vmcb.clean = 0;
        self.context.registers = Default::default();
        self.context.registers.rdx = u64::from(cpuid::signature());
        self.halted = false;
        self.exception = None;
    }

    /// The state in which a PVH kernel is entered (docs/misc/pvh.pandoc of Xen): 32-bit, flat, no paging.
    pub fn start_pvh(&mut self, entry: u32, start_info: u32) {
        self.reset(0);
        let flat = |attributes| Segment {
            selector: 0,
            attributes,
            limit: !0,
            base: 0,
        };
        let vmcb = self.context.vmcb();
        vmcb.cs = flat(0xc9b);
        vmcb.ds = flat(0xc93);
        vmcb.es = flat(0xc93);
        vmcb.ss = flat(0xc93);
        vmcb.tr = Segment {
            selector: 0,
            attributes: 0x8b,
            limit: 0x67,
            base: 0,
        };
        vmcb.cr0 = 0x11;
        vmcb.rip = u64::from(entry);
        self.context.registers.rbx = u64::from(start_info);
    }

    fn vmcb(&mut self) -> &mut Vmcb {
        self.context.vmcb()
    }

    /// Runs the vCPU for ever.
    pub fn run(&mut self) -> ! {
        loop {
            let now = time::now();
            self.timers(now);
            let active = self.active();
            if !active || (self.halted && !self.has_interrupt()) {
                self.account(
                    if active {
                        State::Blocked
                    } else {
                        State::Offline
                    },
                    now,
                );
                self.set_timer(now);
                traps::wait();
                continue;
            }
            self.account(State::Running, now);
            self.halted = false;
            if self.vcpu.flush.swap(false, Ordering::SeqCst) {
                self.vmcb().tlb_control = 1;
            }
            self.inject();
            self.set_timer(now);
            self.context.enter();
            self.vmcb().tlb_control = 0;
            let priority = self.vmcb().int_ctl & 0xf;
            self.vcpu.apic.lock().set_task_priority(priority << 4);
            // An event that was being delivered when the guest exited is delivered first at the next entry.
            let interrupted = self.vmcb().exitintinfo;
            if interrupted & event::VALID != 0 {
                self.exception = Some(interrupted);
            }
            traps::take_pending();
            self.exit();
        }
    }

    fn account(&self, state: State, now: u64) {
        self.vcpu.runstate.lock().enter(self.domain, state, now);
    }

    /// Whether the vCPU is on; carries out INIT and start-up.
    fn active(&mut self) -> bool {
        let mut activity = self.vcpu.activity.lock();
        match *activity {
            Activity::On => true,
            Activity::WaitForStart => false,
            Activity::Start(page) => {
                *activity = Activity::On;
                drop(activity);
                log::debug!("d0v{} starts at {:#x}", self.vcpu.id, u64::from(page) << 12);
                self.reset(page);
                true
            }
        }
    }

    /// Fires what is due.
    fn timers(&mut self, now: u64) {
        self.vcpu.apic.lock().tick(now);
        let due = self.vcpu.timer.load(Ordering::SeqCst);
        if due != 0 && due <= now {
            self.vcpu.timer.store(0, Ordering::SeqCst);
            let events = self.domain.events.lock();
            events.raise_virq(self.domain, self.vcpu, xen_abi::xen::virq::TIMER);
        }
    }

    /// Has the processor's timer interrupt at the next time something is due.
    fn set_timer(&mut self, now: u64) {
        let single = self.vcpu.timer.load(Ordering::SeqCst);
        let apic = self.vcpu.apic.lock().deadline();
        let next = [(single != 0).then_some(single), apic]
            .into_iter()
            .flatten()
            .min();
        // Writing the timer costs much more than comparing.
        let fired = self.vcpu.cpu.timer_fired.swap(false, Ordering::Relaxed);
        if fired || next != self.armed {
            lapic::set_timer(next.map(|next| next.saturating_sub(now)));
            self.armed = next;
        }
    }

    /// The interrupt to deliver next: the vector, and whether it comes from the local APIC.
    fn pending(&self) -> Option<(u8, bool)> {
        if self.vcpu.upcall_vector.load(Ordering::Relaxed) == 0 && self.vcpu.upcall_pending() {
            if let Some(vector) = self.domain.callback_vector() {
                return Some((vector, false));
            }
        }
        self.vcpu.apic.lock().pending().map(|vector| (vector, true))
    }

    fn has_interrupt(&self) -> bool {
        self.exception.is_some() || self.pending().is_some()
    }

    /// Injects what is to be injected, or asks to exit when the guest can take it (15.20, 15.21.4).
    fn inject(&mut self) {
        let priority = self.vcpu.apic.lock().task_priority() >> 4;
        let first = self.exception.take();
        let pending = self.pending();
        let vmcb = self.context.vmcb();
        vmcb.eventinj = first.unwrap_or(0);
        vmcb.int_ctl = int_ctl::V_INTR_MASKING | priority;
        vmcb.intercept_1 &= !intercept1::VINTR;
        let Some((vector, from_apic)) = pending else {
            return;
        };
        let open = vmcb.rflags & 1 << 9 != 0 && vmcb.interrupt_shadow & 1 == 0 && first.is_none();
        if open {
            vmcb.eventinj = event::VALID | event::INTERRUPT | u64::from(vector);
            if from_apic {
                self.vcpu.apic.lock().accept(vector);
            }
        } else {
            vmcb.int_ctl |= int_ctl::V_IRQ | int_ctl::V_IGN_TPR | 0xf << 16;
            vmcb.int_vector = 0;
            vmcb.intercept_1 |= intercept1::VINTR;
        }
    }

    /// Has the guest take an exception.
    fn raise(&mut self, vector: u8, error: Option<u32>) {
        let code = error.map_or(0, |error| event::ERROR_VALID | u64::from(error) << 32);
        self.exception = Some(event::VALID | event::EXCEPTION | u64::from(vector) | code);
    }

    fn general_protection(&mut self) {
        self.raise(PROTECTION, Some(0));
    }

    /// Goes on behind an instruction that was carried out.
    fn skip(&mut self, bytes: u64) {
        let next = self.vmcb().rip.wrapping_add(bytes);
        self.go_on_at(next);
    }

    fn go_on_at(&mut self, rip: u64) {
        let wide = self.wide();
        let vmcb = self.vmcb();
        vmcb.rip = if wide { rip } else { rip & 0xffff_ffff };
        vmcb.interrupt_shadow &= !1;
    }

    /// Whether the guest runs 64-bit code.
    fn wide(&mut self) -> bool {
        let vmcb = self.vmcb();
        vmcb.efer & 1 << 10 != 0 && vmcb.cs.attributes & 1 << 9 != 0
    }
}
