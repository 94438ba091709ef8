// SPDX-License-Identifier: GPL-2.0

//! PCI configuration space for dom0, by mechanism 1 (PCI local bus specification 3.0, 3.2.2.3.2). All of it passes
//! through but the messages of MSI and MSI-X: dom0 sees what it wrote, the device carries vectors of the
//! hypervisor's.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::msi::{self, Source};
use crate::arch::mmio::Window;
use crate::arch::pci as hardware;

const CAPABILITY_MSI: u8 = 5;
const CAPABILITY_MSIX: u8 = 0x11;
const COMMAND_MEMORY: u32 = 1 << 1;

/// A device that can send messages.
struct Device {
    msi: Option<Msi>,
    msix: Option<Msix>,
}

impl Device {
    fn examine(bdf: u16) -> Self {
        let mut device = Self {
            msi: None,
            msix: None,
        };
        hardware::capabilities(bdf, |id, at| match id {
            // One that would not fit into the space is damaged.
            CAPABILITY_MSI if at <= 0xe8 => {
                let wide = hardware::read(bdf, at, 4) >> 16 & 1 << 7 != 0;
                device.msi = Some(Msi {
                    at,
                    wide,
                    address: 0,
                    data: 0,
                    vectors: None,
                });
            }
            CAPABILITY_MSIX => {
                let count = (hardware::read(bdf, at, 4) >> 16 & 0x7ff) as usize + 1;
                let place = hardware::read(bdf, at + 4, 4);
                device.msix = Some(Msix {
                    at,
                    bar: (place & 7) as u8,
                    offset: u64::from(place & !7),
                    table: 0..0,
                    window: None,
                    entries: alloc::vec![Entry::default(); count],
                });
            }
            _ => {}
        });
        if let Some(msix) = &mut device.msix {
            msix.locate(bdf);
        }
        device
    }
}

/// The MSI capability (6.8.1): what dom0 wrote.
struct Msi {
    at: u8,
    wide: bool,
    address: u64,
    data: u32,
    /// First vector and how many, while it is enabled.
    vectors: Option<(u8, u8)>,
}

impl Msi {
    fn data_at(&self) -> u8 {
        self.at + if self.wide { 12 } else { 8 }
    }

    fn source(&self, index: u8) -> Source {
        // The device puts the message's number into the low bits of the data.
        Source::Message {
            address: self.address,
            data: self.data | u32::from(index),
        }
    }
}

/// The MSI-X capability (6.8.2): its table's place and what dom0 wrote there.
struct Msix {
    at: u8,
    bar: u8,
    offset: u64,
    /// Physical addresses of the table, once its BAR has one.
    table: Range<u64>,
    window: Option<Window>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    address: u64,
    data: u32,
    vector: Option<u8>,
}

/// dom0's view of all devices.
pub struct Pci {
    latch: u32,
    devices: BTreeMap<u16, Device>,
    /// APIC id of the processor that devices' interrupts go to.
    target: u32,
}

impl Pci {
    /// Finds the devices that can send messages.
    pub fn new(target: u32) -> Self {
        let mut pci = Self {
            latch: 0,
            devices: BTreeMap::new(),
            target,
        };
        hardware::each(|bdf| {
            pci.add(bdf);
        });
        log::info!("PCI: {} functions send messages", pci.devices.len());
        pci
    }

    /// Looks at a function that dom0 found, if it is not known yet. False if there is none.
    pub fn add(&mut self, bdf: u16) -> bool {
        if hardware::read(bdf, 0, 4) as u16 == 0xffff {
            return false;
        }
        if self.devices.contains_key(&bdf) {
            return true;
        }
        let device = Device::examine(bdf);
        if device.msi.is_some() || device.msix.is_some() {
            self.devices.insert(bdf, device);
        }
        true
    }

