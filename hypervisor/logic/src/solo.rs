// SPDX-License-Identifier: GPL-2.0

//! A PVH guest that the hypervisor starts itself, without dom0 and toolstack (`solo`): where its memory lies, and what its
//! end means for the machine. The addresses are those that libxl chooses.

use crate::mem::PAGE_SIZE;
use alloc::vec::Vec;
use core::ops::Range;
use xen_abi::hvm::start_info::memory;
use xen_abi::sched::shutdown;

/// The guest's memory is a multiple of this, 2 MiB: it is mapped by large pages.
pub const MEMORY_UNIT: u64 = 2 << 20;
/// The end of its memory below 4 GiB. Behind it are its local APIC and the page of its console.
const LOW_END: u64 = 0xf000_0000;
/// Its memory goes on here.
const HIGH_START: u64 = 1 << 32;
/// Guest-physical addresses of libxl's eight special pages. Only that of the console has memory.
const SPECIAL_PAGES: Range<u64> = 0xfeff_8000..0xff00_0000;
/// Guest-physical address of its console's page, the last special page.
pub const CONSOLE_PAGE: u64 = SPECIAL_PAGES.end - PAGE_SIZE;

/// What [`exit_code`] returns for a guest that has powered off; the codes of the other reasons follow.
const EXIT_CODES: u8 = 0x10;
/// The exit code of a hypervisor that has crashed.
pub const HYPERVISOR_CRASHED: u8 = 0x20;

/// Where the memory of a guest with `size` bytes lies, a multiple of [`MEMORY_UNIT`].
pub fn memory_ranges(size: u64) -> Vec<Range<u64>> {
    let low = size.min(LOW_END);
    let high = HIGH_START..HIGH_START + (size - low);
    [0..low, high]
        .into_iter()
        .filter(|range| !range.is_empty())
        .collect()
}

/// The memory map of a guest: its memory, of which `tables` has its ACPI tables, and the special pages. Ranges with their
/// types.
pub fn memory_map(ranges: &[Range<u64>], tables: &Range<u64>) -> Vec<(Range<u64>, u32)> {
    let mut map = Vec::new();
    for range in ranges {
        if range.start <= tables.start && tables.end <= range.end {
            map.push((range.start..tables.start, memory::RAM));
            map.push((tables.clone(), memory::ACPI));
            map.push((tables.end..range.end, memory::RAM));
        } else {
            map.push((range.clone(), memory::RAM));
        }
    }
    map.push((SPECIAL_PAGES, memory::RESERVED));
    map.retain(|(range, _)| !range.is_empty());
    map.sort_by_key(|(range, _)| range.start);
    map
}

/// What a shutdown's reason is called.
pub fn reason_name(reason: u8) -> &'static str {
    match reason.into() {
        shutdown::POWEROFF => "powered off",
        shutdown::REBOOT => "rebooted",
        shutdown::SUSPEND => "suspended itself",
        shutdown::CRASH => "crashed",
        shutdown::WATCHDOG => "was stopped by its watchdog",
        _ => "stopped",
    }
}

/// The code that is written to QEMU's `isa-debug-exit` when a guest has shut down for a reason: 0x10 and the reason
/// (`SHUTDOWN_*`). QEMU's exit status is twice the code and one: 33 for a guest that has powered off, 35 for one that has
/// rebooted, 39 for one that has crashed.
pub fn exit_code(reason: u8) -> u8 {
    EXIT_CODES + reason.min(HYPERVISOR_CRASHED - EXIT_CODES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn memory_leaves_out_what_is_below_4_gib() {
        assert!(matches!(&memory_ranges(512 << 20)[..], [range] if *range == (0..512 << 20)));
        let large = memory_ranges(6 * GIB);
        assert_eq!(large, [0..LOW_END, 4 * GIB..4 * GIB + 6 * GIB - LOW_END]);
        for address in [CONSOLE_PAGE, crate::acpi::madt::LOCAL_APIC.into()] {
            assert!(!large.iter().any(|range| range.contains(&address)));
        }
        let bytes: u64 = large.iter().map(|range| range.end - range.start).sum();
        assert_eq!(bytes, 6 * GIB);
    }

    #[test]
    fn the_map_has_tables_and_special_pages_apart() {
        let tables = 0x1f_f000..0x20_0000;
        let map = memory_map(&memory_ranges(2 << 20), &tables);
        let wanted = [
            (0..0x1f_f000, memory::RAM),
            (tables, memory::ACPI),
            (0xfeff_8000..0xff00_0000, memory::RESERVED),
        ];
        assert_eq!(map, wanted);
        let map = memory_map(&memory_ranges(5 * GIB), &(0x1000..0x2000));
        let ends = map.windows(2).all(|two| two[0].0.end <= two[1].0.start);
        assert!(ends, "{map:x?}");
        assert_eq!(map.len(), 5);
    }

    #[test]
    fn each_reason_has_its_exit_code() {
        let statuses: Vec<_> = (0..=5).map(|reason| exit_code(reason) << 1 | 1).collect();
        assert_eq!(statuses, [33, 35, 37, 39, 41, 43]);
        // A guest's reason, whatever it is, is not taken for a crash of the hypervisor.
        assert!((0..=255).all(|reason| exit_code(reason) < HYPERVISOR_CRASHED));
    }
}
