// SPDX-License-Identifier: GPL-2.0

//! Running a vCPU: the state that only the processor that runs it accesses, and the loop of VMRUN and VMEXIT.

mod control;
mod exits;
mod inject;
mod memory;
mod mmio;
mod msr;
mod ports;
mod registers;
mod state;

use core::sync::atomic::Ordering;

use crate::arch::percpu::{self, PerCpu};
use crate::arch::svm::enter::SvmContext;
use crate::arch::svm::extended::ExtendedState;
use crate::arch::svm::vmcb::{Vmcb, event};
use crate::arch::{time, traps};
use crate::domain::{Domain, MpState, Vcpu};
use crate::platform::system;
use crate::schedule::{self, Timer};
use inject::NmiState;
use paravane::control::AllowedBits;
use paravane::system::vcpu::{Runstate, VcpuId};

/// RFLAGS.IF: interrupts are enabled.
const RFLAGS_IF: u64 = 1 << 9;
/// Why a vCPU blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockedOn {
    /// It does not block.
    Nothing,
    /// Until an interrupt (HLT).
    Halt,
    /// Until an interrupt, even if interrupts are disabled, or an event (`SCHEDOP_block`).
    Block,
    /// Until an interrupt that can be taken, or one of some ports is pending (`SCHEDOP_poll`).
    Poll,
}

/// The processor state of a vCPU. The processor that runs the vCPU holds its lock.
pub struct SvmVcpu {
    domain: &'static Domain,
    vcpu: &'static Vcpu,
    context: SvmContext,
    /// The VMCB has the address of the next instruction (NRIPS).
    next_rip: bool,
    blocked_on: BlockedOn,
    /// Its present runstate.
    state: Runstate,
    /// An event to inject at the next VMRUN, in the format of EVENTINJ.
    exception: Option<u64>,
    /// Whether NMIs are masked.
    nmi: NmiState,
    extended: ExtendedState,
    /// What the guest may set in control registers, by its CPUID.
    allowed_bits: AllowedBits,
    /// It has yielded.
    yielded: bool,
}

impl SvmVcpu {
    fn vmcb(&mut self) -> &mut Vmcb {
        self.context.vmcb()
    }

    /// Runs the vCPU on the calling processor until it blocks, until the time `until`, or until a more urgent vCPU
    /// waits.
    pub fn run(&mut self, cpu: &'static PerCpu, timer: &mut Timer, until: Option<u64>) {
        self.context_switch_to(cpu);
        loop {
            let now = time::now();
            self.run_timers(now);
            let active = self.may_run();
            if !active || self.is_blocked() {
                self.runstate_change(if active {
                    Runstate::Blocked
                } else {
                    Runstate::Offline
                });
                self.context_switch_from();
                schedule::sleep(self.vcpu);
                // A wake-up between the check and `sleep` was lost, so check again.
                if self.may_run() && !self.is_blocked() {
                    schedule::wake(self.vcpu);
                }
                return;
            }
            let over = until.is_some_and(|until| until <= now);
            let yielded = core::mem::take(&mut self.yielded);
            if over || yielded || cpu.reschedule.load(Ordering::SeqCst) {
                self.runstate_change(Runstate::Runnable);
                self.context_switch_from();
                return;
            }
            self.runstate_change(Runstate::Running);
            self.blocked_on = BlockedOn::Nothing;
            self.inject();
            let next = self.vcpu.next_timer().into_iter().chain(until).min();
            timer.arm(next, now);
            self.enter_guest();
        }
    }

    /// Makes the processor run this vCPU (`ctxt_switch_to`).
    fn context_switch_to(&mut self, cpu: &'static PerCpu) {
        let before = self.vcpu.cpu.swap(cpu.index, Ordering::SeqCst);
        self.vcpu.running.store(true, Ordering::SeqCst);
        let VcpuId { domain, vcpu } = self.vcpu.id;
        let me = u64::from(domain) << 32 | u64::from(vcpu);
        let last = cpu.last_vcpu.swap(me, Ordering::SeqCst);
        if last != me || before != cpu.index {
            self.extended.load();
            // The TLB may have translations of another vCPU, or old ones of this one.
            self.vmcb().tlb_control = 1;
        }
    }

    /// Saves the state in the processor; another one may run the vCPU then (`ctxt_switch_from`).
    fn context_switch_from(&mut self) {
        self.extended.save();
        self.vcpu.running.store(false, Ordering::SeqCst);
    }

