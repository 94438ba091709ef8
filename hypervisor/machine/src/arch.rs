// SPDX-License-Identifier: GPL-2.0

//! The processor, its memory and its interrupt controllers: the only place, beside `boot`, with unsafe code.

pub mod acpi;
pub mod cpu;
pub mod crash;
pub mod descriptors;
pub mod frames;
pub mod ioapic;
pub mod lapic;
pub mod legacy;
pub mod memory;
pub mod mmio;
pub mod msr;
pub mod paging;
pub mod pci;
pub mod percpu;
pub mod phys;
pub mod power;
pub mod ram;
pub mod rtc;
pub mod serial;
pub mod smp;
pub mod svm;
pub mod time;
pub mod traps;

/// Stops this processor for good.
pub fn halt_forever() -> ! {
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}
