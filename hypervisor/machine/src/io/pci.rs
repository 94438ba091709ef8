// SPDX-License-Identifier: GPL-2.0

//! PCI configuration space for dom0, by mechanism 1 (PCI local bus specification 3.0, 3.2.2.3.2) and in memory (ECAM;
//! PCI Express base specification, 7.2.2). Everything is passed through except MSI ([`msi`]) and MSI-X ([`msix`]).

mod msi;
mod msix;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use crate::arch::mmio::Window;
use crate::arch::pci as hardware;
use msi::Msi;
use msix::Msix;

const CAPABILITY_MSI: u8 = 5;
const CAPABILITY_MSIX: u8 = 0x11;
const COMMAND_MEMORY: u32 = 1 << 1;

/// A function with MSI or MSI-X.
struct Device {
    msi: Option<Msi>,
    msix: Option<Msix>,
}

impl Device {
    /// Reads the capabilities of a function.
    fn new(bdf: u16) -> Self {
        let mut device = Self {
            msi: None,
            msix: None,
        };
        hardware::for_each_capability(bdf, |id, offset| match id {
            CAPABILITY_MSI => device.msi = Msi::new(bdf, offset).or(device.msi.take()),
            CAPABILITY_MSIX => device.msix = Some(Msix::new(bdf, offset)),
            _ => {}
        });
        if let Some(msix) = &mut device.msix {
            msix.locate(bdf);
        }
        device
    }
}

/// A window of configuration space in memory: some buses of segment 0.
struct EcamWindow {
    /// Its physical addresses.
    range: Range<u64>,
    /// Its first bus.
    first: u8,
    /// Mappings of the configuration space of functions, by BDF, once their extended registers were accessed.
    mapped: BTreeMap<u16, Window>,
}

/// PCI configuration space of dom0.
#[derive(Default)]
pub struct Pci {
    /// The address register, port 0xcf8.
    config_address: u32,
    /// The functions with MSI or MSI-X, by BDF.
    devices: BTreeMap<u16, Device>,
    ecam: Vec<EcamWindow>,
    /// APIC id of the processor that MSIs go to.
    apic_id: u32,
}

impl Pci {
    /// Finds the functions with MSI or MSI-X.
    pub fn new(apic_id: u32) -> Self {
        let mut pci = Self {
            config_address: 0,
            devices: BTreeMap::new(),
            ecam: Vec::new(),
            apic_id,
        };
        hardware::for_each_function(|bdf| {
            pci.add(bdf);
        });
        log::info!("PCI: {} functions have MSI or MSI-X", pci.devices.len());
        pci
    }

    /// Emulates configuration space in memory as well. Each window has the address of bus 0 and its first and last bus.
    /// dom0 must not be able to map any of it.
    pub fn add_ecam(&mut self, windows: &[(u64, u8, u8)]) {
        let window = |&(base, first, last): &(u64, u8, u8)| EcamWindow {
            range: base + (u64::from(first) << 20)..base + ((u64::from(last) + 1) << 20),
            first,
            mapped: BTreeMap::new(),
        };
        self.ecam = windows.iter().map(window).collect();
    }

    /// Adds a function that dom0 has found, if it is not known yet. False if there is none.
    pub fn add(&mut self, bdf: u16) -> bool {
        if hardware::read(bdf, 0, 4) as u16 == 0xffff {
            return false;
        }
        if self.devices.contains_key(&bdf) {
            return true;
        }
        let device = Device::new(bdf);
        if device.msi.is_some() || device.msix.is_some() {
            self.devices.insert(bdf, device);
        }
        true
    }

    /// The function and register of an access to the data ports; `None` if it exceeds the four ports.
    fn selected(&self, port: u16, size: u8) -> Option<(u16, u16)> {
        let offset = port & 3;
        let enabled = self.config_address & 1 << 31 != 0 && offset + u16::from(size) <= 4;
        enabled.then_some((
            (self.config_address >> 8) as u16,
            (self.config_address & 0xfc) as u16 + offset,
        ))
    }

    /// Reads one of the ports 0xcf8 to 0xcff.
    pub fn read(&mut self, port: u16, size: u8) -> u32 {
        if port < 0xcfc {
            return if port == 0xcf8 && size == 4 {
                self.config_address
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
                self.config_address = value & 0x80ff_fffc;
            }
            return;
        }
        if let Some((bdf, register)) = self.selected(port, size) {
            self.write_register(bdf, register, size, value);
        }
    }

    /// Reads `size` bytes of a register, which do not cross a multiple of 4 bytes.
    fn read_register(&mut self, bdf: u16, register: u16, size: u8) -> u32 {
        let Ok(low) = u8::try_from(register) else {
            return self.extended(bdf).map_or(!0, |window| {
                window.read(usize::from(register & !3)) >> (8 * (register & 3))
            });
        };
        let value = hardware::read(bdf, low, size);
        let device = self.devices.get(&bdf);
        match device.and_then(|device| device.msi.as_ref()) {
            Some(msi) => msi.patch_read(register, size, value),
            None => value,
        }
    }

