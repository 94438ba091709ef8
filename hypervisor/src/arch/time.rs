// SPDX-License-Identifier: GPL-2.0

//! Time: nanoseconds since the hypervisor started, from the time-stamp counter, whose rate is measured once
//! against the HPET or, where there is none, the PIT. The hypervisor keeps both for itself.

use core::sync::atomic::{AtomicU64, Ordering};

use super::acpi::Acpi;
use super::cpu;
use super::legacy::{input, output};
use super::mmio::Window;

/// Measured for this long, in nanoseconds.
const MEASURE: u64 = 50_000_000;
/// Rate of the PIT in Hz.
const PIT_HZ: u64 = 1_193_182;

static START: AtomicU64 = AtomicU64::new(0);
static HZ: AtomicU64 = AtomicU64::new(1_000_000_000);
/// Multiplier and shift of [`scale`], packed; that of 1 GHz before the rate is known.
static SCALE: AtomicU64 = AtomicU64::new(0x8000_0000 << 8 | 1);

/// Measures the counter's rate.
pub fn init(acpi: &Acpi) {
    let hz = acpi.hpet.and_then(by_hpet).unwrap_or_else(by_pit);
    HZ.store(hz, Ordering::Relaxed);
    let (multiplier, shift) = scale_of(hz);
    SCALE.store(
        u64::from(multiplier) << 8 | u64::from(shift as u8),
        Ordering::Relaxed,
    );
    START.store(cpu::tsc(), Ordering::Relaxed);
    log::info!(
        "TSC: {} kHz by {}",
        hz / 1000,
        if acpi.hpet.is_some() { "HPET" } else { "PIT" }
    );
}

/// The counter's rate in Hz.
pub fn tsc_hz() -> u64 {
    HZ.load(Ordering::Relaxed)
}

/// The counter's value at time 0.
pub fn tsc_start() -> u64 {
    START.load(Ordering::Relaxed)
}

/// Nanoseconds since the start.
pub fn now() -> u64 {
    at(cpu::tsc())
}

/// The time at which the counter has a value, computed exactly as guests do from [`scale`].
pub fn at(tsc: u64) -> u64 {
    let ticks = tsc.saturating_sub(tsc_start());
    let (multiplier, shift) = scale();
    let shifted = if shift < 0 {
        ticks >> -shift
    } else {
        ticks << shift
    };
    (u128::from(shifted) * u128::from(multiplier) >> 32) as u64
}

/// Waits without sleeping.
pub fn delay(nanoseconds: u64) {
    let end = now() + nanoseconds;
    while now() < end {
        core::hint::spin_loop();
    }
}

/// Against the HPET's main counter (IA-PC HPET specification 1.0a, 2.3).
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

/// Against channel 2 of the PIT, which counts down once while its gate is open (Intel 8254 data sheet, mode 0).
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

/// The counter's rate as guests want it: nanoseconds are ticks, shifted left by the second number (right if it is
/// negative), times the first, divided by 2^32.
pub fn scale() -> (u32, i8) {
    let packed = SCALE.load(Ordering::Relaxed);
    ((packed >> 8) as u32, packed as u8 as i8)
}

fn scale_of(hz: u64) -> (u32, i8) {
    let (mut rate, mut shift) = (hz, 0);
    // The multiplier keeps most bits if the shifted rate lies between 1 and 2 GHz.
    while rate > 2_000_000_000 {
        rate >>= 1;
        shift -= 1;
    }
    while rate <= 1_000_000_000 {
        rate <<= 1;
        shift += 1;
    }
    let shifted = if shift < 0 {
        u128::from(hz) >> -shift
    } else {
        u128::from(hz) << shift
    };
    (((1_000_000_000u128 << 32) / shifted) as u32, shift as i8)
}
