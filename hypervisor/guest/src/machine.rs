// SPDX-License-Identifier: GPL-2.0

//! Accesses to registers, instructions, ports and memory that are not the guest's.

use misbehaving::random::Random;
use misbehaving::registers;
use misbehaving::scratch::Scratch;

use crate::arch::{self, Instruction};
use crate::report::{failed, say};

/// Reads and writes all MSRs of some ranges, and some others.
pub fn registers(random: &mut Random) {
    let (mut faults, mut tried) = (0, 0);
    let others: [u32; 500] = core::array::from_fn(|_| random.next() as u32);
    for number in registers::MSRS.into_iter().flatten().chain(others) {
        let read = arch::read_msr(number);
        let value = registers::msr_value(number, read, random);
        let written = arch::write_msr(number, value);
        tried += 2;
        faults += u32::from(read.is_none()) + u32::from(!written);
    }
    // Most of them exist on no machine.
    if faults < tried / 2 {
        failed(format_args!(
            "of {tried} accesses to registers only {faults} faulted"
        ));
    }
    let control = arch::wild_control_registers(random);
    say(format_args!(
        "registers: {faults} of {tried} accesses faulted, {control} of the control registers'"
    ));
}

/// Executes instructions that a guest must not use.
pub fn instructions(random: &mut Random) {
    for instruction in Instruction::ALL {
        for _ in 0..20 {
            let faulted = arch::run(instruction, random.next());
            if instruction.has_to_fault() && !faulted {
                failed(format_args!("{instruction:?} does not fault"));
            }
        }
    }
    let mut leaves = 0;
    for _ in 0..2000 {
        let leaf = random.one_of(&[0, 0x4000_0000, 0x8000_0000, 0xc000_0000]) + random.below(64);
        leaves += u32::from(arch::cpuid(leaf as u32, random.below(70) as u32) != [0; 4]);
    }
    say(format_args!(
        "instructions: {leaves} of 2000 leaves say something"
    ));
}

/// Reads every port, and writes those of the hypervisor's devices.
pub fn ports(random: &mut Random) {
    for port in 0..=u16::MAX {
        if registers::is_read(port) {
            arch::read_port(port, random.one_of(&[1, 2, 4]));
        }
    }
    for _ in 0..5000 {
        let port = registers::written_port(random);
        arch::write_port(port, random.one_of(&[1, 2, 4]), random.next() as u32);
    }
}

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;

fn read_config(bdf: u32, register: u32) -> u32 {
    arch::write_port(ADDRESS, 4, 1 << 31 | bdf << 8 | register & 0xfc);
    arch::read_port(DATA, 4)
}

/// Reads PCI configuration space everywhere, in any size, and writes to the MSI and MSI-X capabilities of all devices.
pub fn pci(random: &mut Random) {
    for _ in 0..5000 {
        arch::write_port(ADDRESS, 4, random.next() as u32);
        arch::read_port(DATA + random.below(4) as u16, random.one_of(&[1, 2, 4]));
        // The address register accepts 32-bit accesses only.
        arch::write_port(ADDRESS + random.below(4) as u16 & !1, 2, 0);
        arch::read_port(ADDRESS, random.one_of(&[1, 2, 4]));
    }
    let mut written = 0;
    for bdf in 0..256 {
        if read_config(bdf, 0) as u16 == 0xffff || read_config(bdf, 4) >> 20 & 1 == 0 {
            continue;
        }
        let mut at = read_config(bdf, 0x34) & 0xfc;
        for _ in 0..48 {
            let head = read_config(bdf, at);
            // MSI and MSI-X: the hypervisor emulates their control, address and data.
            if at >= 0x40 && matches!(head as u8, 5 | 0x11) {
                for _ in 0..300 {
                    let offset = 2 + random.below(18) as u32;
                    let register = at + offset;
                    arch::write_port(ADDRESS, 4, 1 << 31 | bdf << 8 | register & 0xfc);
                    let port = DATA + (register & 3) as u16;
                    let size = random.one_of(&[1, 2, 4]);
                    arch::write_port(port, size, random.next() as u32);
                    arch::read_port(port, size);
                    written += 1;
                }
                // Disabled again.
                arch::write_port(ADDRESS, 4, 1 << 31 | bdf << 8 | at);
                arch::write_port(DATA, 4, 0);
            }
            at = head >> 8 & 0xfc;
            if at == 0 {
                break;
            }
        }
    }
    say(format_args!("PCI: {written} writes to MSI capabilities"));
}

/// Accesses memory and devices of the hypervisor, and addresses without any, by plain moves of all sizes, which the
/// hypervisor emulates. `has_image`: the hypervisor's image is where the guest has no memory.
pub fn memory(has_image: bool, scratch: &Scratch, random: &mut Random) {
    let mut disclosed = 0;
    for _ in 0..6000 {
        let address = registers::device_address(scratch.frames, random);
        let size = random.one_of(&[1, 2, 4, 8]);
        if random.one_in(2) {
            arch::write(address, size, random.next());
        }
        let value = arch::read(address, size);
        // Reads of the hypervisor's image have to return ones.
        let whole = has_image && (0x20_0000..0x28_0000 - 8).contains(&address);
        disclosed += u32::from(whole && value != u64::MAX >> (64 - 8 * size));
    }
    if disclosed > 0 {
        failed(format_args!(
            "{disclosed} reads of the hypervisor's image give something away"
        ));
    }
}
