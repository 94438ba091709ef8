// SPDX-License-Identifier: GPL-2.0

//! The processor, its memory and its interrupt controllers. Only here and in `boot` there is unsafe code.
//!
//! Nothing here uses a module outside of `arch`. What these modules need from above, such as the entry of an
//! application processor, the handler of an exception, or where frames go back to, is passed as a function.

pub mod acpi;
pub mod cpu;
pub mod crash;
pub mod descriptors;
pub mod frames;
pub mod image;
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
pub mod probe;
pub mod ram;
pub mod rtc;
pub mod serial;
pub mod smp;
pub mod svm;
pub mod time;
pub mod trace;
pub mod traps;

/// Halts the calling processor for ever.
pub fn halt_forever() -> ! {
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}
