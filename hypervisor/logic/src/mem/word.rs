// SPDX-License-Identifier: GPL-2.0

//! A word of machine memory, as the crates of `protocol/` want it.

use super::access::MachineMemory;
use core::marker::PhantomData;
use xen_event::SharedWord;

/// A word that a guest may change at any time, by machine address. What [`MachineMemory`] demands of an address holds
/// for this one: the caller has looked the frame up, and the word is aligned.
#[derive(Debug)]
pub struct MachineWord<'m, M, T> {
    memory: &'m M,
    address: u64,
    width: PhantomData<T>,
}

impl<'m, M, T> MachineWord<'m, M, T> {
    /// The word at a machine address.
    pub fn new(memory: &'m M, address: u64) -> Self {
        let width = PhantomData;
        Self {
            memory,
            address,
            width,
        }
    }
}

macro_rules! words {
    ($($value:ident, $load:ident, $store:ident, $exchange:ident, $or:ident, $clear:ident;)*) => {
        $(impl<M: MachineMemory> SharedWord for MachineWord<'_, M, $value> {
            type Value = $value;

            fn load(&self) -> $value {
                self.memory.$load(self.address)
            }
            fn store(&self, value: $value) {
                self.memory.$store(self.address, value);
            }
            fn compare_exchange(&self, old: $value, new: $value) -> Result<$value, $value> {
                self.memory.$exchange(self.address, old, new)
            }
            fn fetch_or(&self, bits: $value) -> $value {
                self.memory.$or(self.address, bits)
            }
            fn fetch_clear(&self, bits: $value) -> $value {
                self.memory.$clear(self.address, bits)
            }
        })*
    };
}

words! {
    u32, load_u32, store_u32, compare_exchange_u32, fetch_or_u32, fetch_clear_u32;
    u64, load_u64, store_u64, compare_exchange_u64, fetch_or_u64, fetch_clear_u64;
}

impl<M: MachineMemory> SharedWord for MachineWord<'_, M, u16> {
    type Value = u16;

    fn load(&self) -> u16 {
        self.memory.load_u16(self.address)
    }
    /// The machine has no such access, and the hypervisor does not overwrite words of this width.
    fn store(&self, value: u16) {
        self.swap(value);
    }
    fn compare_exchange(&self, old: u16, new: u16) -> Result<u16, u16> {
        self.memory.compare_exchange_u16(self.address, old, new)
    }
    fn fetch_or(&self, bits: u16) -> u16 {
        self.memory.fetch_or_u16(self.address, bits)
    }
    fn fetch_clear(&self, bits: u16) -> u16 {
        self.memory.fetch_clear_u16(self.address, bits)
    }
}
