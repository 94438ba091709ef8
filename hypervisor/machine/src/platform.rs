// SPDX-License-Identifier: GPL-2.0

//! The library's [`Platform`] on this machine.
//!
//! Lock order: the system, PCI or the I/O APICs, a vCPU's local APIC, the scheduler. Interrupts are handled where no
//! lock is held.

use core::ops::{Range, RangeInclusive};
use core::sync::atomic::{AtomicU64, Ordering};

use alloc::sync::Arc;
use alloc::vec::Vec;

use paravane::cpuid::policy::CpuPolicy;
use paravane::error::{Errno, Result};
use paravane::irq::vlapic::VLapic;
use paravane::mem::frames::DomId;
use paravane::mem::{FrameTable, Mfn};
use paravane::mistake::Mistake;
use paravane::pvclock::Clock;
use paravane::sched::CpuSet;
use paravane::start_state::StartState;
use paravane::system::vcpu::{VcpuId, VcpuRegisters};
use paravane::system::{HeapBudget, HostInfo, Platform, Upcall};
use paravane::trace::TraceEvent;
use xen_abi::hvm::save::CpuXsave;
use xen_abi::hvm::vcpu::Context;
use xen_abi::sched::shutdown;

use crate::arch::frames::Frames;
use crate::arch::{self, ioapic, phys::Machine, power, serial, time};
use crate::domain::{self, find_vcpu};
pub use crate::system_lock::system;
use crate::system_lock::{log_profile, reset_profile};
use crate::vcpu::SvmVcpu;
use crate::{schedule, solo, trace};

/// Nanoseconds since 1970 at which system time was zero.
static WALL_CLOCK: AtomicU64 = AtomicU64::new(0);

/// ACPI sleep state S5: soft off.
const S5: u32 = 5;

/// Sets the facts about the machine and the wall clock, once all processors are up.
pub fn start(host: HostInfo) {
    let uptime = time::now();
    let epoch = (arch::rtc::read() * 1_000_000_000).saturating_sub(uptime);
    WALL_CLOCK.store(epoch, Ordering::Relaxed);
    let mut system = system();
    system.host = host;
    // The other half is for dom0 and for what is there once for each domain.
    system.heap_budget = HeapBudget::new(arch::memory::heap_bytes() as usize / 2);
}

/// Allocates `count` contiguous frames from the frame table, the highest that are free, not zeroed.
pub fn alloc_frames(count: u64) -> Option<Frames> {
    let order = count.next_power_of_two().trailing_zeros() as u8;
    let table = &mut system().frames;
    let fits = |block: &Range<u64>| block.end - block.start >= 1 << order;
    let ends = table.free_blocks().filter(fits).map(|block| block.end);
    let start = ends.max()? - (1 << order);
    let frames = table.alloc_at(Mfn(start), order)?;
    Some(Frames::from_table(frames, count))
}

impl Platform for Machine {
    fn now(&self) -> u64 {
        time::now()
    }

    fn clock(&self, id: VcpuId) -> Clock {
        let offset = find_vcpu(id).map_or(0, |vcpu| vcpu.tsc_offset.load(Ordering::Relaxed));
        let clock = time::clock();
        Clock {
            tsc: clock.tsc.wrapping_add(offset),
            ..clock
        }
    }

    fn upcall(&mut self, id: VcpuId, how: Upcall) {
        let Some(vcpu) = find_vcpu(id) else { return };
        match how {
            Upcall::LapicVector(vector) => vcpu.apic.lock().set_evtchn_irq(vector),
            Upcall::CallbackVector(vector) => vcpu.callback_vector.store(vector, Ordering::SeqCst),
            Upcall::WakeOnly => {}
        }
        vcpu.run.post_event();
        vcpu.kick();
    }

    fn vcpu_wake(&mut self, id: VcpuId) {
        let Some(vcpu) = find_vcpu(id) else { return };
        vcpu.run.set_runnable(true);
        vcpu.kick();
    }

    fn vcpu_sleep_nosync(&mut self, id: VcpuId) {
        if let Some(vcpu) = find_vcpu(id) {
            vcpu.run.set_runnable(false);
            vcpu.kick();
        }
    }

    fn vcpu_is_running(&self, id: VcpuId) -> bool {
        find_vcpu(id).is_some_and(|vcpu| vcpu.run.is_running())
    }