    /// Writes `size` bytes of a register, which do not cross a multiple of 4 bytes.
    fn write_register(&mut self, bdf: u16, register: u16, size: u8, value: u32) {
        let Ok(low) = u8::try_from(register) else {
            if let Some(window) = self.extended(bdf) {
                window.write_part(usize::from(register), size, value);
            }
            return;
        };
        let apic_id = self.apic_id;
        let Some(device) = self.devices.get_mut(&bdf) else {
            hardware::write(bdf, low, size, value);
            return;
        };
        if let Some(msi) = &mut device.msi {
            if msi.write(bdf, register, size, value, apic_id) {
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

    /// A mapping of a function's extended registers, if the function exists.
    fn extended(&mut self, bdf: u16) -> Option<Window> {
        let bus = (bdf >> 8) as u8;
        let window = self.ecam.iter_mut().find(|window| {
            let buses = (window.range.end - window.range.start) >> 20;
            bus.checked_sub(window.first)
                .is_some_and(|bus| u64::from(bus) < buses)
        })?;
        if let Some(mapping) = window.mapped.get(&bdf) {
            return Some(*mapping);
        }
        // Mappings are never removed, so absent functions get none.
        if hardware::read(bdf, 0, 4) as u16 == 0xffff {
            return None;
        }
        let at = window.range.start + (u64::from(bdf - (u16::from(window.first) << 8)) << 12);
        let mapping = Window::map(at, 4096);
        window.mapped.insert(bdf, mapping);
        Some(mapping)
    }

    /// The function and register at an address of configuration space in memory.
    fn ecam_register(&self, address: u64) -> Option<(u16, u16)> {
        let window = self
            .ecam
            .iter()
            .find(|window| window.range.contains(&address))?;
        let offset = address - window.range.start;
        let bdf = (u64::from(window.first) << 8) + (offset >> 12);
        Some((bdf as u16, (offset & 0xfff) as u16))
    }

    /// Whether an MSI-X table lies in a page, which must not be mapped for dom0.
    pub fn is_table(&self, page: u64) -> bool {
        self.devices
            .values()
            .filter_map(|device| device.msix.as_ref())
            .any(|msix| msix.is_in_page(page))
    }

    /// The MSI-X capability whose table's pages contain an address.
    fn msix_at(&mut self, address: u64) -> Option<&mut Msix> {
        self.devices
            .values_mut()
            .filter_map(|device| device.msix.as_mut())
            .find(|msix| msix.contains(address))
    }

    /// Reads from a page with an MSI-X table, or from configuration space in memory.
    pub fn read_mmio(&mut self, address: u64, size: usize) -> Option<u64> {
        if let Some((bdf, register)) = self.ecam_register(address) {
            return Some(split_access(address, size).fold(0, |sum, (offset, size)| {
                let value = self.read_register(bdf, register + offset, size);
                let value = u64::from(value) & (u64::MAX >> (64 - 8 * u32::from(size)));
                sum | value << (8 * offset)
            }));
        }
        // Drivers make no accesses across the end of a page.
        let msix = self
            .msix_at(address)
            .filter(|_| address % 4096 + size as u64 <= 4096)?;
        Some(msix.read(address, size))
    }

    /// Writes to a page with an MSI-X table, or to configuration space in memory.
    pub fn write_mmio(&mut self, address: u64, size: usize, value: u64) -> Option<()> {
        if let Some((bdf, register)) = self.ecam_register(address) {
            for (offset, size) in split_access(address, size) {
                self.write_register(bdf, register + offset, size, (value >> (8 * offset)) as u32);
            }
            return Some(());
        }
        let apic_id = self.apic_id;
        let msix = self
            .msix_at(address)
            .filter(|_| address % 4096 + size as u64 <= 4096)?;
        // A 64-bit write is two 32-bit writes.
        msix.write(address, value as u32, apic_id);
        if size == 8 {
            msix.write(address + 4, (value >> 32) as u32, apic_id);
        }
        Some(())
    }
}

/// Splits an access into parts of 1, 2 or 4 bytes that do not cross a multiple of 4 bytes: offset and size of each. An
/// access across the end of a page, which no driver makes, is cut off there.
fn split_access(address: u64, size: usize) -> impl Iterator<Item = (u16, u8)> {
    let start = (address & 0xfff) as u16;
    let end = (start + size.min(8) as u16).min(4096);
    let mut at = start;
    core::iter::from_fn(move || {
        let largest = [4, 2, 1]
            .into_iter()
            .find(|size| at % size == 0 && at + size <= end)?;
        let part = (at - start, largest as u8);
        at += largest;
        Some(part)
    })
}
