// SPDX-License-Identifier: GPL-2.0

//! Emulation of INS and OUTS, with and without REP, on intercepted ports, element by element as on a processor (APM
//! volume 3, INS, OUTS and REP).
//!
//! The processor has checked the permission to use the port before the exit (APM volume 2, 15.10.1). Everything else is
//! checked here: segments, canonical addresses, page faults before the port is accessed. Registers change with the
//! width of the address. At most [`MAX_ELEMENTS`] elements are done at once, so that interrupts are taken in between,
//! as between elements on a processor.

use crate::mem::walk::is_canonical;

#[cfg(test)]
mod tests;

/// Most elements that are done before the guest is entered again, at the same instruction if there are more.
pub const MAX_ELEMENTS: u32 = 64;

/// Vectors (APM volume 2, 8.2).
const STACK: u8 = 12;
const PROTECTION: u8 = 13;
const PAGE: u8 = 14;
const ALIGNMENT: u8 = 17;

/// A page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// Linear address of the first byte that cannot be accessed.
    pub address: u64,
    /// The error code.
    pub code: u32,
}

/// An exception that the instruction raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its vector.
    pub vector: u8,
    /// Its error code.
    pub code: u32,
    /// The address for CR2, if it is a page fault.
    pub address: Option<u64>,
}

impl From<PageFault> for Exception {
    fn from(fault: PageFault) -> Self {
        Self {
            vector: PAGE,
            code: fault.code,
            address: Some(fault.address),
        }
    }
}

/// The segment of the memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The base address. In 64-bit mode only FS and GS have one.
    pub base: u64,
    /// The limit; in an expand-down segment the valid offsets are above it.
    pub limit: u32,
    /// The descriptor's attributes as the VMCB packs them: type in bits 0 to 3, present in 7, big in 10.
    pub attributes: u16,
    /// It is SS, whose faults are #SS.
    pub stack: bool,
}

impl Segment {
    const PRESENT: u16 = 1 << 7;
    const CODE: u16 = 1 << 3;
    /// Of a code segment.
    const READABLE: u16 = 1 << 1;
    /// Of a data segment.
    const WRITABLE: u16 = 1 << 1;
    const EXPANDS_DOWN: u16 = 1 << 2;
    const BIG: u16 = 1 << 10;

    /// Whether bytes from one offset to another, both included, may be read or written.
    fn allows(&self, first: u64, last: u64, write: bool) -> bool {
        let has = |bit| self.attributes & bit != 0;
        let kind = match (has(Self::CODE), write) {
            (false, true) => has(Self::WRITABLE),
            (false, false) => true,
            (true, true) => false,
            (true, false) => has(Self::READABLE),
        };
        let limit = u64::from(self.limit);
        let within = if !has(Self::CODE) && has(Self::EXPANDS_DOWN) {
            let top = if has(Self::BIG) { 0xffff_ffff } else { 0xffff };
            first > limit && last <= top
        } else {
            last <= limit
        };
        has(Self::PRESENT) && kind && within
    }
}

/// The instruction, and the state that it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The port.
    pub port: u16,
    /// Bytes of an element: 1, 2 or 4.
    pub size: u8,
    /// INS, not OUTS.
    pub input: bool,
    /// It has a REP prefix, of either kind.
    pub repeated: bool,
    /// Bits of its addresses, and of the registers it counts in: 16, 32 or 64.
    pub address_bits: u32,
    /// ES for INS; DS or another for OUTS.
    pub segment: Segment,
    /// 64-bit mode: how many bits a canonical address has, 48 or 57. Else nothing.
    pub canonical: Option<u32>,
    /// RFLAGS.DF: addresses go down.
    pub down: bool,
    /// Alignment is checked (CR0.AM, RFLAGS.AC, CPL 3).
    pub aligned: bool,
}

/// The registers that it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringRegs {
    /// RCX.
    pub count: u64,
    /// RDI of INS, RSI of OUTS.
    pub index: u64,
}