    /// Enters the guest, and handles the VMEXIT.
    fn enter_guest(&mut self) {
        // From here on other processors wait for the exit that their IPI causes: no lock may be taken.
        self.vcpu.in_guest.store(true, Ordering::SeqCst);
        if self.vcpu.flush_tlb.swap(false, Ordering::SeqCst) {
            self.vmcb().tlb_control = 1;
        }
        let stopped = !self.vcpu.runnable.load(Ordering::SeqCst);
        if !stopped {
            self.context.vmrun();
        }
        self.vcpu.in_guest.store(false, Ordering::SeqCst);
        if stopped {
            // Keep what was to be injected for the next VMRUN.
            self.exception = Some(self.vmcb().eventinj).filter(|event| event & event::VALID != 0);
            return;
        }
        self.vmcb().tlb_control = 0;
        let priority = self.vmcb().int_ctl & 0xf;
        self.vcpu.apic.lock().set_tpr(priority << 4);
        // An event whose delivery was interrupted by the exit is injected again.
        let interrupted = self.vmcb().exitintinfo;
        if interrupted & event::VALID != 0 {
            self.exception = Some(interrupted);
        }
        traps::take_pending();
        self.handle_vmexit();
        self.domain.unmap_pending();
    }

    /// Changes the runstate, if it differs.
    fn runstate_change(&mut self, state: Runstate) {
        if self.state == state {
            return;
        }
        self.state = state;
        let (paging, id) = (self.paging(), self.vcpu.id);
        let index = self.vcpu.cpu.load(Ordering::Relaxed);
        let mut system = system();
        system.runstate_change(id, state, Some(&paging));
        if let Ok(vcpu) = system.vcpu_mut(id) {
            vcpu.cpu = index as u32;
        }
        if let (Some(cpu), Some(here)) = (system.host.cpus.get_mut(index), percpu::get(index)) {
            cpu.idle = here.idle.load(Ordering::Relaxed);
        }
    }

    /// Whether the vCPU still blocks.
    fn is_blocked(&mut self) -> bool {
        let woken = self.vcpu.event_pending.load(Ordering::SeqCst);
        match self.blocked_on {
            BlockedOn::Nothing => false,
            BlockedOn::Halt => !self.has_interrupt(),
            BlockedOn::Block => !woken && !self.has_interrupt(),
            BlockedOn::Poll => {
                let open = self.vmcb().rflags & RFLAGS_IF != 0;
                let over = woken || (open && self.has_interrupt());
                // The poll may have been ended by an interrupt: remove it from the library.
                if over {
                    let _ = system().update_timers(self.vcpu.id, |vcpu| vcpu.poll = None);
                }
                !over
            }
        }
    }

    /// Whether the vCPU may run. Handles INIT and start-up IPIs.
    fn may_run(&mut self) -> bool {
        let mut mp_state = self.vcpu.mp_state.lock();
        let now = *mp_state;
        if let MpState::SipiReceived(_) = now {
            *mp_state = MpState::Runnable;
        }
        drop(mp_state);
        match now {
            MpState::Runnable => {}
            MpState::InitReceived => {
                if self.state != Runstate::Offline {
                    let _ = system().vcpu_down(self.vcpu.id);
                }
                return false;
            }
            MpState::SipiReceived(page) => {
                log::debug!("{} starts at {:#x}", self.vcpu.id, u64::from(page) << 12);
                self.reset(page);
                let _ = system().vcpu_up(self.vcpu.id);
            }
        }
        self.vcpu.runnable.load(Ordering::SeqCst)
    }

    /// Fires the timers that are due.
    fn run_timers(&mut self, now: u64) {
        self.vcpu.apic.lock().check_timer(now);
        if self.vcpu.deadline.load(Ordering::SeqCst) <= now {
            self.vcpu.deadline.store(u64::MAX, Ordering::SeqCst);
            system().timer_expired(self.vcpu.id);
        }
        if self.vcpu.gsi_resume.load(Ordering::SeqCst) <= now {
            let next = self.domain.resume_gsis(now).unwrap_or(u64::MAX);
            self.vcpu.gsi_resume.store(next, Ordering::SeqCst);
        }
    }

    /// Advances RIP behind an instruction of `bytes` bytes that was emulated.
    fn advance_rip(&mut self, bytes: u64) {
        let next = self.vmcb().rip.wrapping_add(bytes);
        self.set_rip(next);
    }

    /// Continues at an address, and ends the interrupt shadow.
    fn set_rip(&mut self, rip: u64) {
        let wide = self.long_mode();
        let vmcb = self.vmcb();
        vmcb.rip = if wide { rip } else { rip & 0xffff_ffff };
        vmcb.interrupt_shadow &= !1;
    }

    /// Whether the guest executes 64-bit code.
    fn long_mode(&mut self) -> bool {
        let vmcb = self.vmcb();
        vmcb.efer & 1 << 10 != 0 && vmcb.cs.attributes & 1 << 9 != 0
    }
}
