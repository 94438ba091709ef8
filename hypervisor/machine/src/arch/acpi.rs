// SPDX-License-Identifier: GPL-2.0

//! The firmware's ACPI tables, as far as the hypervisor uses them (ACPI 6.5): processors, interrupt controllers,
//! timers, power control. Lengths and checksums are verified before use.

use alloc::vec::Vec;

use paravane::acpi::madt::{self, IoApic, Override};
use paravane::acpi::{Oem, soft_off};
use paravane::multiboot::BootInfo;

use super::phys::{read_bytes, read_u8, read_u16, read_u32, read_u64};

/// Bytes of a table's header.
const HEADER: u64 = 36;
/// Longest table that is accepted, in bytes.
const MAX_TABLE: u64 = 16 << 20;

/// A table in memory.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its signature.
    pub signature: [u8; 4],
    /// Physical address.
    pub at: u64,
    /// Length in bytes with the header.
    pub len: u64,
}

/// The contents of the tables.
#[derive(Clone, Debug, Default)]
pub struct Acpi {
    /// The RSDP as it was found, revision 2 with 36 bytes or 0 with 20.
    pub rsdp: Vec<u8>,
    /// The OEM fields of the MADT.
    pub oem: Option<Oem>,
    /// All tables of the XSDT or RSDT, with the DSDT.
    pub tables: Vec<Table>,
    /// APIC ids of the enabled processors.
    pub apic_ids: Vec<u32>,
    /// The I/O APICs.
    pub io_apics: Vec<IoApic>,
    /// The interrupt source overrides.
    pub overrides: Vec<Override>,
    /// Physical address of the HPET's registers.
    pub hpet: Option<u64>,
    /// Windows of PCI configuration space: address of bus 0, first and last bus.
    pub mcfg: Vec<(u64, u8, u8)>,
    /// I/O port of the PM timer.
    pub pm_timer: Option<u16>,
    /// Sleep types of S5, soft off, for the two power control registers.
    pub soft_off: Option<[u8; 2]>,
    /// I/O ports of the two power control registers, 0 where there is none.
    pub pm1_control: [u16; 2],
}

/// Reads the tables. `None` if there is no RSDP.
pub fn read(boot: &BootInfo) -> Option<Acpi> {
    let rsdp = match &boot.rsdp {
        Some(copy) => copy.clone(),
        None => find_rsdp()?,
    };
    let mut acpi = Acpi {
        rsdp,
        ..Acpi::default()
    };
    let number = |at: usize, len: usize| {
        acpi.rsdp.get(at..at + len).map(|bytes| {
            bytes
                .iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        })
    };
    let extended = number(15, 1)? >= 2;
    let root = if extended {
        number(24, 8)?
    } else {
        number(16, 4)?
    };
    let root = table(root)?;
    let step = if extended { 8 } else { 4 };
    for at in (root.at + HEADER..root.at + root.len).step_by(step) {
        let address = if extended {
            read_u64(at)
        } else {
            u64::from(read_u32(at))
        };
        if let Some(table) = table(address) {
            acpi.add(table);
        }
    }
    Some(acpi)
}

impl Acpi {
    fn add(&mut self, found: Table) {
        match &found.signature {
            b"APIC" => self.madt(&found),
            b"HPET" if found.len >= 56 => self.hpet = Some(read_u64(found.at + 44)),
            b"MCFG" => {
                for at in (found.at + 44..found.at + found.len).step_by(16) {
                    self.mcfg
                        .push((read_u64(at), read_u8(at + 10), read_u8(at + 11)));
                }
            }
            b"FACP" => self.fadt(&found),
            _ => {}
        }
        self.tables.push(found);
    }

    fn fadt(&mut self, fadt: &Table) {
        let wide = if fadt.len >= 148 {
            read_u64(fadt.at + 140)
        } else {
            0
        };
        let dsdt = if wide != 0 {
            wide
        } else {
            u64::from(read_u32(fadt.at + 40))
        };
        if let Some(found) = table(dsdt) {
            let mut bytes = alloc::vec![0; found.len as usize];
            read_bytes(found.at, &mut bytes);
            self.soft_off = soft_off::sleep_types(&bytes);
            self.tables.push(found);
        }
        self.pm1_control = [64, 68].map(|at| u16::try_from(read_u32(fadt.at + at)).unwrap_or(0));
        let timer = read_u32(fadt.at + 76);
        self.pm_timer = u16::try_from(timer).ok().filter(|&port| port != 0);
    }

    fn madt(&mut self, madt: &Table) {
        let mut bytes = alloc::vec![0; madt.len as usize];
        read_bytes(madt.at, &mut bytes);
        self.oem = Oem::of(&bytes);
        self.apic_ids = madt::processors(&bytes);
        self.io_apics = madt::io_apics(&bytes);
        self.overrides = madt::overrides(&bytes);
    }
}

/// The table at a physical address, if its length and checksum are right.
fn table(at: u64) -> Option<Table> {
    if at == 0 {
        return None;
    }
    let mut signature = [0; 4];
    read_bytes(at, &mut signature);
    let len = u64::from(read_u32(at + 4));
    let valid = (HEADER..MAX_TABLE).contains(&len) && checksum(at, len) == 0;
    if !valid {
        log::warn!("ACPI: the table at {at:#x} is damaged and not used");
    }
    valid.then_some(Table { signature, at, len })
}

fn checksum(at: u64, len: u64) -> u8 {
    (at..at + len).fold(0, |sum: u8, at| sum.wrapping_add(read_u8(at)))
}

/// Searches for the RSDP of a BIOS (5.2.5.1): in the extended BIOS data area and in the last 128 KiB of the first MiB.
fn find_rsdp() -> Option<Vec<u8>> {
    let ebda = u64::from(read_u16(0x40e)) << 4;
    let addresses = (ebda..ebda + 1024)
        .step_by(16)
        .chain((0xe_0000..0x10_0000u64).step_by(16));
    for at in addresses {
        let mut name = [0; 8];
        read_bytes(at, &mut name);
        if &name == b"RSD PTR " && checksum(at, 20) == 0 {
            let len = if read_u8(at + 15) >= 2 { 36 } else { 20 };
            let mut rsdp = alloc::vec![0; len];
            read_bytes(at, &mut rsdp);
            return Some(rsdp);
        }
    }
    None
}
