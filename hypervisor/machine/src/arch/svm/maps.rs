// SPDX-License-Identifier: GPL-2.0

//! The permission maps: which I/O ports and MSRs a guest accesses without an exit (APM volume 2, 15.10 and 15.11).
//! Everything is intercepted until it is allowed.

use core::ops::Range;

use crate::arch::frames::Frames;

/// Frames of the I/O permission map: one bit for each port, and one more byte.
const PORT_FRAMES: u64 = 3;
/// Frames of the MSR permission map: two bits for each MSR, in three ranges.
const MSR_FRAMES: u64 = 2;

/// A bitmap in contiguous frames.
#[derive(Debug)]
struct Bitmap {
    frames: Frames,
    bits: alloc::vec::Vec<u8>,
}

/// A set bit intercepts.
impl Bitmap {
    fn new(count: u64) -> Option<Self> {
        let mut frames = Frames::alloc(count, u64::MAX)?;
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

/// The I/O permission map (IOPM).
#[derive(Debug)]
pub struct IoPermissions(Bitmap);

impl IoPermissions {
    /// Intercepts all ports; `None` without memory.
    pub fn new() -> Option<Self> {
        Bitmap::new(PORT_FRAMES).map(Self)
    }

    /// Lets the guest access ports without an exit.
    pub fn allow(&mut self, ports: Range<u32>) {
        ports.for_each(|port| self.0.clear(port as usize));
    }

    /// Intercepts ports.
    pub fn intercept(&mut self, ports: Range<u32>) {
        ports.for_each(|port| self.0.set(port as usize));
    }

    /// Physical address, for the VMCB.
    pub fn address(&self) -> u64 {
        self.0.frames.start()
    }
}

/// The MSR permission map (MSRPM).
#[derive(Debug)]
pub struct MsrPermissions(Bitmap);

impl MsrPermissions {
    /// Intercepts all MSRs; `None` without memory.
    pub fn new() -> Option<Self> {
        Bitmap::new(MSR_FRAMES).map(Self)
    }

    /// Lets the guest read and, if `write`, write an MSR without an exit.
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

    /// Physical address, for the VMCB.
    pub fn address(&self) -> u64 {
        self.0.frames.start()
    }
}
