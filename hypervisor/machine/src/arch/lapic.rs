// SPDX-License-Identifier: GPL-2.0

//! The processor's local APIC: IPIs, EOI, the timer. In x2APIC mode if the processor has it, else with the registers in
//! memory (Intel SDM volume 3, chapter 11; AMD APM volume 2, chapter 16).

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spin::Once;

use super::mmio::Window;
use super::{cpu, msr};

/// Vector of spurious interrupts.
pub const SPURIOUS: u8 = 0xff;
/// Vector of the IPI that makes a processor leave its guest or its idle loop, and check its state.
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

/// Physical address of the registers, which no domain may map.
pub fn address() -> u64 {
    msr::read(APIC_BASE).unwrap_or(0xfee0_0000) & 0xf_ffff_f000
}

/// Enables the calling processor's APIC.
pub fn init() {
    let wide = cpu::id().get_feature_info().is_some_and(|f| f.has_x2apic());
    X2APIC.store(wide, Ordering::Relaxed);
    let base = msr::read(APIC_BASE).unwrap_or(0xfee0_0000);
    // SAFETY: the value keeps the address and enables the APIC, whose registers are mapped as a device and hold no Rust
    // object.
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
            // SAFETY: the MSR is a register of the APIC. Callers set up interrupts with vectors that have a stub in the
            // IDT.
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

/// Signals the EOI of the interrupt that is being handled.
pub fn eoi() {
    write(END, 0);
}

fn write_icr(destination: u32, low: u32) {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: the MSR is the ICR. Fixed IPIs have vectors with a stub in the IDT; INIT and start-up IPIs are sent
        // by `smp` only, to processors that do not run Rust code yet.
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

/// Sends an IPI to the processor with an APIC id.
fn send(destination: u32, vector: u8) {
    write_icr(destination, 1 << 14 | u32::from(vector));
}

/// Sends an NMI to all other processors.
pub fn send_nmi_to_others() {
    write_icr(0, 3 << 18 | 1 << 14 | 4 << 8);
}

/// Sends INIT to a processor: it waits for a start-up IPI.
pub fn send_init(destination: u32) {
    write_icr(destination, 1 << 14 | 5 << 8);
}

/// Sends a start-up IPI: the processor starts in real mode at `page` times 4096.
pub fn send_startup(destination: u32, page: u8) {
    write_icr(destination, 1 << 14 | 6 << 8 | u32::from(page));
}

/// Measures the timer's rate against the TSC; once, on the first processor.
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

/// Sets the timer to interrupt in `nanoseconds`, or earlier if that exceeds its range; `None` stops it.
pub fn set_timer(nanoseconds: Option<u64>) {
    write(DIVIDE, 0b1011);
    write(LVT_TIMER, u32::from(TIMER));
    let count = nanoseconds.map_or(0, |nanoseconds| {
        let ticks = (u128::from(nanoseconds) * u128::from(TICKS.load(Ordering::Relaxed))) >> 20;
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    });
    write(INITIAL_COUNT, count);
}

/// Makes another processor leave its guest or its idle loop.
pub fn kick(apic_id: u32) {
    send(apic_id, KICK);
}
