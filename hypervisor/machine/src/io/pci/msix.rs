// SPDX-License-Identifier: GPL-2.0

//! The MSI-X capability and its table (PCI local bus specification 3.0, 6.8.2). dom0 reads back what it wrote; the
//! device gets addresses and vectors of the hypervisor.

use alloc::vec::Vec;
use core::ops::Range;

use crate::arch::mmio::Window;
use crate::arch::{memory, pci as hardware};
use crate::domain;
use crate::io::vectors::{self, IrqSource};

/// The MSI-X capability of a function, and its table as dom0 has programmed it.
pub(super) struct Msix {
    /// Offset of the capability in configuration space.
    capability: u8,
    /// The BAR that the table lies in, and the table's offset in it.
    bar: u8,
    offset: u64,
    /// Physical addresses of the table; empty as long as its BAR has none.
    table: Range<u64>,
    /// The pages that the table lies in, once they were accessed.
    window: Option<Window>,
    entries: Vec<MsixEntry>,
}

/// An entry of the table.
#[derive(Clone, Copy, Default)]
struct MsixEntry {
    address: u64,
    data: u32,
    /// The hypervisor's vector, once the entry was unmasked.
    vector: Option<u8>,
}

impl MsixEntry {
    /// Has the vector, if there is one, deliver what dom0 wrote to the entry.
    fn set_source(&self) {
        if let Some(vector) = self.vector {
            let (address, data) = (self.address, self.data);
            vectors::set_source(vector, IrqSource::Msi { address, data });
        }
    }
}

impl Msix {
    /// Reads the capability at an offset.
    pub(super) fn new(bdf: u16, capability: u8) -> Self {
        let count = (hardware::read(bdf, capability, 4) >> 16 & 0x7ff) as usize + 1;
        let table = hardware::read(bdf, capability + 4, 4);
        Self {
            capability,
            bar: (table & 7) as u8,
            offset: u64::from(table & !7),
            table: 0..0,
            window: None,
            entries: alloc::vec![MsixEntry::default(); count],
        }
    }

    /// Whether the pages of the table, of which the last may extend behind it, contain an address.
    pub(super) fn contains(&self, address: u64) -> bool {
        !self.table.is_empty()
            && (self.table.start & !0xfff..self.table.end.next_multiple_of(4096)).contains(&address)
    }

    /// Whether the table lies in the page at an address.
    pub(super) fn is_in_page(&self, page: u64) -> bool {
        !self.table.is_empty() && (self.table.start & !0xfff..self.table.end).contains(&page)
    }

    /// Determines the table's address from its BAR.
    pub(super) fn locate(&mut self, bdf: u16) {
        let register = 0x10 + self.bar * 4;
        let low = hardware::read(bdf, register, 4);
        if low & 1 != 0 || self.bar > 5 {
            return;
        }
        let high = if low & 6 == 4 {
            u64::from(hardware::read(bdf, register + 4, 4)) << 32
        } else {
            0
        };
        let base = high | u64::from(low & !0xf);
        let Some(start) = base.checked_add(self.offset) else {
            return;
        };
        if base == 0 || start == self.table.start {
            return;
        }
        let Some(end) = start.checked_add(self.entries.len() as u64 * 16) else {
            return;
        };
        // dom0 has given the BAR an invalid value: there is no table.
        if end >= 1 << 46 || memory::is_ram(&(start & !0xfff..end.next_multiple_of(4096))) {
            (self.table, self.window) = (0..0, None);
            return;
        }
        self.table = start..end;
        let pages = self.table.start & !0xfff..self.table.end.next_multiple_of(4096);
        // Mappings are never removed, and dom0 may move a BAR as often as it likes.
        self.window = None;
        log::info!(
            "PCI {bdf:#06x}: MSI-X table of {} at {:#x}, capability at {:#x}",
            self.entries.len(),
            start,
            self.capability
        );
        domain::queue_unmap(pages);
    }

    /// Offset of an address in the window.
    fn window_offset(&self, address: u64) -> usize {
        (address - (self.table.start & !0xfff)) as usize
    }

    /// The pages that the table lies in, mapped.
    fn map_window(&mut self) -> Window {
        let pages = self.table.start & !0xfff..self.table.end.next_multiple_of(4096);
        *self
            .window
            .get_or_insert_with(|| Window::map(pages.start, pages.end - pages.start))
    }

    /// Reads from the pages of the table: entries as dom0 wrote them, everything else from the device.
    pub(super) fn read(&mut self, address: u64, size: usize) -> u64 {
        let window = self.map_window();
        let word = |address: u64| -> u32 {
            if let Some(offset) = address.checked_sub(self.table.start) {
                let entry = self.entries.get((offset / 16) as usize);
                if let (Some(entry), part @ 0..=2) = (entry, offset % 16 / 4) {
                    return [
                        entry.address as u32,
                        (entry.address >> 32) as u32,
                        entry.data,
                    ][part as usize];
                }
            }
            window.read(self.window_offset(address) & !3)
        };
        let low = u64::from(word(address & !3)) >> (8 * (address & 3));
        if size == 8 {
            low | u64::from(word(address + 4)) << 32
        } else {
            low
        }
    }

    /// Writes 32 bits to the pages of the table. An entry gets a vector of the hypervisor when it is unmasked.
    pub(super) fn write(&mut self, address: u64, value: u32, apic_id: u32) {
        let window = self.map_window();
        let at = self.window_offset(address) & !3;
        let offset = address.wrapping_sub(self.table.start);
        let Some(entry) = self.entries.get_mut((offset / 16) as usize) else {
            window.write(at, value);
            return;
        };
        match offset % 16 / 4 {
            0 => entry.address = entry.address & !0xffff_ffff | u64::from(value),
            1 => entry.address = entry.address & 0xffff_ffff | u64::from(value) << 32,
            2 => entry.data = value,
            _ => {
                if value & 1 == 0 && entry.vector.is_none() {
                    entry.vector = vectors::alloc(1, |_| IrqSource::Free);
                    let Some(vector) = entry.vector else {
                        log::error!("no vector for an MSI-X entry");
                        return;
                    };
                    let (address, data) = vectors::compose_msi(apic_id, vector);
                    window.write(at - 12, address);
                    window.write(at - 8, 0);
                    window.write(at - 4, data);
                }
                entry.set_source();
                window.write(at, value);
                return;
            }
        }
        entry.set_source();
    }
}
