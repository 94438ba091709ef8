// SPDX-License-Identifier: GPL-2.0

//! The start information of a PVH kernel (`hvm_start_info`, arch-x86/hvm/start_info.h) and its memory map.

use alloc::vec::Vec;
use core::ops::Range;

use crate::boot::BootInfo;

const MAGIC: u32 = 0x336e_c578;
/// `SIF_PRIVILEGED` and `SIF_INITDOMAIN`.
const FLAGS: u32 = 1 | 2;
/// Offset of the flags in `hvm_start_info`.
pub const FLAGS_AT: usize = 8;
/// Bytes of `hvm_start_info`, version 1.
const HEADER: usize = 56;
/// Bytes of an entry of the memory map, and of the module list.
const ENTRY: usize = 24;
const MODULE: usize = 32;

/// Types of an E820 map.
const RAM: u32 = 1;
const ACPI: u32 = 3;
const UNUSABLE: u32 = 5;

/// dom0's memory map: its own memory, the firmware's regions, and the machine's other memory as unusable.
pub fn memory_map(
    boot: &BootInfo,
    memory: &[Range<u64>],
    tables: &Range<u64>,
) -> Vec<(Range<u64>, u32)> {
    let mut map: Vec<(Range<u64>, u32)> = Vec::new();
    map.extend(
        boot.memory
            .iter()
            .filter(|region| region.kind != RAM)
            .map(|region| (region.start..region.end, region.kind)),
    );
    for region in boot.memory.iter().filter(|region| region.kind == RAM) {
        let mut at = region.start;
        for own in memory {
            let shared = own.start.max(region.start)..own.end.min(region.end);
            if shared.is_empty() {
                continue;
            }
            // Memory that is not dom0's is unusable: its kernel maps grants and foreign frames there.
            map.push((at..shared.start, UNUSABLE));
            at = shared.end;
            if shared.contains(&tables.start) {
                map.push((shared.start..tables.start, RAM));
                map.push((tables.clone(), ACPI));
            } else {
                map.push((shared, RAM));
            }
        }
        map.push((at..region.end, UNUSABLE));
    }
    map.retain(|(range, _)| !range.is_empty());
    map.sort_by_key(|(range, _)| range.start);
    map
}

/// The start information, for address `at`.
pub fn build(
    at: u64,
    command_line: &str,
    initrd: Option<Range<u64>>,
    rsdp: u64,
    map: &[(Range<u64>, u32)],
) -> Vec<u8> {
    let mut bytes = alloc::vec![0; HEADER];
    let mut put = |offset: usize, value: u64, size: usize| {
        bytes[offset..offset + size].copy_from_slice(&value.to_le_bytes()[..size]);
    };
    let modules_at = at + HEADER as u64;
    let map_at = modules_at + MODULE as u64;
    let text_at = map_at + (map.len() * ENTRY) as u64;
    put(0, u64::from(MAGIC), 4);
    put(4, 1, 4);
    put(8, u64::from(FLAGS), 4);
    put(12, u64::from(initrd.is_some()), 4);
    put(16, modules_at, 8);
    put(24, text_at, 8);
    put(32, rsdp, 8);
    put(40, map_at, 8);
    put(48, map.len() as u64, 4);
    let mut push = |value: u64| bytes.extend_from_slice(&value.to_le_bytes());
    let initrd = initrd.unwrap_or(0..0);
    [initrd.start, initrd.end - initrd.start, 0, 0]
        .into_iter()
        .for_each(&mut push);
    for (range, kind) in map {
        [range.start, range.end - range.start, u64::from(*kind)]
            .into_iter()
            .for_each(&mut push);
    }
    bytes.extend_from_slice(command_line.as_bytes());
    bytes.push(0);
    bytes
}
