// SPDX-License-Identifier: GPL-2.0

//! PCI configuration space for dom0, by mechanism 1 (PCI local bus specification 3.0, 3.2.2.3.2) and in memory (PCI
//! Express base specification, 7.2.2). All of it passes through but the messages of MSI and MSI-X: dom0 sees what it wrote,
//! the device carries vectors of the hypervisor's.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::msi::{self, Source};
use crate::arch::mmio::Window;
use crate::arch::{memory, pci as hardware};

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
    fn data_at(&self) -> u16 {
        u16::from(self.at) + if self.wide { 12 } else { 8 }
    }

    /// The registers that are not as dom0 sees them, or mean something to us: control, address, data.
    fn registers(&self) -> Range<u16> {
        u16::from(self.at) + 2..self.data_at() + 2
    }

    /// The place of a register's byte in the message as dom0 wrote it: whether in its data, and how far to shift.
    fn place(&self, register: u16) -> Option<(bool, u32)> {
        let address = u16::from(self.at) + 4;
        if (address..self.data_at()).contains(&register) {
            Some((false, 8 * u32::from(register - address)))
        } else if (self.data_at()..self.data_at() + 2).contains(&register) {
            Some((true, 8 * u32::from(register - self.data_at())))
        } else {
            None
        }
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

/// A piece of configuration space in memory: some buses of the first segment.
struct InMemory {
    /// Physical addresses.
    range: Range<u64>,
    /// Its first bus.
    first: u8,
    /// Each function's page beyond what the ports reach, once it was touched.
    windows: BTreeMap<u16, Window>,
}

/// dom0's view of all devices.
pub struct Pci {
    latch: u32,
    devices: BTreeMap<u16, Device>,
    in_memory: Vec<InMemory>,
    /// APIC id of the processor that devices' interrupts go to.
    target: u32,
}

impl Pci {
    /// Finds the devices that can send messages.
    pub fn new(target: u32) -> Self {
        let mut pci = Self {
            latch: 0,
            devices: BTreeMap::new(),
            in_memory: Vec::new(),
            target,
        };
        hardware::each(|bdf| {
            pci.add(bdf);
        });
        log::info!("PCI: {} functions send messages", pci.devices.len());
        pci
    }

    /// Serves configuration space in memory as well; of each piece the address of bus 0, the first and the last bus. All of
    /// it has to be withheld from dom0.
    pub fn serve_memory(&mut self, pieces: &[(u64, u8, u8)]) {
        let piece = |&(base, first, last): &(u64, u8, u8)| InMemory {
            range: base + (u64::from(first) << 20)..base + ((u64::from(last) + 1) << 20),
            first,
            windows: BTreeMap::new(),
        };
        self.in_memory = pieces.iter().map(piece).collect();
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
    fn selected(&self, port: u16, size: u8) -> Option<(u16, u16)> {
        let offset = port & 3;
        let enabled = self.latch & 1 << 31 != 0 && offset + u16::from(size) <= 4;
        enabled.then_some((
            (self.latch >> 8) as u16,
            (self.latch & 0xfc) as u16 + offset,
        ))
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
        match self.selected(port, size) {
            Some((bdf, register)) => self.read_register(bdf, register, size),
            None => !0,
        }
    }

    /// Writes one of the ports 0xcf8 to 0xcff.
    pub fn write(&mut self, port: u16, size: u8, value: u32) {
        if port < 0xcfc {
            if port == 0xcf8 && size == 4 {
                self.latch = value & 0x80ff_fffc;
            }
            return;
        }
        if let Some((bdf, register)) = self.selected(port, size) {
            self.write_register(bdf, register, size, value);
        }
    }

    /// Reads `size` bytes of a function's register, which do not cross 4 bytes.
    fn read_register(&mut self, bdf: u16, register: u16, size: u8) -> u32 {
        let Ok(low) = u8::try_from(register) else {
            return self.extended(bdf).map_or(!0, |window| {
                window.read(usize::from(register & !3)) >> (8 * (register & 3))
            });
        };
        let mut value = hardware::read(bdf, low, size);
        let msi = self
            .devices
            .get(&bdf)
            .and_then(|device| device.msi.as_ref());
        if let Some(msi) = msi {
            // What dom0 wrote stands in place of what the device carries.
            for index in 0..u16::from(size) {
                let byte = match msi.place(register + index) {
                    Some((false, shift)) => (msi.address >> shift) as u8,
                    Some((true, shift)) => (msi.data >> shift) as u8,
                    None => continue,
                };
                value = value & !(0xff << (8 * index)) | u32::from(byte) << (8 * index);
            }
        }
        value
    }

    /// Writes to a function's register as above.
    fn write_register(&mut self, bdf: u16, register: u16, size: u8, value: u32) {
        let Ok(low) = u8::try_from(register) else {
            if let Some(window) = self.extended(bdf) {
                window.write_part(usize::from(register), size, value);
            }
            return;
        };
        let target = self.target;
        let Some(device) = self.devices.get_mut(&bdf) else {
            hardware::write(bdf, low, size, value);
            return;
        };
        if let Some(msi) = &mut device.msi {
            if msi.write(bdf, register, size, value, target) {
                return;
            }
        }
        hardware::write(bdf, low, size, value);
        if register == 4 && value & COMMAND_MEMORY != 0 {
            if let Some(msix) = &mut device.msix {
                msix.locate(bdf);
            }
        }
    }

    /// The registers of a function that only memory reaches, if the function is there.
    fn extended(&mut self, bdf: u16) -> Option<Window> {
        let bus = (bdf >> 8) as u8;
        let piece = self.in_memory.iter_mut().find(|piece| {
            let buses = (piece.range.end - piece.range.start) >> 20;
            bus.checked_sub(piece.first)
                .is_some_and(|bus| u64::from(bus) < buses)
        })?;
        if let Some(window) = piece.windows.get(&bdf) {
            return Some(*window);
        }
        // Reads of a function that is not there would each cost a page that is mapped for ever.
        if hardware::read(bdf, 0, 4) as u16 == 0xffff {
            return None;
        }
        let at = piece.range.start + (u64::from(bdf - (u16::from(piece.first) << 8)) << 12);
        let window = Window::map(at, 4096);
        piece.windows.insert(bdf, window);
        Some(window)
    }

    /// The function and the register at an address of configuration space in memory.
    fn in_memory(&self, address: u64) -> Option<(u16, u16)> {
        let piece = self
            .in_memory
            .iter()
            .find(|piece| piece.range.contains(&address))?;
        let offset = address - piece.range.start;
        let bdf = (u64::from(piece.first) << 8) + (offset >> 12);
        Some((bdf as u16, (offset & 0xfff) as u16))
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

    /// Reads from a page with an MSI-X table, or from configuration space in memory.
    pub fn read_table(&mut self, address: u64, size: usize) -> Option<u64> {
        if let Some((bdf, register)) = self.in_memory(address) {
            return Some(pieces(address, size).fold(0, |sum, (offset, size)| {
                let value = self.read_register(bdf, register + offset, size);
                let value = u64::from(value) & (u64::MAX >> (64 - 8 * u32::from(size)));
                sum | value << (8 * offset)
            }));
        }
        // An access across the end of the page is none a driver makes.
        let msix = self
            .table_at(address)
            .filter(|_| address % 4096 + size as u64 <= 4096)?;
        Some(msix.read(address, size))
    }

    /// Writes to a page with an MSI-X table, or to configuration space in memory.
    pub fn write_table(&mut self, address: u64, size: usize, value: u64) -> Option<()> {
        if let Some((bdf, register)) = self.in_memory(address) {
            for (offset, size) in pieces(address, size) {
                self.write_register(bdf, register + offset, size, (value >> (8 * offset)) as u32);
            }
            return Some(());
        }
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

/// Cuts an access into pieces of 1, 2 or 4 bytes that do not cross 4 bytes: offset and size of each. An access across a
/// page's end, which no driver makes, is cut off there.
fn pieces(address: u64, size: usize) -> impl Iterator<Item = (u16, u8)> {
    let start = (address & 0xfff) as u16;
    let end = (start + size.min(8) as u16).min(4096);
    let mut at = start;
    core::iter::from_fn(move || {
        let largest = [4, 2, 1]
            .into_iter()
            .find(|size| at % size == 0 && at + size <= end)?;
        let piece = (at - start, largest as u8);
        at += largest;
        Some(piece)
    })
}

impl Msi {
    /// Takes a write to the capability, of any size. False if it is to be passed on as it is.
    fn write(&mut self, bdf: u16, register: u16, size: u8, value: u32, target: u32) -> bool {
        let (ours, size) = (self.registers(), u16::from(size));
        if register >= ours.end || register + size <= ours.start {
            return false;
        }
        let control_at = u16::from(self.at) + 2;
        let mut control = None;
        for index in 0..size {
            let at = register + index;
            let byte = value >> (8 * index) & 0xff;
            if let Some((is_data, shift)) = self.place(at) {
                if is_data {
                    self.data = self.data & !(0xff << shift) | byte << shift;
                } else {
                    self.address = self.address & !(0xff << shift) | u64::from(byte) << shift;
                }
            } else if (control_at..control_at + 2).contains(&at) {
                let old = control.unwrap_or_else(|| hardware::read(bdf, self.at + 2, 2));
                let shift = 8 * u32::from(at - control_at);
                control = Some(old & !(0xff << shift) | byte << shift);
            } else if at >= ours.end {
                // What is behind the data is the device's own, such as its mask.
                hardware::write(bdf, at as u8, 1, byte);
            }
        }
        if let Some((first, count)) = self.vectors {
            (0..count).for_each(|index| msi::set(first + index, self.source(index)));
        }
        if let Some(control) = control {
            self.set_control(bdf, control, target);
        }
        true
    }

    /// Writes the control word. The device has vectors of ours exactly as long as it may send, and as many as it may send.
    fn set_control(&mut self, bdf: u16, control: u32, target: u32) {
        let enable = control & 1 != 0;
        let wanted = 1 << (control >> 4 & 7).min(5);
        if let Some((first, count)) = self.vectors {
            if enable && count == wanted {
                hardware::write(bdf, self.at + 2, 2, control);
                return;
            }
            hardware::write(bdf, self.at + 2, 2, control & !1);
            msi::give(first, count);
            self.vectors = None;
        }
        if enable {
            let Some(first) = msi::take(wanted, |index| self.source(index)) else {
                log::error!("no {wanted} vectors for the messages of {bdf:#06x}");
                return;
            };
            self.vectors = Some((first, wanted));
            let (address, data) = msi::message(target, first);
            hardware::write(bdf, self.at + 4, 4, address);
            if self.wide {
                hardware::write(bdf, self.at + 8, 4, 0);
            }
            hardware::write(bdf, self.data_at() as u8, 2, data);
        }
        hardware::write(bdf, self.at + 2, 2, control);
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
        let Some(start) = base.checked_add(self.offset) else {
            return;
        };
        if base == 0 || start == self.table.start {
            return;
        }
        let Some(end) = start.checked_add(self.entries.len() as u64 * 16) else {
            return;
        };
        // A BAR that dom0 gave a value that cannot be: there is no table then.
        if end >= 1 << 46 || memory::is_ram(&(start & !0xfff..end.next_multiple_of(4096))) {
            (self.table, self.window) = (0..0, None);
            return;
        }
        self.table = start..end;
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
