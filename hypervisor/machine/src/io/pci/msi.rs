// SPDX-License-Identifier: GPL-2.0

//! The MSI capability (PCI local bus specification 3.0, 6.8.1). dom0 reads back what it wrote; the device gets an
//! address and vectors of the hypervisor.

use core::ops::Range;

use crate::arch::pci as hardware;
use crate::io::vectors::{self, IrqSource};

/// The MSI capability of a function, as dom0 has programmed it.
pub(super) struct Msi {
    /// Offset of the capability in configuration space.
    offset: u8,
    /// The capability has a 64-bit address.
    is_64bit: bool,
    address: u64,
    data: u32,
    /// The first of the hypervisor's vectors and their number, while MSI is enabled.
    vectors: Option<(u8, u8)>,
}

impl Msi {
    /// Reads the capability at an offset. `None` for a damaged one, which would not fit into the space.
    pub(super) fn new(bdf: u16, offset: u8) -> Option<Self> {
        (offset <= 0xe8).then(|| Self {
            offset,
            is_64bit: hardware::read(bdf, offset, 4) >> 16 & 1 << 7 != 0,
            address: 0,
            data: 0,
            vectors: None,
        })
    }

    /// Replaces the emulated bytes of a value of `size` bytes that was read from a register.
    pub(super) fn patch_read(&self, register: u16, size: u8, value: u32) -> u32 {
        let mut value = value;
        for index in 0..u16::from(size) {
            let byte = match self.message_byte(register + index) {
                Some((false, shift)) => (self.address >> shift) as u8,
                Some((true, shift)) => (self.data >> shift) as u8,
                None => continue,
            };
            value = value & !(0xff << (8 * index)) | u32::from(byte) << (8 * index);
        }
        value
    }

    /// Register of the message data.
    fn data_register(&self) -> u16 {
        u16::from(self.offset) + if self.is_64bit { 12 } else { 8 }
    }

    /// The emulated registers: control, address, data.
    fn registers(&self) -> Range<u16> {
        u16::from(self.offset) + 2..self.data_register() + 2
    }

    /// The position of a register's byte in the message: whether it is in the data, else in the address, and the shift.
    fn message_byte(&self, register: u16) -> Option<(bool, u32)> {
        let address = u16::from(self.offset) + 4;
        if (address..self.data_register()).contains(&register) {
            Some((false, 8 * u32::from(register - address)))
        } else if (self.data_register()..self.data_register() + 2).contains(&register) {
            Some((true, 8 * u32::from(register - self.data_register())))
        } else {
            None
        }
    }

    /// The source of the vector of a message.
    fn source(&self, index: u8) -> IrqSource {
        // With several messages, the device puts the message's number into the low bits of the data.
        IrqSource::Msi {
            address: self.address,
            data: self.data | u32::from(index),
        }
    }

    /// Emulates a write to the capability, of any size. False if it does not touch emulated registers and has to be
    /// passed through.
    pub(super) fn write(
        &mut self,
        bdf: u16,
        register: u16,
        size: u8,
        value: u32,
        apic_id: u32,
    ) -> bool {
        let (emulated, size) = (self.registers(), u16::from(size));
        if register >= emulated.end || register + size <= emulated.start {
            return false;
        }
        let control_at = u16::from(self.offset) + 2;
        let mut control = None;
        for index in 0..size {
            let at = register + index;
            let byte = value >> (8 * index) & 0xff;
            if let Some((is_data, shift)) = self.message_byte(at) {
                if is_data {
                    self.data = self.data & !(0xff << shift) | byte << shift;
                } else {
                    self.address = self.address & !(0xff << shift) | u64::from(byte) << shift;
                }
            } else if (control_at..control_at + 2).contains(&at) {
                let old = control.unwrap_or_else(|| hardware::read(bdf, self.offset + 2, 2));
                let shift = 8 * u32::from(at - control_at);
                control = Some(old & !(0xff << shift) | byte << shift);
            } else if at >= emulated.end {
                // Registers behind the data, such as the mask, are passed through.
                hardware::write(bdf, at as u8, 1, byte);
            }
        }
        if let Some((first, count)) = self.vectors {
            (0..count).for_each(|index| vectors::set_source(first + index, self.source(index)));
        }
        if let Some(control) = control {
            self.set_control(bdf, control, apic_id);
        }
        true
    }

    /// Writes the message control register. The device has vectors as long as MSI is enabled, as many as it may send
    /// messages.
    fn set_control(&mut self, bdf: u16, control: u32, apic_id: u32) {
        let enable = control & 1 != 0;
        let wanted = 1 << (control >> 4 & 7).min(5);
        if let Some((first, count)) = self.vectors {
            if enable && count == wanted {
                hardware::write(bdf, self.offset + 2, 2, control);
                return;
            }
            hardware::write(bdf, self.offset + 2, 2, control & !1);
            vectors::free(first, count);
            self.vectors = None;
        }
        if enable {
            let Some(first) = vectors::alloc(wanted, |index| self.source(index)) else {
                log::error!("PCI {bdf:#06x}: no {wanted} vectors for MSI");
                return;
            };
            self.vectors = Some((first, wanted));
            let (address, data) = vectors::compose_msi(apic_id, first);
            hardware::write(bdf, self.offset + 4, 4, address);
            if self.is_64bit {
                hardware::write(bdf, self.offset + 8, 4, 0);
            }
            hardware::write(bdf, self.data_register() as u8, 2, data);
        }
        hardware::write(bdf, self.offset + 2, 2, control);
    }
}
