// SPDX-License-Identifier: GPL-2.0

//! The library's [`System`] on this machine: one behind one lock, and what it asks of the machine.
//!
//! Order of locks: the system first, then PCI or the I/O APICs, then a vCPU's local APIC, the scheduler last. Who holds one
//! takes none that comes before; interrupts are handled where none is held.

use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU64, Ordering};

use paravane::error::{Errno, Result};
use paravane::mem::FrameTable;
use paravane::mem::frames::DomId;
use paravane::pvclock::Clock;
use paravane::system::vcpu::VcpuId;
use paravane::system::{HostInfo, Platform, System, Upcall};
use spin::{Mutex, MutexGuard, Once};
use xen_abi::hvm::vcpu::Context;
use xen_abi::sched::shutdown;

use crate::arch::{self, ioapic, percpu, phys::Machine, power, serial, time};
use crate::domain::{self, Vcpu};

static SYSTEM: Once<Mutex<System<Machine>>> = Once::new();
/// Nanoseconds since 1970 at which system time was zero.
static WALL_CLOCK: AtomicU64 = AtomicU64::new(0);

/// Sleep state S5: the machine is off.
const OFF: u32 = 5;

/// Makes the system, without domains.
pub fn init(frames: FrameTable) {
    SYSTEM.call_once(|| Mutex::new(System::new(Machine, frames, HostInfo::default())));
}

/// Says what is known of the machine once all of it is up.
pub fn start(host: HostInfo) {
    let passed = time::now();
    let epoch = (arch::rtc::read() * 1_000_000_000).saturating_sub(passed);
    WALL_CLOCK.store(epoch, Ordering::Relaxed);
    system().host = host;
}

/// The system, for the caller alone as long as it keeps this.
///
/// # Panics
///
/// Before [`init`].
pub fn system() -> MutexGuard<'static, System<Machine>> {
    let mut system = SYSTEM
        .get()
        .expect("the system is made at the start")
        .lock();
    serial::take_said(|text| system.console.write(text));
    system
}

/// The machine's side of a vCPU; none while its domain is being made.
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
            Upcall::Lapic(vector) => vcpu.apic.lock().request_event(vector),
            Upcall::Direct(vector) => vcpu.direct.store(vector, Ordering::SeqCst),
            Upcall::WakeOnly => {}
        }
        vcpu.woken.store(true, Ordering::SeqCst);
        vcpu.kick();
    }

    fn wake(&mut self, id: VcpuId) {
        let Some(vcpu) = vcpu(id) else { return };
        vcpu.stopped.store(false, Ordering::SeqCst);
        vcpu.checks_nmi.store(true, Ordering::SeqCst);
        vcpu.woken.store(true, Ordering::SeqCst);
        vcpu.kick();
    }

    fn stop(&mut self, id: VcpuId) {
        if let Some(vcpu) = vcpu(id) {
            vcpu.stopped.store(true, Ordering::SeqCst);
            vcpu.leave_guest(|| false);
        }
    }

    fn set_timer(&mut self, id: VcpuId, at: Option<u64>) {
        if let Some(vcpu) = vcpu(id) {
            vcpu.deadline
                .store(at.unwrap_or(u64::MAX), Ordering::SeqCst);
            vcpu.kick();
        }
    }

    fn flush(&mut self, id: DomId) {
        let Some(domain) = domain::find(id) else {
            return;
        };
        for vcpu in &domain.vcpus {
            vcpu.flush.store(true, Ordering::SeqCst);
        }
        for vcpu in &domain.vcpus {
            // One that has entered since has forgotten.
            vcpu.leave_guest(|| !vcpu.flush.load(Ordering::SeqCst));
        }
    }

    fn initialise(&mut self, _: VcpuId, _: &Context) -> Result<()> {
        // dom0's vCPUs are started by INIT and start-up interrupts, and there are no other domains yet.
        Err(Errno::EOPNOTSUPP)
    }

    fn shut_down(&mut self, domain: DomId, reason: u8) {
        log::info!("d{domain} shuts down, reason {reason}");
        if domain != 0 {
            return;
        }
        match u32::from(reason) {
            shutdown::REBOOT => arch::cpu::reboot(),
            shutdown::CRASH => crate::arch::crash::dom0_crashed("it says so"),
            // dom0 turns the machine off by ACPI, before it comes here or not at all.
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
        // Trigger and polarity are taken from dom0's own I/O APIC entry when it unmasks the line: here they need no
        // being remembered.
        if ioapic::has(gsi) {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn enter_sleep(&mut self, state: u32, a: u16, b: u16) -> Result<()> {
        if state != OFF {
            // The processors' state is not saved yet.
            return Err(Errno::EOPNOTSUPP);
        }
        log::info!("dom0 turns the machine off");
        power::enter([a, b]);
        Err(Errno::EIO)
    }

    fn pci_device(&mut self, segment: u16, bus: u8, devfn: u8, present: bool) -> Result<()> {
        let domain = domain::find(0).ok_or(Errno::ENODEV)?;
        let bdf = u16::from(bus) << 8 | u16::from(devfn);
        // A function that is gone keeps its vectors until it comes back.
        if segment == 0 && (!present || domain.pci.lock().add(bdf)) {
            Ok(())
        } else {
            Err(Errno::ENODEV)
        }
    }

    fn pci_window(&mut self, address: u64, segment: u16, buses: RangeInclusive<u8>) -> Result<()> {
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

impl Vcpu {
    /// Has the vCPU, if it runs on another processor, leave the guest before this returns. `done` says that there is no
    /// need any more.
    fn leave_guest(&self, done: impl Fn() -> bool) {
        let here = percpu::this().index;
        let Some(cpu) = self.runs_on().filter(|cpu| cpu.index != here) else {
            return;
        };
        arch::lapic::kick(cpu);
        while self.in_guest.load(Ordering::SeqCst) && !done() {
            core::hint::spin_loop();
        }
    }
}
