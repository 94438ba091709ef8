// SPDX-License-Identifier: GPL-2.0

//! INS and OUTS, with and without REP, on ports that a guest does not reach itself: what the processor would do, element by
//! element (APM volume 3, INS, OUTS and REP).
//!
//! Whether the port may be used at all the processor has checked before it exits (APM volume 2, 15.10.1). Everything else
//! is done here: segments, canonical addresses, page faults before the port is touched, registers of the width the
//! address has. At most [`MOST`] elements are done at once, so that interrupts are taken in between, as between elements on
//! a processor.

use crate::mem::walk::is_canonical;

#[cfg(test)]
mod tests;

/// The most elements that are done before the guest goes on, at the same instruction if there are more.
pub const MOST: u32 = 64;

/// Vectors (APM volume 2, 8.2).
const STACK: u8 = 12;
const PROTECTION: u8 = 13;
const PAGE: u8 = 14;
const ALIGNMENT: u8 = 17;

/// The address cannot be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// The first byte that cannot be.
    pub address: u64,
    /// The error code.
    pub code: u32,
}

/// An exception that the instruction ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its vector.
    pub vector: u8,
    /// Its error code.
    pub code: u32,
    /// A page fault's address, for CR2.
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

/// The segment that the memory is in, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The linear address it begins at. In 64-bit mode that of FS and GS counts, and 0 for all others.
    pub base: u64,
    /// The last offset in bytes; of one that expands down the last that is not in it.
    pub limit: u32,
    /// The descriptor's attributes as the VMCB packs them: type in bits 0 to 3, present in 7, big in 10.
    pub attributes: u16,
    /// It is SS, whose faults have a vector of their own.
    pub stack: bool,
}

impl Segment {
    const PRESENT: u16 = 1 << 7;
    const CODE: u16 = 1 << 3;
    /// Of code.
    const READABLE: u16 = 1 << 1;
    /// Of data.
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
            let most = if has(Self::BIG) { 0xffff_ffff } else { 0xffff };
            first > limit && last <= most
        } else {
            last <= limit
        };
        has(Self::PRESENT) && kind && within
    }
}

/// The instruction, and what it is executed under.
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
    /// Elements have to be aligned (CR0.AM, RFLAGS.AC, and a user program).
    pub aligned: bool,
}

/// The registers it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// RCX.
    pub count: u64,
    /// RDI of INS, RSI of OUTS.
    pub index: u64,
}

/// How it went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The instruction is over.
    Done,
    /// There is more to do: it is executed again.
    Again,
    /// It ends with an exception, the registers being those of the element that caused it.
    Fault(Exception),
}

/// What it works on.
pub trait Guest {
    /// Reads a port.
    fn input(&mut self, port: u16, size: u8) -> u32;
    /// Writes a port.
    fn output(&mut self, port: u16, size: u8, value: u32);
    /// Whether bytes at a linear address can be written; marks the pages as written.
    fn probe(&mut self, address: u64, length: usize) -> Result<(), PageFault>;
    /// Reads bytes at a linear address.
    fn read(&mut self, address: u64, to: &mut [u8]) -> Result<(), PageFault>;
    /// Writes bytes at a linear address, all or none of them.
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), PageFault>;
}

/// Carries it out, or a part of it.
pub fn run(of: &Instruction, registers: &mut Registers, guest: &mut impl Guest) -> Outcome {
    for _ in 0..MOST {
        if of.repeated && registers.count & of.mask() == 0 {
            return Outcome::Done;
        }
        if let Err(exception) = of.element(registers.index, guest) {
            return Outcome::Fault(exception);
        }
        let step = u64::from(of.size);
        let index = match of.down {
            true => registers.index.wrapping_sub(step),
            false => registers.index.wrapping_add(step),
        };
        registers.index = of.with(registers.index, index);
        if !of.repeated {
            return Outcome::Done;
        }
        registers.count = of.with(registers.count, registers.count.wrapping_sub(1));
    }
    match registers.count & of.mask() {
        0 => Outcome::Done,
        _ => Outcome::Again,
    }
}

impl Instruction {
    /// The bits of a register that count.
    fn mask(&self) -> u64 {
        match self.address_bits {
            16 => 0xffff,
            32 => 0xffff_ffff,
            _ => u64::MAX,
        }
    }

    /// A register after its part that counts was set: 16 bits leave the others, 32 clear them.
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
            // Reading a port changes a device: it is not read in vain.
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
