// SPDX-License-Identifier: GPL-2.0

//! The machine's I/O APICs (Intel 82093AA data sheet): every line is masked until a domain wants it.

use alloc::vec::Vec;

use spin::Mutex;

use super::acpi::Acpi;
use super::mmio::Window;

use paravane::irq::vioapic::{self, MASKED};

struct IoApic {
    window: Window,
    gsi_base: u32,
    lines: u32,
}

impl IoApic {
    fn read(&self, register: u32) -> u32 {
        self.window.write(0, register);
        self.window.read(0x10)
    }

    fn write(&self, register: u32, value: u32) {
        self.window.write(0, register);
        self.window.write(0x10, value);
    }

    fn set(&self, line: u32, entry: u64) {
        for (half, value) in vioapic::writes(entry) {
            self.write(0x10 + line * 2 + half, value);
        }
    }
}

static ALL: Mutex<Vec<IoApic>> = Mutex::new(Vec::new());

/// Finds the I/O APICs and masks all their lines.
pub fn init(acpi: &Acpi) {
    let mut all = ALL.lock();
    for entry in &acpi.io_apics {
        let mut found = IoApic {
            window: Window::map(entry.address.into(), 4096),
            gsi_base: entry.base,
            lines: 0,
        };
        found.lines = (found.read(1) >> 16 & 0xff) + 1;
        for line in 0..found.lines {
            found.set(line, MASKED);
        }
        log::info!(
            "I/O APIC {} at {:#x}: GSI {} to {}",
            entry.id,
            entry.address,
            entry.base,
            entry.base + found.lines - 1
        );
        all.push(found);
    }
}

/// How many lines the I/O APIC has that serves `gsi_base` first.
pub fn lines(gsi_base: u32) -> u32 {
    ALL.lock()
        .iter()
        .find(|apic| apic.gsi_base == gsi_base)
        .map_or(0, |apic| apic.lines)
}

/// Whether there is a global interrupt of that number.
pub fn has(gsi: u32) -> bool {
    let serves = |apic: &IoApic| (apic.gsi_base..apic.gsi_base + apic.lines).contains(&gsi);
    ALL.lock().iter().any(serves)
}

/// Sets a global interrupt's redirection entry; false if there is no such interrupt.
pub fn set(gsi: u32, entry: u64) -> bool {
    let all = ALL.lock();
    let Some(apic) = all
        .iter()
        .find(|apic| (apic.gsi_base..apic.gsi_base + apic.lines).contains(&gsi))
    else {
        return false;
    };
    apic.set(gsi - apic.gsi_base, entry);
    true
}

/// Masks or unmasks a global interrupt and leaves the rest of its entry.
pub fn mask(gsi: u32, masked: bool) {
    let all = ALL.lock();
    if let Some(apic) = all
        .iter()
        .find(|apic| (apic.gsi_base..apic.gsi_base + apic.lines).contains(&gsi))
    {
        let register = 0x10 + (gsi - apic.gsi_base) * 2;
        let low = apic.read(register);
        apic.write(
            register,
            if masked {
                low | MASKED as u32
            } else {
                low & !(MASKED as u32)
            },
        );
    }
}
