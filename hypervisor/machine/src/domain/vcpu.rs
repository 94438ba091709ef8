// SPDX-License-Identifier: GPL-2.0

//! The part of a vCPU that all processors access. Changes are followed by [`Vcpu::kick`].

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use paravane::control::AllowedBits;
use paravane::cpuid::apic_id;
use paravane::irq::vlapic::VLapic;
use paravane::start_state::StartState;
use paravane::system::vcpu::VcpuId;
use paravane::vcpu_run::{SleepQueue, VcpuRun};
use spin::Mutex;

use crate::arch::lapic;
use crate::arch::percpu;
use crate::schedule;

/// How far a vCPU was started (`KVM_MP_STATE_*` in Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MpState {
    /// It runs, or blocks until an interrupt.
    Runnable,
    /// After INIT: it waits for a start-up IPI.
    InitReceived,
    /// After a start-up IPI: it starts in real mode at this page.
    SipiReceived(u8),
    /// It starts with these registers, which the toolstack or another vCPU has set, once it may run.
    Initialised(StartState),
}

/// The part of a vCPU that all processors access.
pub struct Vcpu {
    /// Its domain and number.
    pub id: VcpuId,
    /// A number that no other vCPU has or had, not even one of a later domain with the same domid; not 0.
    pub serial: u64,
    /// What the guest may set in control registers, by its CPUID.
    pub allowed_bits: Mutex<AllowedBits>,
    /// Its vLAPIC.
    pub apic: Mutex<VLapic>,
    /// How far it was started.
    pub mp_state: Mutex<MpState>,
    /// Whether and where it runs, and what others want of it: by the library's `vcpu_wake` and `vcpu_sleep_nosync`, by
    /// events and by changes of its p2m.
    pub run: VcpuRun,
    /// It sleeps in the scheduler.
    pub asleep: AtomicBool,
    /// When it was last woken, in nanoseconds of system time.
    pub woken_at: AtomicU64,
    /// An NMI is pending.
    pub nmi: AtomicBool,
    /// The library may have an NMI for it (`VCPUOP_send_nmi`).
    pub check_nmi: AtomicBool,
    /// The callback vector, which is injected past the vLAPIC as long as `evtchn_upcall_pending` is set; 0 for none.
    pub callback_vector: AtomicU8,
    /// When the next of its timers in the library fires, in nanoseconds of system time; `u64::MAX` for never.
    pub deadline: AtomicU64,
    /// When it has to check for GSIs whose pause is over, in nanoseconds of system time; written by the processor that
    /// runs it.
    pub gsi_resume: AtomicU64,
    /// Its TSC minus the processor's.
    pub tsc_offset: AtomicU64,
}

impl Vcpu {
    /// A vCPU that runs on processor `cpu` first. vCPU 0 is runnable, the others wait for INIT and start-up IPIs, as far
    /// as nothing else starts them.
    pub fn new(id: VcpuId, cpu: usize) -> Self {
        static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);
        Self {
            id,
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            allowed_bits: Mutex::new(AllowedBits { cr4: 0, efer: 0 }),
            apic: Mutex::new(VLapic::new(apic_id(id.vcpu), id.vcpu == 0)),
            mp_state: Mutex::new(match id.vcpu {
                0 => MpState::Runnable,
                _ => MpState::InitReceived,
            }),
            run: VcpuRun::new(cpu),
            asleep: AtomicBool::new(true),
            woken_at: AtomicU64::new(0),
            nmi: AtomicBool::new(false),
            check_nmi: AtomicBool::new(false),
            callback_vector: AtomicU8::new(0),
            deadline: AtomicU64::new(u64::MAX),
            gsi_resume: AtomicU64::new(u64::MAX),
            tsc_offset: AtomicU64::new(0),
        }
    }

    /// Has it start with these registers once it may run. It must not run: it is down, or its domain is paused.
    pub fn set_start_state(&self, state: StartState) {
        *self.mp_state.lock() = MpState::Initialised(state);
        self.kick();
    }

    /// Makes the vCPU check its state, wherever it runs or sleeps.
    pub fn kick(&self) {
        self.run.kick(self, send_ipi);
    }

    /// If the vCPU runs on another processor, makes it leave the guest soon.
    pub fn kick_out_of_guest(&self) {
        self.run.kick_out_of_guest(send_ipi);
    }

    /// When its next timer fires, in nanoseconds of system time.
    pub fn next_timer(&self) -> Option<u64> {
        let set = |at: &AtomicU64| Some(at.load(Ordering::SeqCst)).filter(|at| *at != u64::MAX);
        let apic = self.apic.lock().deadline();
        let timers = [set(&self.deadline), set(&self.gsi_resume), apic];
        timers.into_iter().flatten().min()
    }
}

/// Sends the IPI of [`Vcpu::kick`] to a processor, unless it is the calling one, which is outside of the guest.
fn send_ipi(cpu: usize) {
    if cpu != percpu::this().index {
        if let Some(cpu) = percpu::get(cpu) {
            lapic::kick(cpu.apic_id);
        }
    }
}

impl SleepQueue for Vcpu {
    fn sleep(&self) {
        schedule::sleep(self);
    }

    fn wake(&self) {
        schedule::wake(self);
    }
}
