// SPDX-License-Identifier: GPL-2.0

//! The I/O ports dom0 shares with nobody, and those it does not get: the hypervisor's console, the interrupt
//! controllers and the timer of the PC, PCI configuration (which [`super::pci`] does).

use core::ops::Range;

use crate::arch::{serial, svm::maps::Ports};

/// The ports of PCI configuration mechanism 1.
pub const PCI: Range<u32> = 0xcf8..0xd00;
/// The reset control register, which lies among PCI's and is dom0's to write.
pub const RESET: u16 = 0xcf9;

/// The PC's interrupt controllers, its timer and the timer's gate.
const WITHHELD: [Range<u32>; 5] = [0x20..0x22, 0xa0..0xa2, 0x4d0..0x4d2, 0x40..0x44, 0x61..0x62];

/// A map for dom0: everything but the above.
pub fn for_dom0() -> Option<Ports> {
    let mut map = Ports::new()?;
    map.allow(0..0x1_0000);
    for range in WITHHELD {
        map.intercept(range);
    }
    map.intercept(PCI);
    let console = serial::ports();
    map.intercept(u32::from(console.start)..u32::from(console.end));
    Some(map)
}