    /// The function and register an access to the data ports means; none if it leaves the four ports.
    fn selected(&self, port: u16, size: u8) -> Option<(u16, u8)> {
        let offset = (port & 3) as u8;
        let enabled = self.latch & 1 << 31 != 0 && offset + size <= 4;
        enabled.then_some(((self.latch >> 8) as u16, (self.latch & 0xfc) as u8 + offset))
    }

    /// Reads one of the ports 0xcf8 to 0xcff.
    pub fn read(&mut self, port: u16, size: u8) -> u32 {
        if port < 0xcfc {
            return if port == 0xcf8 && size == 4 {
                self.latch
            } else {
                !0
            };
        }
        let Some((bdf, register)) = self.selected(port, size) else {
            return !0;
        };
        let mut value = hardware::read(bdf, register, size);
        let Some(device) = self.devices.get(&bdf) else {
            return value;
        };
        if let Some(msi) = &device.msi {
            let data_at = msi.data_at();
            // What dom0 wrote stands in place of what the device carries.
            for index in 0..size {
                let at = register + index;
                let byte = if (msi.at + 4..data_at).contains(&at) {
                    (msi.address >> (8 * (at - msi.at - 4))) as u8
                } else if (data_at..data_at + 2).contains(&at) {
                    (msi.data >> (8 * (at - data_at))) as u8
                } else {
                    continue;
                };
                value = value & !(0xff << (8 * index)) | u32::from(byte) << (8 * index);
            }
        }
        value
    }

    /// Writes one of the ports 0xcf8 to 0xcff.
    pub fn write(&mut self, port: u16, size: u8, value: u32) {
        if port < 0xcfc {
            if port == 0xcf8 && size == 4 {
                self.latch = value & 0x80ff_fffc;
            }
            return;
        }
        let Some((bdf, register)) = self.selected(port, size) else {
            return;
        };
        let target = self.target;
        let Some(device) = self.devices.get_mut(&bdf) else {
            hardware::write(bdf, register, size, value);
            return;
        };
        if let Some(msi) = &mut device.msi {
            if msi.write(bdf, register, size, value, target) {
                return;
            }
        }
        hardware::write(bdf, register, size, value);
        if register == 4 && value & COMMAND_MEMORY != 0 {
            if let Some(msix) = &mut device.msix {
                msix.locate(bdf);
            }
        }
    }

    /// Whether a page holds an MSI-X table and must not be mapped for dom0.
    pub fn is_table(&self, page: u64) -> bool {
        self.devices
            .values()
            .filter_map(|device| device.msix.as_ref())
            .any(|msix| {
                !msix.table.is_empty()
                    && (msix.table.start & !0xfff..msix.table.end).contains(&page)
            })
    }

    fn table_at(&mut self, address: u64) -> Option<&mut Msix> {
        self.devices
            .values_mut()
            .filter_map(|device| device.msix.as_mut())
            .find(|msix| {
                !msix.table.is_empty()
                    && (msix.table.start & !0xfff..msix.table.end.next_multiple_of(4096))
                        .contains(&address)
            })
    }

    /// Reads from a page with an MSI-X table.
    pub fn read_table(&mut self, address: u64, size: usize) -> Option<u64> {
        // An access across the end of the page is none a driver makes.
        let msix = self
            .table_at(address)
            .filter(|_| address % 4096 + size as u64 <= 4096)?;
        Some(msix.read(address, size))
    }

    /// Writes to a page with an MSI-X table.
    pub fn write_table(&mut self, address: u64, size: usize, value: u64) -> Option<()> {
        let target = self.target;
        let msix = self
            .table_at(address)
            .filter(|_| address % 4096 + size as u64 <= 4096)?;
        // A 64-bit access is two of 32 bits.
        msix.write(address, value as u32, target);
        if size == 8 {
            msix.write(address + 4, (value >> 32) as u32, target);
        }
        Some(())
    }
}

