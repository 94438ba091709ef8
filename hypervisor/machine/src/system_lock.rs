// SPDX-License-Identifier: GPL-2.0

//! The lock of the library's [`System`]. A processor that has waited for long gets it before those that come later. There
//! is no strict order: in a virtual machine the next in turn may not be running. What is written to the console meanwhile
//! is printed after the release, for the serial port takes 87 µs a byte. How long the lock is waited for and held is
//! counted, and logged by Xen's debug keys `l` and, to count anew, `L`.

use core::ops::{Deref, DerefMut};
use core::panic::Location;
use core::sync::atomic::{AtomicU64, Ordering};

use paravane::lock_profile::{LockHolder, LockProfile, ProfileLine};
use paravane::mem::FrameTable;
use paravane::system::{HostInfo, System};
use paravane::trace::TraceEvent;
use spin::Once;
use spin::mutex::{FairMutex, FairMutexGuard};

use crate::arch::frames::free_dropped;
use crate::arch::percpu::{self, PerCpu};
use crate::arch::phys::Machine;
use crate::arch::{cpu, serial, time};
use crate::trace;

static SYSTEM: Once<FairMutex<System<Machine>>> = Once::new();
/// Since when is counted, by the time-stamp counter.
static COUNTING_SINCE: AtomicU64 = AtomicU64::new(0);

/// Makes the system, without domains.
pub fn init(frames: FrameTable) {
    SYSTEM.call_once(|| FairMutex::new(System::new(Machine, frames, HostInfo::default())));
}

/// Locks the system.
///
/// # Panics
///
/// Before [`init`].
#[track_caller]
pub fn system() -> SystemGuard {
    let place = Location::caller();
    let lock = SYSTEM.get().expect("`init` has made the system");
    let asked = cpu::tsc();
    let guard = match trace::is_enabled() {
        true => lock.try_lock().unwrap_or_else(|| {
            trace::record(TraceEvent::LockWaitBegin);
            let guard = lock.lock();
            trace::record(TraceEvent::LockWaitEnd);
            guard
        }),
        false => lock.lock(),
    };
    let hold = Hold::start(asked, place);
    let mut system = SystemGuard {
        hold,
        guard,
        _output: PrintAfterUnlock,
    };
    serial::take_unread(|text| system.console.write(text));
    free_dropped(&mut system.frames);
    system
}

/// The locked system. Its fields are dropped in this order.
pub struct SystemGuard {
    hold: Hold,
    guard: FairMutexGuard<'static, System<Machine>>,
    _output: PrintAfterUnlock,
}

impl SystemGuard {
    /// Notes for which hypercall the system is locked.
    pub fn note_hypercall(&mut self, key: (u32, u32)) {
        self.hold.holder.hypercall = Some(key);
    }
}

impl Deref for SystemGuard {
    type Target = System<Machine>;

    fn deref(&self) -> &Self::Target {
        &self.guard
    }
}

impl DerefMut for SystemGuard {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.guard
    }
}

/// A time for which a processor holds the lock. Dropping it, before the release, counts it.
struct Hold {
    /// The processor; none as long as there are no data of processors.
    cpu: Option<&'static PerCpu>,
    asked: u64,
    got: u64,
    holder: LockHolder,
}

impl Hold {
    fn start(asked: u64, place: &'static Location<'static>) -> Self {
        let cpu = percpu::try_this();
        if let Some(cpu) = cpu {
            cpu.defers_output.store(true, Ordering::Relaxed);
        }
        Self {
            cpu,
            asked,
            got: cpu::tsc(),
            holder: LockHolder {
                place,
                hypercall: None,
            },
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(cpu) = self.cpu {
            cpu.defers_output.store(false, Ordering::Relaxed);
            let mut profile = cpu.lock_profile.lock();
            profile.count(self.asked, self.got, cpu::tsc(), self.holder);
        }
    }
}

/// Dropping this, after the release, prints what was written to the console meanwhile.
struct PrintAfterUnlock;

impl Drop for PrintAfterUnlock {
    fn drop(&mut self) {
        serial::write_deferred();
    }
}

/// Logs each processor's times since [`reset_profile`].
pub fn log_profile() {
    let ticks = cpu::tsc().saturating_sub(COUNTING_SINCE.load(Ordering::Relaxed));
    let hz = time::tsc_hz();
    for cpu in percpu::all() {
        let profile = *cpu.lock_profile.lock();
        let line = ProfileLine {
            profile: &profile,
            ticks,
            hz,
        };
        log::info!("lock of the system, processor {}: {line}", cpu.index);
    }
}

/// Counts anew.
pub fn reset_profile() {
    for cpu in percpu::all() {
        *cpu.lock_profile.lock() = LockProfile::NEW;
    }
    COUNTING_SINCE.store(cpu::tsc(), Ordering::Relaxed);
    log::info!("lock of the system: counting starts");
}