/// Result of [`run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringResult {
    /// The instruction has finished.
    Done,
    /// There are elements left: the instruction is executed again.
    Unfinished,
    /// It raises an exception. The registers are those of the element that caused it.
    Fault(Exception),
}

/// The ports and memory of the guest.
pub trait Guest {
    /// Reads a port.
    fn input(&mut self, port: u16, size: u8) -> u32;
    /// Writes a port.
    fn output(&mut self, port: u16, size: u8, value: u32);
    /// Checks that bytes at a linear address can be written, and sets the dirty bits of their pages.
    fn probe(&mut self, address: u64, length: usize) -> Result<(), PageFault>;
    /// Reads bytes at a linear address.
    fn read(&mut self, address: u64, to: &mut [u8]) -> Result<(), PageFault>;
    /// Writes bytes at a linear address, all or none of them.
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), PageFault>;
}

/// Executes the instruction, or the next [`MAX_ELEMENTS`] elements of it.
pub fn run(of: &Instruction, registers: &mut StringRegs, guest: &mut impl Guest) -> StringResult {
    for _ in 0..MAX_ELEMENTS {
        if of.repeated && registers.count & of.mask() == 0 {
            return StringResult::Done;
        }
        if let Err(exception) = of.element(registers.index, guest) {
            return StringResult::Fault(exception);
        }
        let step = u64::from(of.size);
        let index = match of.down {
            true => registers.index.wrapping_sub(step),
            false => registers.index.wrapping_add(step),
        };
        registers.index = of.with(registers.index, index);
        if !of.repeated {
            return StringResult::Done;
        }
        registers.count = of.with(registers.count, registers.count.wrapping_sub(1));
    }
    match registers.count & of.mask() {
        0 => StringResult::Done,
        _ => StringResult::Unfinished,
    }
}

impl Instruction {
    /// Mask of the bits of a register that the address size selects.
    fn mask(&self) -> u64 {
        match self.address_bits {
            16 => 0xffff,
            32 => 0xffff_ffff,
            _ => u64::MAX,
        }
    }

    /// A register after a write with the address size: 16 bits keep the rest, 32 bits clear it.
    fn with(&self, old: u64, new: u64) -> u64 {
        match self.address_bits {
            16 => old & !0xffff | new & 0xffff,
            _ => new & self.mask(),
        }
    }

    /// Moves one element between the port and the memory at an offset.
    fn element(&self, index: u64, guest: &mut impl Guest) -> Result<(), Exception> {
        let address = self.linear(index & self.mask())?;
        let size = usize::from(self.size).min(4);
        let mut bytes = [0; 4];
        if self.input {
            // Reading a port may change the device, so it is read only if the value can be stored.
            guest.probe(address, size)?;
            let value = guest.input(self.port, self.size);
            bytes = value.to_le_bytes();
            guest.write(address, &bytes[..size])?;
        } else {
            guest.read(address, &mut bytes[..size])?;
            guest.output(self.port, self.size, u32::from_le_bytes(bytes));
        }
        Ok(())
    }

    /// The linear address of an element at an offset.
    fn linear(&self, offset: u64) -> Result<u64, Exception> {
        let segment = &self.segment;
        let exception = |vector| Exception {
            vector,
            code: 0,
            address: None,
        };
        let protection = exception(if segment.stack { STACK } else { PROTECTION });
        let more = u64::from(self.size) - 1;
        let address = if let Some(bits) = self.canonical {
            let address = segment.base.wrapping_add(offset);
            let ends = [address, address.wrapping_add(more)];
            if !ends.iter().all(|&end| is_canonical(end, bits)) {
                return Err(protection);
            }
            address
        } else {
            if !segment.allows(offset, offset + more, self.input) {
                return Err(protection);
            }
            segment.base.wrapping_add(offset) & 0xffff_ffff
        };
        if self.aligned && address & more != 0 {
            return Err(exception(ALIGNMENT));
        }
        Ok(address)
    }
}
