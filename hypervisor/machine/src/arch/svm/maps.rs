// SPDX-License-Identifier: GPL-2.0

//! The permission maps: which I/O ports and MSRs a guest accesses without an exit (APM volume 2, 15.10 and 15.11).
//! Everything is intercepted until it is allowed.

use core::ops::Range;

use paravane::mem::FrameTable;

use crate::arch::frames::Frames;
use crate::arch::phys;

/// Frames of the I/O permission map: one bit for each port, and one more byte.
const PORT_FRAMES: u64 = 3;
/// Frames of the MSR permission map: two bits for each MSR, in three ranges.
const MSR_FRAMES: u64 = 2;

/// A bitmap in contiguous frames.
#[derive(Debug)]
struct Bitmap {
    frames: Frames,
}

/// A set bit intercepts.
impl Bitmap {
    fn new(table: &mut FrameTable, count: u64) -> Option<Self> {
        let mut frames = Frames::alloc_in(table, count)?;
        for frame in 0..count {
            frames.write(frame * 4096, &[0xff; 4096]);
        }
        Some(Self { frames })
    }

    /// Replaces the byte in which a bit lies.
    ///
    /// # Panics
    ///
    /// If the bit is not in the map.
    fn update(&mut self, bit: u64, change: impl FnOnce(u8, u8) -> u8) {
        let byte = phys::read_u8(self.frames.start() + bit / 8);
        self.frames.write(bit / 8, &[change(byte, 1 << (bit % 8))]);
    }

    fn clear(&mut self, bit: u64) {
        self.update(bit, |byte, mask| byte & !mask);
    }

    fn set(&mut self, bit: u64) {
        self.update(bit, |byte, mask| byte | mask);
    }
}

/// The I/O permission map (IOPM).
#[derive(Debug)]
pub struct IoPermissions(Bitmap);

impl IoPermissions {
    /// Intercepts all ports; `None` without memory.
    pub fn new(table: &mut FrameTable) -> Option<Self> {
        Bitmap::new(table, PORT_FRAMES).map(Self)
    }

    /// Lets the guest access ports without an exit.
    pub fn allow(&mut self, ports: Range<u32>) {
        ports.for_each(|port| self.0.clear(port.into()));
    }

    /// Intercepts ports.
    pub fn intercept(&mut self, ports: Range<u32>) {
        ports.for_each(|port| self.0.set(port.into()));
    }

    /// Physical address, for the VMCB.
    pub fn address(&self) -> u64 {
        self.0.frames.start()
    }

    /// Keeps the map for ever. Returns its physical address, for the VMCB.
    pub fn leak(self) -> u64 {
        self.0.frames.leak()
    }
}

/// The MSR permission map (MSRPM).
#[derive(Debug)]
pub struct MsrPermissions(Bitmap);

impl MsrPermissions {
    /// Intercepts all MSRs; `None` without memory.
    pub fn new(table: &mut FrameTable) -> Option<Self> {
        Bitmap::new(table, MSR_FRAMES).map(Self)
    }

    /// Lets the guest read and, if `write`, write an MSR without an exit.
    pub fn allow(&mut self, number: u32, write: bool) {
        let base = match number {
            0..0x2000 => 0,
            0xc000_0000..0xc000_2000 => 0x800,
            0xc001_0000..0xc001_2000 => 0x1000,
            _ => return,
        };
        let bit = base * 8 + u64::from(number & 0x1fff) * 2;
        self.0.clear(bit);
        if write {
            self.0.clear(bit + 1);
        }
    }

    /// Physical address, for the VMCB.
    pub fn address(&self) -> u64 {
        self.0.frames.start()
    }

    /// Keeps the map for ever. Returns its physical address, for the VMCB.
    pub fn leak(self) -> u64 {
        self.0.frames.leak()
    }
}
