// SPDX-License-Identifier: GPL-2.0

//! The machine's I/O APICs (Intel 82093AA data sheet). All pins are masked until dom0 unmasks them.

use alloc::vec::Vec;
use core::ops::Range;

use spin::Mutex;

use super::acpi::Acpi;
use super::mmio::Window;

use paravane::irq::vioapic::{self, MASKED, storm};

/// Offset of the window register, through which the selected register is accessed.
const WINDOW: usize = 0x10;

struct IoApic {
    window: Window,
    gsi_base: u32,
    /// The low halves of the redirection entries as last written, so that masking a pin needs no read: a read waits for
    /// the device, a write does not.
    low: Vec<u32>,
}

impl IoApic {
    fn read(&self, register: u32) -> u32 {
        self.window.write(0, register);
        self.window.read(WINDOW)
    }

    fn write(&self, register: u32, value: u32) {
        self.window.write(0, register);
        self.window.write(WINDOW, value);
    }

    /// The GSIs of its pins.
    fn gsis(&self) -> Range<u32> {
        self.gsi_base..self.gsi_base + self.low.len() as u32
    }

    fn set(&mut self, pin: u32, entry: u64) {
        for (half, value) in vioapic::writes(entry) {
            self.write(0x10 + pin * 2 + half, value);
        }
        if let Some(low) = self.low.get_mut(pin as usize) {
            *low = entry as u32;
        }
    }

    /// Masks or unmasks a pin, and leaves the low half of its entry selected.
    fn mask(&mut self, pin: u32, masked: bool) {
        let mask = MASKED as u32;
        if let Some(low) = self.low.get_mut(pin as usize) {
            *low = *low & !mask | if masked { mask } else { 0 };
            let low = *low;
            self.write(0x10 + pin * 2, low);
        }
    }
}

static ALL: Mutex<Vec<IoApic>> = Mutex::new(Vec::new());

/// Calls `act` with the I/O APIC and the pin of a GSI, if there is one.
fn with<T>(gsi: u32, act: impl FnOnce(&mut IoApic, u32) -> T) -> Option<T> {
    let mut all = ALL.lock();
    let apic = all.iter_mut().find(|apic| apic.gsis().contains(&gsi))?;
    let pin = gsi - apic.gsi_base;
    Some(act(apic, pin))
}

/// Initialises the I/O APICs and masks all pins.
pub fn init(acpi: &Acpi) {
    let mut all = ALL.lock();
    for entry in &acpi.io_apics {
        let mut found = IoApic {
            window: Window::map(entry.address.into(), 4096),
            gsi_base: entry.gsi_base,
            low: Vec::new(),
        };
        let pins = (found.read(1) >> 16 & 0xff) + 1;
        found.low.resize(pins as usize, MASKED as u32);
        for pin in 0..pins {
            found.set(pin, MASKED);
        }
        log::info!(
            "I/O APIC {} at {:#x}: GSI {} to {}",
            entry.id,
            entry.address,
            entry.gsi_base,
            entry.gsi_base + pins - 1
        );
        all.push(found);
    }
}

/// Number of pins of the I/O APIC whose first GSI is `gsi_base`.
pub fn pins(gsi_base: u32) -> u32 {
    ALL.lock()
        .iter()
        .find(|apic| apic.gsi_base == gsi_base)
        .map_or(0, |apic| apic.low.len() as u32)
}

/// Whether a GSI exists.
pub fn has(gsi: u32) -> bool {
    with(gsi, |_, _| ()).is_some()
}

/// Writes the redirection entry of a GSI; false if there is none.
pub fn set(gsi: u32, entry: u64) -> bool {
    with(gsi, |apic, pin| apic.set(pin, entry)).is_some()
}

/// Masks a GSI and leaves the rest of its entry.
pub fn mask(gsi: u32) {
    with(gsi, |apic, pin| apic.mask(pin, true));
}

/// Unmasks a level-triggered GSI and leaves the rest of its entry. Returns whether its pin is still asserted, in which
/// case it has interrupted again already.
pub fn unmask(gsi: u32) -> bool {
    let low = with(gsi, |apic, pin| {
        apic.mask(pin, false);
        apic.window.read(WINDOW)
    });
    low.is_some_and(storm::is_asserted)
}