    fn vcpu_is_woken(&self, id: VcpuId) -> bool {
        find_vcpu(id).is_some_and(|vcpu| !vcpu.asleep.load(Ordering::SeqCst))
    }

    fn domain_create(&mut self, frames: &mut FrameTable, domain: DomId, root: Mfn) -> Result<()> {
        match domain {
            // Its part has devices, and is made by `domain::create_dom0`.
            0 => Ok(()),
            _ => domain::create_guest(frames, domain, root),
        }
    }

    fn vcpu_create(&mut self, frames: &mut FrameTable, vcpu: VcpuId) -> Result<()> {
        domain::create_vcpu(frames, vcpu)
    }

    fn cpu_policy_changed(&mut self, id: DomId, policy: &Arc<CpuPolicy>) {
        // dom0 has what guests may have of the processor.
        let Some(domain) = domain::find(id).filter(|domain| domain.id != 0) else {
            return;
        };
        *domain.cpu_policy.lock() = Some(policy.clone());
        for vcpu in domain.vcpus() {
            // None of them has run, so no processor has one of them locked.
            let _ = schedule::with_svm_vcpu(vcpu.id, SvmVcpu::update_cpu_policy);
        }
    }

    fn vcpu_registers(&mut self, id: VcpuId) -> Result<VcpuRegisters> {
        schedule::with_svm_vcpu(id, SvmVcpu::registers)
    }

    fn set_vcpu_registers(&mut self, id: VcpuId, registers: &VcpuRegisters) -> Result<()> {
        schedule::with_svm_vcpu(id, |vcpu| vcpu.set_registers(registers))
    }

    fn set_vcpu_pat(&mut self, id: VcpuId, pat: u64) -> Result<()> {
        schedule::with_svm_vcpu(id, |vcpu| vcpu.set_pat(pat))
    }

    fn vcpu_xstate(&mut self, id: VcpuId) -> Result<Option<(CpuXsave, Vec<u8>)>> {
        schedule::with_svm_vcpu(id, SvmVcpu::xstate)?
    }

    fn set_vcpu_xstate(&mut self, id: VcpuId, fixed: &CpuXsave, states: &[u8]) -> Result<()> {
        schedule::with_svm_vcpu(id, |vcpu| vcpu.set_xstate(fixed, states))
    }

    fn vlapic<T>(&mut self, id: VcpuId, work: impl FnOnce(&mut VLapic) -> T) -> Result<T> {
        let vcpu = find_vcpu(id).ok_or(Errno::ESRCH)?;
        let mut apic = vcpu.apic.lock();
        Ok(work(&mut apic))
    }

    fn tsc(&self) -> u64 {
        arch::cpu::tsc()
    }

    fn tsc_offset(&self, id: VcpuId) -> u64 {
        find_vcpu(id).map_or(0, |vcpu| vcpu.tsc_offset.load(Ordering::Relaxed))
    }

    fn set_tsc_offset(&mut self, id: VcpuId, offset: u64) -> Result<()> {
        schedule::with_svm_vcpu(id, |vcpu| vcpu.set_tsc_offset(offset))
    }

    fn set_weight(&mut self, vcpu: VcpuId, weight: u16) {
        schedule::set_weight(vcpu, weight);
    }

    fn set_cap(&mut self, domain: DomId, percent: u16) {
        schedule::set_cap(domain, percent);
    }

    fn set_affinity(&mut self, vcpu: VcpuId, cpus: CpuSet) {
        schedule::set_affinity(vcpu, cpus);
    }

    fn domain_destroy(&mut self, _: &mut FrameTable, domain: DomId) {
        domain::destroy(domain);
    }

    fn vcpu_unblock(&mut self, id: VcpuId) {
        let Some(vcpu) = find_vcpu(id) else { return };
        vcpu.check_nmi.store(true, Ordering::SeqCst);
        vcpu.run.post_event();
        vcpu.kick();
    }

    fn set_timer(&mut self, id: VcpuId, at: Option<u64>) {
        if let Some(vcpu) = find_vcpu(id) {
            vcpu.deadline
                .store(at.unwrap_or(u64::MAX), Ordering::SeqCst);
            vcpu.kick();
        }
    }

