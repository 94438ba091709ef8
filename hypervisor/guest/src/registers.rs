// SPDX-License-Identifier: GPL-2.0

//! Which registers, ports and device memory are accessed. Left out are those by which a guest that owns the machine's
//! devices may reset the machine or let a device overwrite memory: without an IOMMU dom0 may do that.

use core::ops::Range;

use crate::random::Random;

/// Ranges of MSRs: of the architecture, of Xen, of AMD.
pub const MSRS: [Range<u32>; 4] = [
    0..0x2000,
    0x4000_0000..0x4000_0200,
    0xc000_0000..0xc000_2000,
    0xc001_0000..0xc001_2000,
];

/// MSRs of which only reserved bits are written, since the guest depends on their values.
const FRAGILE: [u32; 4] = [
    // EFER, the hypercall page, the APIC's base.
    0xc000_0080,
    0x4000_0000,
    0x1b,
    // The APIC's ICR: INIT would end the guest.
    0x830,
];

/// A value to write to an MSR, given the one that was read.
pub fn msr_value(number: u32, read: Option<u64>, random: &mut Random) -> u64 {
    if FRAGILE.contains(&number) {
        return match number {
            // A frame that is not the guest's.
            0x4000_0000 => random.one_of(&[0x20_0000, 0xfe00_0000, 1 << 60, u64::MAX]),
            0x830 => 0xff_ffff_ff00_0000 | 1 << 19,
            _ => random.next() | 1 << 63 | 1 << 5,
        };
    }
    match random.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << random.below(64),
        3 => random.next(),
        _ => read.unwrap_or(0),
    }
}

/// Ports to write: of the interrupt controllers, the PIT and its gate, the console, and of no device.
const WRITTEN: [u16; 22] = [
    0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x80, 0xed, 0x3f8, 0x3f9,
    0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0xcfa,
];

/// A port to write to.
pub fn written_port(random: &mut Random) -> u16 {
    random.one_of(&WRITTEN)
}

/// Whether a port is read here: those of PCI configuration are accessed separately.
pub fn is_read(port: u16) -> bool {
    !(0xcf8..0xd00).contains(&port)
}

/// A guest-physical address to read and write: of the hypervisor's memory, of its devices, or of nothing.
pub fn device_address(frames: u64, random: &mut Random) -> u64 {
    let offset = random.below(4096);
    match random.below(8) {
        // The local APIC without the ICR, whose INIT would end the guest.
        0 => {
            let offset = match offset & 0xff0 {
                0x2f0..=0x310 => 0x320,
                _ => offset,
            };
            0xfee0_0000 + offset.min(0xff8)
        }
        1 => 0xfec0_0000 + offset,
        2 => 0xfed0_0000 + offset,
        // The hypervisor's image, and the end of memory, from which it allocates.
        3 => 0x20_0000 + random.below(0x8_0000),
        4 => (frames << 12) - 1 - random.below(16 << 20),
        // PCI configuration space in memory, where QEMU has it.
        5 => random.one_of(&[0xb000_0000, 0xe000_0000]) + random.below(1 << 20),
        6 => 0xfe00_0000 + random.below(1 << 16),
        // Behind dom0's memory, and straddling a page.
        _ => 0xfff - random.below(8) + (random.below(frames) << 12) | 0x8000_0000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_runs_by_is_never_set() {
        let mut random = Random::new(9);
        for _ in 0..1000 {
            // Reserved bits are set, so the write faults.
            assert!(msr_value(0xc000_0080, None, &mut random) >> 63 == 1);
            assert!(msr_value(0x1b, None, &mut random) >> 63 == 1);
            let page = msr_value(0x4000_0000, None, &mut random);
            assert!(!(0x130_0000..0x180_0000).contains(&page));
        }
    }

    #[test]
    fn nothing_that_resets_the_machine_is_written() {
        let mut random = Random::new(10);
        for _ in 0..1000 {
            assert!(![0xcf9, 0x64, 0x92, 0xb2].contains(&written_port(&mut random)));
            let address = device_address(0x4_0000, &mut random);
            assert!(
                !(0xfee0_02f8..0xfee0_0320).contains(&address),
                "{address:#x}"
            );
            // The guest's own memory is not among them.
            assert!(!(0x130_0000..0x180_0000).contains(&address), "{address:#x}");
        }
    }
}
