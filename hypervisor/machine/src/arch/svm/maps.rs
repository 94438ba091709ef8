// SPDX-License-Identifier: GPL-2.0

//! The permission maps: which I/O ports and model-specific registers a guest reaches without an exit
//! (APM volume 2, 15.10 and 15.11). Everything is intercepted until allowed.

use core::ops::Range;

use crate::arch::frames::Frames;

/// Frames of the map of I/O ports: a bit a port, and one byte more.
const PORT_FRAMES: u64 = 3;
/// Frames of the map of registers: two bits a register, three ranges.
const MSR_FRAMES: u64 = 2;

/// A map with all bits set, in memory that is contiguous for the processor.
#[derive(Debug)]
struct Map {
    frames: Frames,
    bits: alloc::vec::Vec<u8>,
}

impl Map {
    fn new(count: u64) -> Option<Self> {
        let mut frames = Frames::take(count, u64::MAX)?;
        let bits = alloc::vec![0xff; (count * 4096) as usize];
        frames.write(0, &bits);
        Some(Self { frames, bits })
    }

    fn clear(&mut self, bit: usize) {
        if let Some(byte) = self.bits.get_mut(bit / 8) {
            *byte &= !(1 << (bit % 8));
            self.frames.write((bit / 8) as u64, &[*byte]);
        }
    }

    fn set(&mut self, bit: usize) {
        if let Some(byte) = self.bits.get_mut(bit / 8) {
            *byte |= 1 << (bit % 8);
            self.frames.write((bit / 8) as u64, &[*byte]);
        }
    }
}

/// The map of I/O ports.
#[derive(Debug)]
pub struct Ports(Map);

impl Ports {
    /// A map that intercepts every port; `None` without memory.
    pub fn new() -> Option<Self> {
        Map::new(PORT_FRAMES).map(Self)
    }

    /// Lets the guest use ports.
    pub fn allow(&mut self, ports: Range<u32>) {
        ports.for_each(|port| self.0.clear(port as usize));
    }

    /// Has accesses to ports exit.
    pub fn intercept(&mut self, ports: Range<u32>) {
        ports.for_each(|port| self.0.set(port as usize));
    }

    /// Physical address for the VMCB.
    pub fn address(&self) -> u64 {
        self.0.frames.start()
    }
}

/// The map of model-specific registers.
#[derive(Debug)]
pub struct Registers(Map);

impl Registers {
    /// A map that intercepts every register; `None` without memory.
    pub fn new() -> Option<Self> {
        Map::new(MSR_FRAMES).map(Self)
    }

    /// Lets the guest read and, if `write`, write a register.
    pub fn allow(&mut self, number: u32, write: bool) {
        let base = match number {
            0..0x2000 => 0,
            0xc000_0000..0xc000_2000 => 0x800,
            0xc001_0000..0xc001_2000 => 0x1000,
            _ => return,
        };
        let bit = base * 8 + (number & 0x1fff) as usize * 2;
        self.0.clear(bit);
        if write {
            self.0.clear(bit + 1);
        }
    }

    /// Physical address for the VMCB.
    pub fn address(&self) -> u64 {
        self.0.frames.start()
    }
}
