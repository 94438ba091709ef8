//! Memory on the heap in which a guest does something in the midst of an operation of the hypervisor's.

use super::access::MachineMemory;
use super::heap::HeapMemory;

/// Calls a function before each word is changed if it is what was expected, with the word's address.
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
}