impl Msi {
    /// Takes a write to the capability. False if it is to be passed on as it is.
    fn write(&mut self, bdf: u16, register: u8, size: u8, value: u32, target: u32) -> bool {
        let data_at = self.data_at();
        let end = register + size;
        if register >= self.at + 4 && end <= data_at + 2 {
            for index in 0..size {
                let at = register + index;
                let byte = value >> (8 * index) & 0xff;
                if at < data_at {
                    let shift = 8 * u32::from(at - self.at - 4);
                    self.address = self.address & !(0xff << shift) | u64::from(byte) << shift;
                } else {
                    let shift = 8 * u32::from(at - data_at);
                    self.data = self.data & !(0xff << shift) | byte << shift;
                }
            }
            if let Some((first, count)) = self.vectors {
                (0..count).for_each(|index| msi::set(first + index, self.source(index)));
            }
            return true;
        }
        // The control word, alone or with the two bytes before it, which cannot be written.
        let control = match (register.checked_sub(self.at), size) {
            (Some(2), 2) => value & 0xffff,
            (Some(0), 4) => value >> 16,
            _ => return false,
        };
        let enable = control & 1 != 0;
        let count = 1 << (control >> 4 & 7).min(5);
        if let Some((first, count)) = self.vectors.filter(|_| !enable) {
            hardware::write(bdf, register, size, value);
            msi::give(first, count);
            self.vectors = None;
            return true;
        }
        if enable && self.vectors.is_none() {
            let Some(first) = msi::take(count, |index| self.source(index)) else {
                log::error!("no {count} vectors for the messages of {bdf:#06x}");
                return true;
            };
            self.vectors = Some((first, count));
            let (address, data) = msi::message(target, first);
            hardware::write(bdf, self.at + 4, 4, address);
            if self.wide {
                hardware::write(bdf, self.at + 8, 4, 0);
            }
            hardware::write(bdf, data_at, 2, data);
        }
        false
    }
}

impl Msix {
    /// Finds the table by the BAR it lies in.
    fn locate(&mut self, bdf: u16) {
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
        let start = base + self.offset;
        if base == 0 || start == self.table.start {
            return;
        }
        self.table = start..start + self.entries.len() as u64 * 16;
        let pages = self.table.start & !0xfff..self.table.end.next_multiple_of(4096);
        self.window = Some(Window::map(pages.start, pages.end - pages.start));
        log::info!(
            "PCI {bdf:#06x}: MSI-X table of {} at {:#x}, capability at {:#x}",
            self.entries.len(),
            start,
            self.at
        );
        crate::domain::forget(pages);
    }

    fn hardware(&self, address: u64) -> usize {
        (address - (self.table.start & !0xfff)) as usize
    }

    fn read(&self, address: u64, size: usize) -> u64 {
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
            self.window
                .map_or(!0, |window| window.read(self.hardware(address) & !3))
        };
        let low = u64::from(word(address & !3)) >> (8 * (address & 3));
        if size == 8 {
            low | u64::from(word(address + 4)) << 32
        } else {
            low
        }
    }

    fn write(&mut self, address: u64, value: u32, target: u32) {
        let Some(window) = self.window else { return };
        let at = self.hardware(address) & !3;
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
                    entry.vector = msi::take(1, |_| Source::Free);
                    let Some(vector) = entry.vector else {
                        log::error!("no vector for a message of MSI-X");
                        return;
                    };
                    let (address, data) = msi::message(target, vector);
                    window.write(at - 12, address);
                    window.write(at - 8, 0);
                    window.write(at - 4, data);
                }
                if let Some(vector) = entry.vector {
                    msi::set(
                        vector,
                        Source::Message {
                            address: entry.address,
                            data: entry.data,
                        },
                    );
                }
                window.write(at, value);
                return;
            }
        }
        if let Some(vector) = entry.vector {
            msi::set(
                vector,
                Source::Message {
                    address: entry.address,
                    data: entry.data,
                },
            );
        }
    }
}
