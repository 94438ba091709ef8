//! Machine memory on the heap, for tests and fuzzing: as many frames as asked for, from address zero on.

use super::access::MachineMemory;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Memory of bytes. Words are changed under the assumption that one thread uses it.
pub struct HeapMemory(Vec<AtomicU8>);

impl HeapMemory {
    /// So many zeroed frames.
    pub fn new(frames: usize) -> Self {
        Self::filled(frames, 0)
    }

    /// So many frames of a byte, as memory is that somebody has used before.
    pub fn filled(frames: usize, byte: u8) -> Self {
        Self((0..frames * 4096).map(|_| AtomicU8::new(byte)).collect())
    }

    fn get<const N: usize>(&self, address: u64) -> [u8; N] {
        assert!(address % N as u64 == 0, "a word that is not aligned");
        core::array::from_fn(|i| self.0[address as usize + i].load(Relaxed))
    }

    fn set<const N: usize>(&self, address: u64, bytes: [u8; N]) {
        assert!(address % N as u64 == 0, "a word that is not aligned");
        self.write(address, &bytes);
    }
}

macro_rules! exchange {
    ($name:ident, $type:ty) => {
        fn $name(&self, address: u64, old: $type, new: $type) -> Result<$type, $type> {
            let now = <$type>::from_le_bytes(self.get(address));
            if now != old {
                return Err(now);
            }
            self.set(address, new.to_le_bytes());
            Ok(now)
        }
    };
}

impl MachineMemory for HeapMemory {
    fn read(&self, address: u64, to: &mut [u8]) {
        for (i, byte) in to.iter_mut().enumerate() {
            *byte = self.0[address as usize + i].load(Relaxed);
        }
    }

    fn write(&self, address: u64, from: &[u8]) {
        for (i, byte) in from.iter().enumerate() {
            self.0[address as usize + i].store(*byte, Relaxed);
        }
    }

    fn clear_frame(&self, address: u64) {
        self.write(address, &[0; 4096]);
    }

    fn swap_u8(&self, address: u64, value: u8) -> u8 {
        self.0[address as usize].swap(value, Relaxed)
    }

    fn load_u16(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.get(address))
    }

    fn load_u32(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.get(address))
    }

    fn store_u32(&self, address: u64, value: u32) {
        self.set(address, value.to_le_bytes());
    }

    fn load_u64(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.get(address))
    }

    fn store_u64(&self, address: u64, value: u64) {
        self.set(address, value.to_le_bytes());
    }

    exchange!(compare_exchange_u16, u16);
    exchange!(compare_exchange_u32, u32);
    exchange!(compare_exchange_u64, u64);
}
