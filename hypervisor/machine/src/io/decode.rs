// SPDX-License-Identifier: GPL-2.0

//! Decoding of instructions that access emulated registers or ports. On registers only plain moves and the test
//! of a bit are supported.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// A decoded memory access.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// A load into a register.
    Load {
        /// The register.
        to: Register,
        /// Number of bytes.
        size: usize,
        /// Whether the value is sign-extended, else zero-extended.
        signed: bool,
    },
    /// A test of a bit.
    BitTest {
        /// The operand that has the bit's number, a register; `None` for an immediate.
        register: Option<Register>,
        /// The immediate.
        immediate: u8,
        /// Number of bytes.
        size: usize,
    },
    /// A store of a register.
    StoreRegister {
        /// The register.
        from: Register,
        /// Number of bytes.
        size: usize,
    },
    /// A store of an immediate.
    StoreImmediate {
        /// The immediate.
        value: u64,
        /// Number of bytes.
        size: usize,
    },
}

/// A segment register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Segment {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

/// Decodes the instruction at `rip`, in 16-, 32- or 64-bit code.
pub fn decode(bytes: &[u8], rip: u64, bits: u32) -> Option<Instruction> {
    let mut decoder = Decoder::with_ip(bits, bytes, rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// The memory access of an instruction; `None` if it is not supported.
pub fn access(instruction: &Instruction) -> Option<Access> {
    let size = instruction.memory_size().size();
    let (first, second) = (instruction.op0_kind(), instruction.op1_kind());
    match instruction.mnemonic() {
        Mnemonic::Mov if first == OpKind::Memory => match second {
            OpKind::Register => Some(Access::StoreRegister {
                from: instruction.op1_register(),
                size,
            }),
            _ => Some(Access::StoreImmediate {
                value: instruction.try_immediate(1).ok()?,
                size,
            }),
        },
        // With a register as offset, the address is that of the word with the bit.
        Mnemonic::Bt if first == OpKind::Memory => Some(Access::BitTest {
            register: (second == OpKind::Register).then(|| instruction.op1_register()),
            immediate: instruction.try_immediate(1).unwrap_or(0) as u8,
            size,
        }),
        Mnemonic::Mov | Mnemonic::Movzx if second == OpKind::Memory => Some(Access::Load {
            to: instruction.op0_register(),
            size,
            signed: false,
        }),
        Mnemonic::Movsx | Mnemonic::Movsxd if second == OpKind::Memory => Some(Access::Load {
            to: instruction.op0_register(),
            size,
            signed: true,
        }),
        _ => None,
    }
}

/// Address size in bits and memory segment of INS, if `input`, or OUTS. `None` for any other instruction.
pub fn string(instruction: &Instruction, input: bool) -> Option<(u32, Segment)> {
    let memory = match (instruction.mnemonic(), input) {
        (Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd, true) => instruction.op0_kind(),
        (Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd, false) => instruction.op1_kind(),
        _ => return None,
    };
    let bits = match memory {
        OpKind::MemoryESDI | OpKind::MemorySegSI => 16,
        OpKind::MemoryESEDI | OpKind::MemorySegESI => 32,
        _ => 64,
    };
    let segment = match instruction.memory_segment() {
        _ if input => Segment::Es,
        Register::ES => Segment::Es,
        Register::CS => Segment::Cs,
        Register::SS => Segment::Ss,
        Register::FS => Segment::Fs,
        Register::GS => Segment::Gs,
        _ => Segment::Ds,
    };
    Some((bits, segment))
}
