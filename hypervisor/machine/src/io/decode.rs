// SPDX-License-Identifier: GPL-2.0

//! What an instruction that touched a device's registers wanted: its length, the size, where the value comes from
//! or goes to. Only plain moves are known; a guest that uses others on a device's registers is told to be stopped.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// A decoded access.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// A register is loaded.
    Load {
        /// Which.
        to: Register,
        /// Bytes read.
        size: usize,
        /// Whether the value is extended with its sign, else with zeroes.
        signed: bool,
    },
    /// A register's value is stored.
    StoreRegister {
        /// Which.
        from: Register,
        /// Bytes written.
        size: usize,
    },
    /// A constant is stored.
    StoreValue {
        /// The constant.
        value: u64,
        /// Bytes written.
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

/// Decodes the instruction at `rip`.
pub fn decode(bytes: &[u8], rip: u64, bits: u32) -> Option<Instruction> {
    let mut decoder = Decoder::with_ip(bits, bytes, rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// What an instruction does to the memory it names.
pub fn access(instruction: &Instruction) -> Option<Access> {
    let size = instruction.memory_size().size();
    let (first, second) = (instruction.op0_kind(), instruction.op1_kind());
    match instruction.mnemonic() {
        Mnemonic::Mov if first == OpKind::Memory => match second {
            OpKind::Register => Some(Access::StoreRegister {
                from: instruction.op1_register(),
                size,
            }),
            _ => Some(Access::StoreValue {
                value: instruction.try_immediate(1).ok()?,
                size,
            }),
        },
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

/// Of INS, if `input`, or OUTS: the bits of its addresses, and the segment of its memory. Nothing of any other instruction.
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
