// SPDX-License-Identifier: GPL-2.0

//! Machine memory on the heap, for tests and fuzzing: frames from address 0 on.

use super::access::MachineMemory;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Bytes of a frame, as an array's length.
const FRAME: usize = 4096;

/// Memory whose frames are allocated when they are first accessed, so that a large machine costs a test no time.
pub struct HeapMemory {
    frames: Vec<RefCell<Option<Box<[u8; FRAME]>>>>,
    /// The byte that a frame is full of before its first access.
    untouched: u8,
}

impl HeapMemory {
    /// Memory of `frames` zeroed frames.
    pub fn new(frames: usize) -> Self {
        Self::filled(frames, 0)
    }

    /// Memory of `frames` frames full of a byte, as memory that was used and not cleared.
    pub fn filled(frames: usize, byte: u8) -> Self {
        Self {
            frames: (0..frames).map(|_| RefCell::new(None)).collect(),
            untouched: byte,
        }
    }

    /// Calls `work` with bytes of one frame.
    fn on<R>(&self, address: u64, length: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
        let offset = address as usize % FRAME;
        assert!(offset + length <= FRAME, "an access across a frame's end");
        let mut frame = self.frames[address as usize / FRAME].borrow_mut();
        let bytes = frame.get_or_insert_with(|| Box::new([self.untouched; FRAME]));
        work(&mut bytes[offset..offset + length])
    }

    fn get<const N: usize>(&self, address: u64) -> [u8; N] {
        assert!(address % N as u64 == 0, "a word that is not aligned");
        let mut bytes = [0; N];
        self.read(address, &mut bytes);
        bytes
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
        self.on(address, to.len(), |bytes| to.copy_from_slice(bytes));
    }

    fn write(&self, address: u64, from: &[u8]) {
        self.on(address, from.len(), |bytes| bytes.copy_from_slice(from));
    }

    fn clear_frame(&self, address: u64) {
        self.write(address, &[0; FRAME]);
    }

    fn swap_u8(&self, address: u64, value: u8) -> u8 {
        self.on(address, 1, |bytes| core::mem::replace(&mut bytes[0], value))
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
