// SPDX-License-Identifier: GPL-2.0

//! All unsafe code of the guest: its entry, the window's page tables, traps, and accesses that may fault.

mod access;
mod boot;
mod debug;
mod traps;

pub use access::{
    Instruction, cpuid, end, hypercall, port_string, read, read_msr, read_port, run,
    wild_control_registers, write, write_msr, write_port,
};
pub use boot::{CODE_32, StartInfo, features_of_32_bit_code, scratch_frame};
pub use debug::{icebp, single_steps, watched_write};
pub use traps::{halt, triple_fault};
