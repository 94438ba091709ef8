// SPDX-License-Identifier: GPL-2.0

//! Running a vCPU: the state that only the processor that runs it accesses, and the loop of VMRUN and VMEXIT.

mod context;
mod control;
mod exits;
mod inject;
mod memory;
mod mmio;
mod msr;
mod ports;
mod registers;
mod state;

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use crate::arch::percpu::{self, PerCpu};
use crate::arch::svm::enter::SvmContext;
use crate::arch::svm::extended::ExtendedState;
use crate::arch::svm::vmcb::{Vmcb, event, exit};
use crate::arch::{time, traps};
use crate::domain::{Domain, MpState, Vcpu};
use crate::platform::system;
use crate::schedule::Timer;
use crate::trace;
use inject::{NmiState, PendingInterrupt};
use paravane::asid::VcpuAsid;
use paravane::control::AllowedBits;
use paravane::cpuid::policy::CpuPolicy;
use paravane::system::vcpu::Runstate;
use paravane::trace::TraceEvent;

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
    domain: Arc<Domain>,
    vcpu: Arc<Vcpu>,
    context: SvmContext,
    /// The VMCB has the address of the next instruction (NRIPS).
    next_rip: bool,
    blocked_on: BlockedOn,
    /// Its present runstate.
    state: Runstate,
    /// An event to inject at the next VMRUN, in the format of EVENTINJ.
    exception: Option<u64>,
    /// The virtual interrupt that the guest takes at the next VMRUN.
    offered: Option<PendingInterrupt>,
    /// Whether NMIs are masked.
    nmi: NmiState,
    extended: ExtendedState,
    /// Under which its translations are in the TLB.
    asid: VcpuAsid,
    /// Its extended state was set, and a processor that has an older one has to load it.
    extended_is_new: bool,
    /// What its CPUID shows; `None` for dom0.
    cpu_policy: Option<Arc<CpuPolicy>>,
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
                self.extended.save();
                let vcpu = self.vcpu.clone();
                vcpu.run
                    .sleep(&*vcpu, || !self.may_run() || self.is_blocked());
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
        let before = self.vcpu.run.switch_to(cpu.index);
        let me = self.vcpu.serial;
        let last = cpu.last_vcpu.swap(me, Ordering::SeqCst);
        let is_new = core::mem::take(&mut self.extended_is_new);
        if last != me || before != cpu.index || is_new {
            self.extended.load();
        }
        if before != cpu.index {
            // An ASID is a processor's own.
            self.asid.invalidate();
        }
    }

    /// Saves the state in the processor; another one may run the vCPU then (`ctxt_switch_from`).
    fn context_switch_from(&mut self) {
        self.extended.save();
        self.vcpu.run.switch_from();
    }

    /// Enters the guest, and handles the VMEXIT.
    fn enter_guest(&mut self) {
        // From here on other processors wait for the exit that their IPI causes: no lock may be taken.
        let entry = self.vcpu.run.enter_guest();
        if entry.flush_tlb {
            self.asid.invalidate();
        }
        if entry.runs {
            // No other processor locks these. A flush that is assigned must not be left out.
            let assigned = percpu::this().asids.lock().assign(&mut self.asid);
            let vmcb = self.context.vmcb();
            vmcb.asid = assigned.asid;
            vmcb.tlb_control = u32::from(assigned.flush);
            self.context.vmrun();
        }
        self.vcpu.run.leave_guest();
        if !entry.runs {
            // Keep what was to be injected for the next VMRUN.
            self.exception = Some(self.vmcb().eventinj).filter(|event| event & event::VALID != 0);
            return;
        }
        let priority = self.vmcb().int_ctl & 0xf;
        self.vcpu.apic.lock().set_tpr(priority << 4);
        self.note_delivery();
        if trace::is_enabled() {
            self.trace_exit();
        }
        traps::take_pending();
        self.handle_vmexit();
        self.domain.unmap_pending();
        trace::record(TraceEvent::ExitEnd);
    }

    /// Writes an exit down.
    fn trace_exit(&mut self) {
        let vmcb = self.vmcb();
        let info = match vmcb.exitcode {
            exit::NPF => vmcb.exitinfo2,
            _ => vmcb.exitinfo1,
        };
        let code = vmcb.exitcode as u32;
        trace::record(TraceEvent::ExitBegin { code, info });
    }

    /// Changes the runstate, if it differs.
    fn runstate_change(&mut self, state: Runstate) {
        if self.state == state {
            return;
        }
        self.state = state;
        let (paging, id) = (self.paging(), self.vcpu.id);
        let index = self.vcpu.run.cpu();
        let woken_at = self.vcpu.woken_at.load(Ordering::SeqCst);
        let mut system = system();
        if matches!(state, Runstate::Running | Runstate::Runnable) {
            system.runnable_since(id, woken_at);
        }
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
        let woken = self.vcpu.run.has_event();
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

    /// Whether the vCPU may run. Handles INIT and start-up IPIs, and registers that were set for its start.
    fn may_run(&mut self) -> bool {
        let mut mp_state = self.vcpu.mp_state.lock();
        let now = *mp_state;
        if let MpState::SipiReceived(_) | MpState::Initialised(_) = now {
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
            MpState::Initialised(state) => self.set_start_state(&state),
        }
        self.vcpu.run.is_runnable()
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
