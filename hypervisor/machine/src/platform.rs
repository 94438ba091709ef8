// SPDX-License-Identifier: GPL-2.0

//! The library's [`System`] behind its lock, and the library's [`Platform`] on this machine.
//!
//! Lock order: the system, PCI or the I/O APICs, a vCPU's local APIC, the scheduler. Interrupts are handled where no
//! lock is held.

use core::ops::{Range, RangeInclusive};
use core::sync::atomic::{AtomicU64, Ordering};

use paravane::error::{Errno, Result};
use paravane::mem::frames::DomId;
use paravane::mem::{FrameTable, Mfn};
use paravane::pvclock::Clock;
use paravane::system::vcpu::VcpuId;
use paravane::system::{HostInfo, Platform, System, Upcall};
use spin::{Mutex, MutexGuard, Once};
use xen_abi::hvm::vcpu::Context;
use xen_abi::sched::shutdown;

use crate::arch::frames::{Frames, set_free_to_table};
use crate::arch::{self, ioapic, percpu, phys::Machine, power, serial, time};
use crate::domain::{self, Vcpu};

static SYSTEM: Once<Mutex<System<Machine>>> = Once::new();
/// Nanoseconds since 1970 at which system time was zero.
static WALL_CLOCK: AtomicU64 = AtomicU64::new(0);

/// ACPI sleep state S5: soft off.
const S5: u32 = 5;

/// Makes the system, without domains.
pub fn init(frames: FrameTable) {
    set_free_to_table(|frames| system().frames.free(frames));
    SYSTEM.call_once(|| Mutex::new(System::new(Machine, frames, HostInfo::default())));
}

/// Sets the facts about the machine and the wall clock, once all processors are up.
pub fn start(host: HostInfo) {
    let uptime = time::now();
    let epoch = (arch::rtc::read() * 1_000_000_000).saturating_sub(uptime);
    WALL_CLOCK.store(epoch, Ordering::Relaxed);
    system().host = host;
}

/// Locks the system.
///
/// # Panics
///
/// Before [`init`].
pub fn system() -> MutexGuard<'static, System<Machine>> {
    let mut system = SYSTEM.get().expect("`init` has made the system").lock();
    serial::take_unread(|text| system.console.write(text));
    system
}

/// Allocates `count` contiguous frames from the frame table, the highest that are free, not zeroed. They must not be
/// dropped while the system is locked.
pub fn alloc_frames(count: u64) -> Option<Frames> {
    let order = count.next_power_of_two().trailing_zeros() as u8;
    let table = &mut system().frames;
    let fits = |block: &Range<u64>| block.end - block.start >= 1 << order;
    let ends = table.free_blocks().filter(fits).map(|block| block.end);
    let start = ends.max()? - (1 << order);
    let frames = table.alloc_at(Mfn(start), order)?;
    Some(Frames::from_table(frames, count))
}

/// The machine's part of a vCPU; `None` while its domain is being created.
fn vcpu(id: VcpuId) -> Option<&'static Vcpu> {
    domain::find(id.domain)?.vcpus.get(id.vcpu as usize)
}

impl Platform for Machine {
    fn now(&self) -> u64 {
        time::now()
    }

    fn clock(&self, id: VcpuId) -> Clock {
        let offset = vcpu(id).map_or(0, |vcpu| vcpu.tsc_offset.load(Ordering::Relaxed));
        let clock = time::clock();
        Clock {
            tsc: clock.tsc.wrapping_add(offset),
            ..clock
        }
    }

    fn upcall(&mut self, id: VcpuId, how: Upcall) {
        let Some(vcpu) = vcpu(id) else { return };
        match how {
            Upcall::LapicVector(vector) => vcpu.apic.lock().set_evtchn_irq(vector),
            Upcall::CallbackVector(vector) => vcpu.callback_vector.store(vector, Ordering::SeqCst),
            Upcall::WakeOnly => {}
        }
        vcpu.event_pending.store(true, Ordering::SeqCst);
        vcpu.kick();
    }

    fn vcpu_wake(&mut self, id: VcpuId) {
        let Some(vcpu) = vcpu(id) else { return };
        vcpu.runnable.store(true, Ordering::SeqCst);
        vcpu.kick();
    }

    fn vcpu_sleep_nosync(&mut self, id: VcpuId) {
        if let Some(vcpu) = vcpu(id) {
            vcpu.runnable.store(false, Ordering::SeqCst);
            vcpu.kick();
        }
    }

    fn vcpu_is_running(&self, id: VcpuId) -> bool {
        vcpu(id).is_some_and(|vcpu| vcpu.running.load(Ordering::SeqCst))
    }

    fn vcpu_unblock(&mut self, id: VcpuId) {
        let Some(vcpu) = vcpu(id) else { return };
        vcpu.check_nmi.store(true, Ordering::SeqCst);
        vcpu.event_pending.store(true, Ordering::SeqCst);
        vcpu.kick();
    }

    fn set_timer(&mut self, id: VcpuId, at: Option<u64>) {
        if let Some(vcpu) = vcpu(id) {
            vcpu.deadline
                .store(at.unwrap_or(u64::MAX), Ordering::SeqCst);
            vcpu.kick();
        }
    }

    fn flush_tlb(&mut self, id: DomId) {
        let Some(domain) = domain::find(id) else {
            return;
        };
        for vcpu in &domain.vcpus {
            vcpu.flush_tlb.store(true, Ordering::SeqCst);
        }
        for vcpu in &domain.vcpus {
            // A vCPU that has entered the guest since then has flushed its TLB.
            vcpu.leave_guest(|| !vcpu.flush_tlb.load(Ordering::SeqCst));
        }
    }

    fn initialise_vcpu(&mut self, _: VcpuId, _: &Context) -> Result<()> {
        // dom0 starts its vCPUs by INIT and start-up IPIs, and there are no other domains yet.
        Err(Errno::EOPNOTSUPP)
    }

    fn domain_shutdown(&mut self, domain: DomId, reason: u8) {
        log::info!("d{domain} shuts down, reason {reason}");
        if domain != 0 {
            return;
        }
        match u32::from(reason) {
            shutdown::REBOOT => arch::cpu::reboot(),
            shutdown::CRASH => arch::crash::dom0_crashed("it says so"),
            // dom0 powers off by ACPI, so it does not come here or the machine has no ACPI.
            _ => arch::halt_forever(),
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
        let typed = to.iter_mut().map_while(|byte| {
            *byte = serial::try_read()?;
            Some(())
        });
        typed.count()
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
    for vcpu in &domain.vcpus {
        while vcpu.running.load(Ordering::SeqCst) {
            core::hint::spin_loop();
        }
    }
}

impl Vcpu {
    /// If the vCPU runs on another processor, makes it leave the guest before this returns, or returns early once
    /// `done`.
    fn leave_guest(&self, done: impl Fn() -> bool) {
        let here = percpu::this().index;
        let Some(cpu) = self.runs_on().filter(|cpu| cpu.index != here) else {
            return;
        };
        arch::lapic::kick(cpu.apic_id);
        while self.in_guest.load(Ordering::SeqCst) && !done() {
            core::hint::spin_loop();
        }
    }
}
