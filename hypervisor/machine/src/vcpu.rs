// SPDX-License-Identifier: GPL-2.0

//! Running a vCPU: what the processor that runs it keeps to itself, and the loop of entries and exits.

mod exits;
mod inject;
mod memory;
mod mmio;
mod msr;
mod ports;
mod registers;

use core::sync::atomic::Ordering;

use crate::arch::percpu::{self, PerCpu};
use crate::arch::svm::EFER_SVME;
use crate::arch::svm::enter::Context;
use crate::arch::svm::extended::Extended;
use crate::arch::svm::vmcb::{Segment, Vmcb, event, int_ctl, intercept1, intercept2};
use crate::arch::{cpu, time, traps};
use crate::domain::{Activity, Domain, Vcpu};
use crate::platform::system;
use crate::schedule::{self, Timer};
use inject::Nmi;
use paravane::system::vcpu::State;

/// The PAT after a reset (AMD APM volume 2, 7.8.2).
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// The guest takes interrupts.
const RFLAGS_IF: u64 = 1 << 9;
/// CR0 after a reset or INIT.
const CR0_RESET: u64 = 0x6000_0010;

/// What a vCPU waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Nothing.
    No,
    /// An interrupt (HLT).
    Halt,
    /// An interrupt, whether it is taken now or not, or an event (SCHEDOP_block).
    Block,
    /// An interrupt that is taken now, or one of some events (SCHEDOP_poll).
    Poll,
}

/// A vCPU in the hands of the processor that runs it.
pub struct Runner {
    domain: &'static Domain,
    vcpu: &'static Vcpu,
    context: Context,
    /// The VMCB tells where the next instruction starts.
    next_rip: bool,
    wait: Wait,
    /// What it does, for the accounts.
    state: State,
    /// An exception to be injected at the next entry, in the VMCB's form.
    exception: Option<u64>,
    /// Non-maskable interrupts.
    nmi: Nmi,
    extended: Extended,
    /// It lets others run before it goes on.
    gives_way: bool,
}

