// SPDX-License-Identifier: GPL-2.0

//! The processor's local APIC: interrupts between processors, the end of an interrupt, the timer. x2APIC where
//! there is one, else the registers in memory (Intel SDM volume 3, chapter 11; AMD APM volume 2, chapter 16).

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spin::Once;

use super::mmio::Window;
use super::{cpu, msr, percpu};

/// Vector of interrupts that were none.
pub const SPURIOUS: u8 = 0xff;
/// Vector that only makes a processor look at what others want of it.
pub const KICK: u8 = 0xfe;
/// Vector of the timer.
pub const TIMER: u8 = 0xfd;

const APIC_BASE: u32 = 0x1b;
const X2APIC_FIRST: u32 = 0x800;
const ID: usize = 0x20;
const TASK_PRIORITY: usize = 0x80;
const END: usize = 0xb0;
const SPURIOUS_VECTOR: usize = 0xf0;
const COMMAND_LOW: usize = 0x300;
const COMMAND_HIGH: usize = 0x310;
const LVT_TIMER: usize = 0x320;
const LVT_LINT0: usize = 0x350;
const LVT_LINT1: usize = 0x360;
const INITIAL_COUNT: usize = 0x380;
const CURRENT_COUNT: usize = 0x390;
const DIVIDE: usize = 0x3e0;

static X2APIC: AtomicBool = AtomicBool::new(false);
static WINDOW: Once<Window> = Once::new();
/// Timer ticks in 2^20 nanoseconds.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// Physical address of the registers, which no domain gets.
pub fn address() -> u64 {
    msr::read(APIC_BASE).unwrap_or(0xfee0_0000) & 0xf_ffff_f000
}

/// Turns the calling processor's APIC on.
pub fn init() {
    let wide = cpu::id().get_feature_info().is_some_and(|f| f.has_x2apic());
    X2APIC.store(wide, Ordering::Relaxed);
    let base = msr::read(APIC_BASE).unwrap_or(0xfee0_0000);
    // SAFETY: turning the APIC on changes no memory of ours; its registers are mapped as a device.
    unsafe { msr::write(APIC_BASE, base | 1 << 11 | if wide { 1 << 10 } else { 0 }) };
    if !wide {
        WINDOW.call_once(|| Window::map(address(), 4096));
    }
    write(TASK_PRIORITY, 0);
    write(LVT_TIMER, 1 << 16);
    write(LVT_LINT0, 1 << 16);
    // NMI, as the firmware leaves it on the first processor.
    write(LVT_LINT1, 4 << 8);
    write(SPURIOUS_VECTOR, 1 << 8 | u32::from(SPURIOUS));
}

fn read(register: usize) -> u32 {
    match WINDOW.get() {
        Some(window) if !X2APIC.load(Ordering::Relaxed) => window.read(register),
        _ => msr::read(X2APIC_FIRST + (register >> 4) as u32).unwrap_or(0) as u32,
    }
}

fn write(register: usize, value: u32) {
    match WINDOW.get() {
        Some(window) if !X2APIC.load(Ordering::Relaxed) => window.write(register, value),
        _ => {
            // SAFETY: an APIC register; interrupts go to vectors of ours only.
            unsafe { msr::write(X2APIC_FIRST + (register >> 4) as u32, u64::from(value)) };
        }
    }
}

/// The calling processor's APIC id.
pub fn id() -> u32 {
    if X2APIC.load(Ordering::Relaxed) {
        read(ID)
    } else {
        read(ID) >> 24
    }
}

/// Ends the interrupt that is being served.
pub fn end_of_interrupt() {
    write(END, 0);
}

fn command(destination: u32, low: u32) {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: as in `write`; INIT and start-up are sent to processors the hypervisor starts.
        unsafe {
            msr::write(
                X2APIC_FIRST + 0x30,
                u64::from(destination) << 32 | u64::from(low),
            )
        };
    } else {
        write(COMMAND_HIGH, destination << 24);
        write(COMMAND_LOW, low);
        while read(COMMAND_LOW) & 1 << 12 != 0 {
            core::hint::spin_loop();
        }
    }
}

/// Sends an interrupt to the processor of an APIC id.
pub fn send(destination: u32, vector: u8) {
    command(destination, 1 << 14 | u32::from(vector));
}

/// Sends a non-maskable interrupt to all other processors.
pub fn send_nmi_to_others() {
    command(0, 3 << 18 | 1 << 14 | 4 << 8);
}

/// Resets another processor into its wait for a start.
pub fn send_init(destination: u32) {
    command(destination, 1 << 14 | 5 << 8);
}

/// Starts another processor in real mode at `page` times 4096.
pub fn send_startup(destination: u32, page: u8) {
    command(destination, 1 << 14 | 6 << 8 | u32::from(page));
}

/// Measures the timer against the time-stamp counter; once, on the first processor.
pub fn calibrate() {
    write(DIVIDE, 0b1011);
    write(LVT_TIMER, 1 << 16 | u32::from(TIMER));
    write(INITIAL_COUNT, u32::MAX);
    let start = super::time::now();
    while super::time::now() - start < 10_000_000 {
        core::hint::spin_loop();
    }
    let ticks = u64::from(u32::MAX - read(CURRENT_COUNT));
    let took = super::time::now() - start;
    write(INITIAL_COUNT, 0);
    TICKS.store(
        ((u128::from(ticks) << 20) / u128::from(took)) as u64,
        Ordering::Relaxed,
    );
    log::info!(
        "LAPIC timer: {} kHz, x2APIC {}",
        ticks * 1_000_000 / took,
        X2APIC.load(Ordering::Relaxed)
    );
}

/// Has the timer's interrupt come `nanoseconds` from now, or sooner if that is too far for it; `None` stops it.
pub fn set_timer(nanoseconds: Option<u64>) {
    write(DIVIDE, 0b1011);
    write(LVT_TIMER, u32::from(TIMER));
    let count = nanoseconds.map_or(0, |nanoseconds| {
        let ticks = (u128::from(nanoseconds) * u128::from(TICKS.load(Ordering::Relaxed))) >> 20;
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    });
    write(INITIAL_COUNT, count);
}

/// Makes another processor leave its guest or its sleep.
pub fn kick(cpu: &percpu::PerCpu) {
    send(cpu.apic_id, KICK);
}
