// SPDX-License-Identifier: GPL-2.0

//! Machine memory in which a guest changes words in the middle of an operation of the hypervisor.

use super::access::{MachineMemory, forward_to_memory};
use super::heap::HeapMemory;

/// Memory that calls a function before each atomic change of a word, with the word's address. Setting and clearing bits
/// cannot fail, as on the machine.
pub struct RacingMemory<'m, F> {
    /// The memory that is changed.
    pub memory: &'m HeapMemory,
    /// What another CPU of the guest does before the change.
    pub before: F,
}

macro_rules! exchange {
    ($($name:ident, $type:ty;)*) => {
        $(fn $name(&self, address: u64, old: $type, new: $type) -> Result<$type, $type> {
            (self.before)(self.memory, address);
            self.memory.$name(address, old, new)
        })*
    };
}

macro_rules! change_bits {
    ($($name:ident, $type:ty;)*) => {
        $(fn $name(&self, address: u64, bits: $type) -> $type {
            (self.before)(self.memory, address);
            self.memory.$name(address, bits)
        })*
    };
}

impl<F: Fn(&HeapMemory, u64)> MachineMemory for RacingMemory<'_, F> {
    forward_to_memory!(accesses);

    exchange! {
        compare_exchange_u16, u16;
        compare_exchange_u32, u32;
        compare_exchange_u64, u64;
    }

    change_bits! {
        fetch_or_u16, u16;
        fetch_clear_u16, u16;
        fetch_or_u32, u32;
        fetch_clear_u32, u32;
        fetch_or_u64, u64;
        fetch_clear_u64, u64;
    }
}