impl Runner {
    /// Makes a vCPU ready to be started.
    pub fn new(domain: &'static Domain, vcpu: &'static Vcpu, next_rip: bool) -> Option<Self> {
        let mut context = Context::new()?;
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
        // One is enough: what a vCPU left in a TLB is flushed when another one is run there.
        vmcb.asid = 1;
        vmcb.tlb_control = 1;
        vmcb.int_ctl = int_ctl::V_INTR_MASKING;
        vmcb.np_enable = 1;
        vmcb.n_cr3 = domain.root;
        let mut runner = Self {
            domain,
            vcpu,
            context,
            next_rip,
            wait: Wait::No,
            state: State::Offline,
            exception: None,
            nmi: Nmi::Open,
            extended: Extended::new()?,
            gives_way: false,
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
        self.context.registers.rdx = u64::from(cpu::leaf(1, 0)[0]);
        self.wait = Wait::No;
        self.exception = None;
        self.nmi = Nmi::Open;
        self.vmcb().intercept_1 &= !intercept1::IRET;
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

    /// Runs the vCPU on the calling processor until it waits, until a time, or until the scheduler has something more
    /// urgent.
    pub fn run(&mut self, cpu: &'static PerCpu, timer: &mut Timer, until: Option<u64>) {
        self.arrive(cpu);
        loop {
            let now = time::now();
            self.timers(now);
            let active = self.active();
            if !active || self.waits() {
                self.account(if active {
                    State::Blocked
                } else {
                    State::Offline
                });
                self.leave();
                schedule::sleep(self.vcpu);
                // What came after it was looked at and before the scheduler knew has woken nobody.
                if self.active() && !self.waits() {
                    schedule::wake(self.vcpu);
                }
                return;
            }
            let over = until.is_some_and(|until| until <= now);
            let gives_way = core::mem::take(&mut self.gives_way);
            if over || gives_way || cpu.reschedule.load(Ordering::SeqCst) {
                self.account(State::Runnable);
                self.leave();
                return;
            }
            self.account(State::Running);
            self.wait = Wait::No;
            self.inject();
            let next = self.vcpu.next_timer().into_iter().chain(until).min();
            timer.arm(next, now);
            self.enter();
        }
    }

    /// Begins to run on a processor.
    fn arrive(&mut self, cpu: &'static PerCpu) {
        let before = self.vcpu.cpu.swap(cpu.index, Ordering::SeqCst);
        self.vcpu.running.store(true, Ordering::SeqCst);
        let me = self.vcpu.id.vcpu as usize;
        let last = cpu.last_vcpu.swap(me, Ordering::SeqCst);
        if last != me || before != cpu.index {
            self.extended.load();
            // The processor may know translations of another vCPU's, or old ones of this one's.
            self.vmcb().tlb_control = 1;
        }
    }

    /// Ends to run on the calling processor: another one may go on with the vCPU.
    fn leave(&mut self) {
        self.extended.save();
        self.vcpu.running.store(false, Ordering::SeqCst);
    }

    /// Lets the guest run until it exits, and deals with that.
    fn enter(&mut self) {
        // From here on others wait for the exit that their interrupt causes: no lock may be taken.
        self.vcpu.in_guest.store(true, Ordering::SeqCst);
        if self.vcpu.flush.swap(false, Ordering::SeqCst) {
            self.vmcb().tlb_control = 1;
        }
        let stopped = self.vcpu.stopped.load(Ordering::SeqCst);
        if !stopped {
            self.context.enter();
        }
        self.vcpu.in_guest.store(false, Ordering::SeqCst);
        if stopped {
            // What was to be injected is kept for the time when it runs again.
            self.exception = Some(self.vmcb().eventinj).filter(|event| event & event::VALID != 0);
            return;
        }
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
        self.domain.forget_pages();
    }

    /// Says what the vCPU does from now on, if that is news.
    fn account(&mut self, state: State) {
        if self.state == state {
            return;
        }
        self.state = state;
        let (paging, id) = (self.paging(), self.vcpu.id);
        let index = self.vcpu.cpu.load(Ordering::Relaxed);
        let mut system = system();
        system.enter_state(id, state, Some(&paging));
        if let Ok(vcpu) = system.vcpu_mut(id) {
            vcpu.cpu = index as u32;
        }
        if let (Some(cpu), Some(here)) = (system.host.cpus.get_mut(index), percpu::get(index)) {
            cpu.idle = here.idle.load(Ordering::Relaxed);
        }
    }

    /// Whether the vCPU waits still.
    fn waits(&mut self) -> bool {
        let woken = self.vcpu.woken.load(Ordering::SeqCst);
        match self.wait {
            Wait::No => false,
            Wait::Halt => !self.has_interrupt(),
            Wait::Block => !woken && !self.has_interrupt(),
            Wait::Poll => {
                let open = self.vmcb().rflags & RFLAGS_IF != 0;
                let over = woken || (open && self.has_interrupt());
                // A poll that something else ended is no longer to be woken from.
                if over {
                    let _ = system().change_timers(self.vcpu.id, |vcpu| vcpu.poll = None);
                }
                !over
            }
        }
    }

    /// Whether the vCPU may run; carries out INIT and start-up.
    fn active(&mut self) -> bool {
        let mut activity = self.vcpu.activity.lock();
        let now = *activity;
        if let Activity::Start(_) = now {
            *activity = Activity::On;
        }
        drop(activity);
        match now {
            Activity::On => {}
            Activity::WaitForStart => {
                if self.state != State::Offline {
                    self.set_down(true);
                }
                return false;
            }
            Activity::Start(page) => {
                log::debug!(
                    "d0v{} starts at {:#x}",
                    self.vcpu.id.vcpu,
                    u64::from(page) << 12
                );
                self.reset(page);
                self.set_down(false);
            }
        }
        !self.vcpu.stopped.load(Ordering::SeqCst)
    }

    fn set_down(&mut self, down: bool) {
        if let Ok(vcpu) = system().vcpu_mut(self.vcpu.id) {
            (vcpu.initialised, vcpu.down) = (true, down);
        }
    }

    /// Fires what is due.
    fn timers(&mut self, now: u64) {
        self.vcpu.apic.lock().tick(now);
        if self.vcpu.deadline.load(Ordering::SeqCst) <= now {
            self.vcpu.deadline.store(u64::MAX, Ordering::SeqCst);
            system().timer(self.vcpu.id);
        }
        if self.vcpu.lines_resume.load(Ordering::SeqCst) <= now {
            let next = self.domain.resume_lines(now).unwrap_or(u64::MAX);
            self.vcpu.lines_resume.store(next, Ordering::SeqCst);
        }
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
