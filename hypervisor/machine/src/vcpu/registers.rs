// SPDX-License-Identifier: GPL-2.0

//! The guest's general registers, by the operands of a decoded instruction.

use iced_x86::Register;

use super::SvmVcpu;

impl SvmVcpu {
    /// A general register, by its number in the instruction encoding.
    fn slot(&mut self, number: usize) -> &mut u64 {
        if number == 0 {
            return &mut self.context.vmcb().rax;
        }
        if number == 4 {
            return &mut self.context.vmcb().rsp;
        }
        let registers = &mut self.context.registers;
        match number {
            1 => &mut registers.rcx,
            2 => &mut registers.rdx,
            3 => &mut registers.rbx,
            5 => &mut registers.rbp,
            6 => &mut registers.rsi,
            7 => &mut registers.rdi,
            8 => &mut registers.r8,
            9 => &mut registers.r9,
            10 => &mut registers.r10,
            11 => &mut registers.r11,
            12 => &mut registers.r12,
            13 => &mut registers.r13,
            14 => &mut registers.r14,
            // `Register::number` gives 0 to 15 for general registers.
            _ => &mut registers.r15,
        }
    }

    /// Reads a general register of any size.
    pub fn register(&mut self, register: Register) -> u64 {
        let high = matches!(
            register,
            Register::AH | Register::BH | Register::CH | Register::DH
        );
        let value = *self.slot(register.full_register().number());
        match register.size() {
            1 if high => value >> 8 & 0xff,
            1 => value & 0xff,
            2 => value & 0xffff,
            4 => value & 0xffff_ffff,
            _ => value,
        }
    }

    /// Writes a general register of any size. A 32-bit write clears the upper half, smaller ones keep the rest.
    pub fn set_register(&mut self, register: Register, value: u64) {
        let high = matches!(
            register,
            Register::AH | Register::BH | Register::CH | Register::DH
        );
        let slot = self.slot(register.full_register().number());
        *slot = match register.size() {
            1 if high => *slot & !0xff00 | (value & 0xff) << 8,
            1 => *slot & !0xff | value & 0xff,
            2 => *slot & !0xffff | value & 0xffff,
            4 => value & 0xffff_ffff,
            _ => value,
        };
    }
}