    fn flush_tlb(&mut self, id: DomId) {
        let Some(domain) = domain::find(id) else {
            return;
        };
        for vcpu in domain.vcpus() {
            vcpu.run.request_flush();
        }
        // All of them leave the guest at the same time.
        domain.vcpus().for_each(|vcpu| vcpu.kick_out_of_guest());
        for vcpu in domain.vcpus() {
            while !vcpu.run.is_flushed() {
                core::hint::spin_loop();
            }
        }
    }

    fn initialise_vcpu(&mut self, id: VcpuId, context: &Context) -> Result<()> {
        let vcpu = find_vcpu(id).ok_or(Errno::ENOENT)?;
        let allowed = *vcpu.allowed_bits.lock();
        vcpu.set_start_state(StartState::of(context, &allowed)?);
        Ok(())
    }

    fn domain_shutdown(&mut self, domain: DomId, reason: u8) {
        log::info!("d{domain} shuts down, reason {reason}");
        solo::shut_down(domain, reason);
        if domain != 0 {
            return;
        }
        match u32::from(reason) {
            shutdown::REBOOT => arch::cpu::reboot(),
            shutdown::CRASH => arch::crash::dom0_crashed("it says so"),
            // dom0 powers off by ACPI, so it does not come here or the machine has no ACPI.
            _ => {
                serial::write_deferred();
                arch::halt_forever()
            }
        }
    }

    fn heap_used(&self) -> usize {
        arch::memory::heap_used()
    }

    fn trace(&mut self, event: TraceEvent) {
        trace::record(event);
    }

    fn printk(&mut self, what: core::fmt::Arguments<'_>) {
        log::warn!("{what}");
    }

    fn report(&mut self, vcpu: VcpuId, mistake: Mistake, what: core::fmt::Arguments<'_>) {
        if let Some(domain) = domain::find(vcpu.domain) {
            domain.report(vcpu, mistake, what);
        }
    }

    fn wall_clock(&self) -> u64 {
        WALL_CLOCK.load(Ordering::Relaxed)
    }

    fn set_wall_clock(&mut self, nanoseconds: u64) {
        WALL_CLOCK.store(nanoseconds, Ordering::Relaxed);
    }

    fn console_write(&mut self, text: &[u8]) {
        serial::write_bytes(text);
    }

    fn console_read(&mut self, to: &mut [u8]) -> usize {
        serial::read_typed(to)
    }

    fn debug_key(&mut self, key: u8) {
        match key {
            b'l' => log_profile(),
            b'L' => reset_profile(),
            _ => {}
        }
    }

    fn setup_gsi(&mut self, gsi: u32, _: bool, _: bool) -> Result<()> {
        // Trigger and polarity are taken from dom0's own redirection entry when it unmasks the pin.
        if ioapic::has(gsi) {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn enter_acpi_sleep(&mut self, state: u32, a: u16, b: u16) -> Result<()> {
        if state != S5 {
            // Saving the processors' state is not supported.
            return Err(Errno::EOPNOTSUPP);
        }
        log::info!("dom0 turns the machine off");
        power::enter([a, b]);
        Err(Errno::EIO)
    }

    fn pci_device(&mut self, segment: u16, bus: u8, devfn: u8, present: bool) -> Result<()> {
        let domain = domain::find(0).ok_or(Errno::ENODEV)?;
        let bdf = u16::from(bus) << 8 | u16::from(devfn);
        // A removed function keeps its vectors until it is added again.
        if segment == 0 && (!present || domain.pci.lock().add(bdf)) {
            Ok(())
        } else {
            Err(Errno::ENODEV)
        }
    }

    fn pci_mmcfg_reserved(
        &mut self,
        address: u64,
        segment: u16,
        buses: RangeInclusive<u8>,
    ) -> Result<()> {
        let domain = domain::find(0).ok_or(Errno::ENODEV)?;
        let known = domain.windows.iter().any(|&(base, first, last)| {
            (base, first, last) == (address, *buses.start(), *buses.end())
        });
        if segment == 0 && known {
            Ok(())
        } else {
            Err(Errno::ENODEV)
        }
    }
}

/// Waits until no processor runs a vCPU of a domain, which was paused. Each leaves within its handling of one VMEXIT.
/// The system must not be locked, since they may wait for its lock.
pub fn sync_pause(id: DomId) {
    let Some(domain) = domain::find(id) else {
        return;
    };
    for vcpu in domain.vcpus() {
        while vcpu.run.is_running() {
            core::hint::spin_loop();
        }
    }
}
