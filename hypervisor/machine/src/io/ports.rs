// SPDX-License-Identifier: GPL-2.0

//! The I/O ports of dom0. It accesses all of them directly, except those of the hypervisor's console, the PC's
//! interrupt controllers and timer, and PCI configuration ([`super::pci`]).

use core::ops::Range;

use paravane::mem::FrameTable;

use crate::arch::{serial, svm::maps::IoPermissions};

/// The ports of PCI configuration mechanism 1.
pub const PCI: Range<u32> = 0xcf8..0xd00;
/// The reset control register, which lies among PCI's ports. dom0 may write it.
pub const RESET: u16 = 0xcf9;

/// Ports of the PC's interrupt controllers, the PIT and its gate.
const INTERCEPTED: [Range<u32>; 5] = [0x20..0x22, 0xa0..0xa2, 0x4d0..0x4d2, 0x40..0x44, 0x61..0x62];

/// The I/O permission map of dom0; `None` without memory.
pub fn for_dom0(table: &mut FrameTable) -> Option<IoPermissions> {
    let mut map = IoPermissions::new(table)?;
    map.allow(0..0x1_0000);
    for range in INTERCEPTED {
        map.intercept(range);
    }
    map.intercept(PCI);
    let console = serial::ports();
    map.intercept(u32::from(console.start)..u32::from(console.end));
    Some(map)
}
