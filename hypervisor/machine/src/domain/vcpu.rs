// SPDX-License-Identifier: GPL-2.0

//! The part of a vCPU that all processors access. Changes are followed by [`Vcpu::kick`].

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use paravane::cpuid::apic_id;
use paravane::irq::vlapic::VLapic;
use paravane::system::vcpu::VcpuId;
use spin::Mutex;

use crate::arch::lapic;
use crate::arch::percpu::{self, PerCpu};
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
}

/// The part of a vCPU that all processors access.
pub struct Vcpu {
    /// Its domain and number.
    pub id: VcpuId,
    /// Its vLAPIC.
    pub apic: Mutex<VLapic>,
    /// How far it was started.
    pub mp_state: Mutex<MpState>,
    /// The processor that runs it or ran it last.
    pub cpu: AtomicUsize,
    /// A processor runs it, or checks whether it may run.
    pub running: AtomicBool,
    /// It sleeps in the scheduler.
    pub asleep: AtomicBool,
    /// Nothing but an event that it waits for keeps it from running, by what the library has told
    /// (`vcpu_wake`, `vcpu_sleep_nosync`).
    pub runnable: AtomicBool,
    /// Something has happened that ends blocking in a hypercall.
    pub event_pending: AtomicBool,
    /// An NMI is pending.
    pub nmi: AtomicBool,
    /// The library may have an NMI for it (`VCPUOP_send_nmi`).
    pub check_nmi: AtomicBool,
    /// It runs guest code or is about to. After setting this, its processor checks `flush_tlb` and `runnable` once more.
    pub in_guest: AtomicBool,
    /// The TLB has to be flushed before it enters the guest.
    pub flush_tlb: AtomicBool,
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
    /// A vCPU of dom0 that runs on processor `cpu` first. vCPU 0 is runnable, the others wait for INIT and start-up
    /// IPIs.
    pub fn new(vcpu: u32, cpu: usize) -> Self {
        Self {
            id: VcpuId { domain: 0, vcpu },
            apic: Mutex::new(VLapic::new(apic_id(vcpu), vcpu == 0)),
            mp_state: Mutex::new(match vcpu {
                0 => MpState::Runnable,
                _ => MpState::InitReceived,
            }),
            cpu: AtomicUsize::new(cpu),
            running: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            runnable: AtomicBool::new(false),
            event_pending: AtomicBool::new(false),
            nmi: AtomicBool::new(false),
            check_nmi: AtomicBool::new(false),
            in_guest: AtomicBool::new(false),
            flush_tlb: AtomicBool::new(false),
            callback_vector: AtomicU8::new(0),
            deadline: AtomicU64::new(u64::MAX),
            gsi_resume: AtomicU64::new(u64::MAX),
            tsc_offset: AtomicU64::new(0),
        }
    }

    /// The processor that runs it, if one does.
    pub fn runs_on(&self) -> Option<&'static PerCpu> {
        let running = self.running.load(Ordering::SeqCst);
        let cpu = running.then(|| self.cpu.load(Ordering::SeqCst));
        cpu.and_then(percpu::get)
    }

    /// Makes the vCPU check its state, wherever it runs or sleeps.
    pub fn kick(&self) {
        let here = percpu::this().index;
        if let Some(cpu) = self.runs_on().filter(|cpu| cpu.index != here) {
            lapic::kick(cpu.apic_id);
        }
        // Also if it is running: it may be about to sleep.
        schedule::wake(self);
    }

    /// When its next timer fires, in nanoseconds of system time.
    pub fn next_timer(&self) -> Option<u64> {
        let set = |at: &AtomicU64| Some(at.load(Ordering::SeqCst)).filter(|at| *at != u64::MAX);
        let apic = self.apic.lock().deadline();
        let timers = [set(&self.deadline), set(&self.gsi_resume), apic];
        timers.into_iter().flatten().min()
    }
}
