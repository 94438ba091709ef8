//! Memory on the heap in which a guest does something in the midst of an operation of the hypervisor's.

use super::access::MachineMemory;
use super::heap::HeapMemory;

/// Calls a function before each atomic change of a word, with the word's address. Setting and clearing bits cannot fail,
/// as on the machine.
pub struct Meddling<'m, F> {
    /// The memory.
    pub memory: &'m HeapMemory,
    /// What the guest does.
    pub before: F,
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $name(&self, $($arg: $type),*) $(-> $result)? {
            self.memory.$name($($arg),*)
        })*
    };
}

macro_rules! meddle {
    ($($name:ident, $type:ty;)*) => {
        $(fn $name(&self, address: u64, old: $type, new: $type) -> Result<$type, $type> {
            (self.before)(self.memory, address);
            self.memory.$name(address, old, new)
        })*
    };
}

macro_rules! change {
    ($($name:ident, $type:ty;)*) => {
        $(fn $name(&self, address: u64, bits: $type) -> $type {
            (self.before)(self.memory, address);
            self.memory.$name(address, bits)
        })*
    };
}

impl<F: Fn(&HeapMemory, u64)> MachineMemory for Meddling<'_, F> {
    forward! {
        read(address: u64, to: &mut [u8]);
        write(address: u64, from: &[u8]);
        clear_frame(address: u64);
        swap_u8(address: u64, value: u8) -> u8;
        load_u16(address: u64) -> u16;
        load_u32(address: u64) -> u32;
        store_u32(address: u64, value: u32);
        load_u64(address: u64) -> u64;
        store_u64(address: u64, value: u64);
    }

    meddle! {
        compare_exchange_u16, u16;
        compare_exchange_u32, u32;
        compare_exchange_u64, u64;
    }

    change! {
        fetch_or_u16, u16;
        fetch_clear_u16, u16;
        fetch_or_u32, u32;
        fetch_clear_u32, u32;
        fetch_or_u64, u64;
        fetch_clear_u64, u64;
    }
}
