// SPDX-License-Identifier: GPL-2.0

//! System time: nanoseconds since the hypervisor's start, from the TSC, whose rate is measured once against the HPET
//! or, without one, the PIT. No domain gets these two.

use core::sync::atomic::{AtomicU64, Ordering};

use paravane::pvclock::{self, Clock};
use spin::Once;

use super::acpi::Acpi;
use super::cpu;
use super::legacy::{input, output};
use super::mmio::Window;

/// Duration of the measurement in nanoseconds.
const MEASURE: u64 = 50_000_000;
/// Rate of the PIT in Hz.
const PIT_HZ: u64 = 1_193_182;

static HZ: AtomicU64 = AtomicU64::new(1_000_000_000);
static CLOCK: Once<Clock> = Once::new();
/// The clock before the TSC's rate is known: as if it were 1 GHz.
const UNKNOWN: Clock = Clock {
    tsc: 0,
    system_time: 0,
    mul: 0x8000_0000,
    shift: 1,
    stable: true,
};

/// Measures the TSC's rate.
pub fn init(acpi: &Acpi) {
    let hz = acpi.hpet.and_then(by_hpet).unwrap_or_else(by_pit);
    HZ.store(hz, Ordering::Relaxed);
    let (mul, shift) = pvclock::scale(hz);
    CLOCK.call_once(|| Clock {
        tsc: cpu::tsc(),
        mul,
        shift,
        ..UNKNOWN
    });
    log::info!(
        "TSC: {} kHz by {}",
        hz / 1000,
        if acpi.hpet.is_some() { "HPET" } else { "PIT" }
    );
}

/// The TSC's rate in Hz.
pub fn tsc_hz() -> u64 {
    HZ.load(Ordering::Relaxed)
}

/// How the TSC is converted to system time; guests use the same.
pub fn clock() -> Clock {
    CLOCK.get().copied().unwrap_or(UNKNOWN)
}

/// System time in nanoseconds.
pub fn now() -> u64 {
    at(cpu::tsc())
}

/// System time at a value of the TSC, computed as guests do; 0 before the start.
pub fn at(tsc: u64) -> u64 {
    let clock = clock();
    clock.at(tsc.max(clock.tsc))
}

/// Busy-waits.
pub fn delay(nanoseconds: u64) {
    let end = now() + nanoseconds;
    while now() < end {
        core::hint::spin_loop();
    }
}

/// Measures against the HPET's main counter (IA-PC HPET specification 1.0a, 2.3).
fn by_hpet(address: u64) -> Option<u64> {
    let hpet = Window::map(address, 1024);
    let period = u64::from(hpet.read(4));
    if period == 0 || period > 100_000_000 {
        return None;
    }
    hpet.write(0x10, hpet.read(0x10) | 1);
    let read = || u64::from(hpet.read(0xf0));
    let (first, start) = (read(), cpu::tsc());
    let wanted = MEASURE * 1_000_000 / period;
    loop {
        let (last, end) = (read(), cpu::tsc());
        let ticks = last.wrapping_sub(first) & 0xffff_ffff;
        if ticks >= wanted {
            let femtoseconds = u128::from(ticks) * u128::from(period);
            return Some((u128::from(end - start) * 1_000_000_000_000_000 / femtoseconds) as u64);
        }
        if end - start > 100_000_000_000 {
            return None;
        }
    }
}

/// Measures against channel 2 of the PIT, which counts down once while its gate is open (Intel 8254 data sheet, mode
/// 0).
fn by_pit() -> u64 {
    const COMMAND: u16 = 0x43;
    const DATA: u16 = 0x42;
    const GATE: u16 = 0x61;
    let count = PIT_HZ * MEASURE / 1_000_000_000;
    let old = input(GATE);
    output(GATE, old & !2 | 1);
    output(COMMAND, 0b1011_0000);
    output(DATA, count as u8);
    output(DATA, (count >> 8) as u8);
    let start = cpu::tsc();
    while input(GATE) & 0x20 == 0 {
        core::hint::spin_loop();
    }
    let end = cpu::tsc();
    output(GATE, old);
    (end - start) * 1_000_000_000 / MEASURE
}
