// SPDX-License-Identifier: GPL-2.0

//! The machine's I/O APICs (Intel 82093AA data sheet): every line is masked until a domain wants it.

use alloc::vec::Vec;
use core::ops::Range;

use spin::Mutex;

use super::acpi::Acpi;
use super::mmio::Window;

use paravane::irq::vioapic::{self, MASKED, storm};

/// Offset of the register that the selected one is read and written by.
const DATA: usize = 0x10;

struct IoApic {
    window: Window,
    gsi_base: u32,
    /// The low halves of the lines' entries as they were written last, so that masking one reads no register: a read waits
    /// for the device, a write does not.
    low: Vec<u32>,
}

impl IoApic {
    fn read(&self, register: u32) -> u32 {
        self.window.write(0, register);
        self.window.read(DATA)
    }

    fn write(&self, register: u32, value: u32) {
        self.window.write(0, register);
        self.window.write(DATA, value);
    }

    /// The global interrupts it serves.
    fn gsis(&self) -> Range<u32> {
        self.gsi_base..self.gsi_base + self.low.len() as u32
    }

    fn set(&mut self, line: u32, entry: u64) {
        for (half, value) in vioapic::writes(entry) {
            self.write(0x10 + line * 2 + half, value);
        }
        if let Some(low) = self.low.get_mut(line as usize) {
            *low = entry as u32;
        }
    }

    /// Writes a line's mask, and leaves the low half of its entry selected.
    fn mask(&mut self, line: u32, masked: bool) {
        let mask = MASKED as u32;
        if let Some(low) = self.low.get_mut(line as usize) {
            *low = *low & !mask | if masked { mask } else { 0 };
            let low = *low;
            self.write(0x10 + line * 2, low);
        }
    }
}

static ALL: Mutex<Vec<IoApic>> = Mutex::new(Vec::new());

/// Does something with the I/O APIC that serves a global interrupt and the interrupt's line there, if there is one.
fn with<T>(gsi: u32, act: impl FnOnce(&mut IoApic, u32) -> T) -> Option<T> {
    let mut all = ALL.lock();
    let apic = all.iter_mut().find(|apic| apic.gsis().contains(&gsi))?;
    let line = gsi - apic.gsi_base;
    Some(act(apic, line))
}

/// Finds the I/O APICs and masks all their lines.
pub fn init(acpi: &Acpi) {
    let mut all = ALL.lock();
    for entry in &acpi.io_apics {
        let mut found = IoApic {
            window: Window::map(entry.address.into(), 4096),
            gsi_base: entry.base,
            low: Vec::new(),
        };
        let lines = (found.read(1) >> 16 & 0xff) + 1;
        found.low.resize(lines as usize, MASKED as u32);
        for line in 0..lines {
            found.set(line, MASKED);
        }
        log::info!(
            "I/O APIC {} at {:#x}: GSI {} to {}",
            entry.id,
            entry.address,
            entry.base,
            entry.base + lines - 1
        );
        all.push(found);
    }
}

/// How many lines the I/O APIC has that serves `gsi_base` first.
pub fn lines(gsi_base: u32) -> u32 {
    ALL.lock()
        .iter()
        .find(|apic| apic.gsi_base == gsi_base)
        .map_or(0, |apic| apic.low.len() as u32)
}

/// Whether there is a global interrupt of that number.
pub fn has(gsi: u32) -> bool {
    with(gsi, |_, _| ()).is_some()
}

/// Sets a global interrupt's redirection entry; false if there is no such interrupt.
pub fn set(gsi: u32, entry: u64) -> bool {
    with(gsi, |apic, line| apic.set(line, entry)).is_some()
}

/// Masks a global interrupt and leaves the rest of its entry.
pub fn mask(gsi: u32) {
    with(gsi, |apic, line| apic.mask(line, true));
}

/// Unmasks a level-triggered global interrupt and leaves the rest of its entry. Says whether its line is up: the interrupt
/// has come again by that.
pub fn unmask(gsi: u32) -> bool {
    let low = with(gsi, |apic, line| {
        apic.mask(line, false);
        apic.window.read(DATA)
    });
    low.is_some_and(storm::is_up)
}
