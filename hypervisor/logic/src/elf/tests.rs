// SPDX-License-Identifier: GPL-2.0

//! Files of both classes, and damaged ones.

use super::*;
use proptest::prelude::*;

struct Bytes(Vec<u8>);

impl File for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, at: u64, to: &mut [u8]) {
        to.copy_from_slice(&self.0[at as usize..][..to.len()]);
    }
}

/// A kernel with one segment of 16 bytes (32 in memory) at 1 MiB and the note of the entry 0x10_0040.
fn kernel(fields: &FieldOffsets, class: u16, machine: u16) -> Vec<u8> {
    let mut file = vec![0; 0x200];
    let mut put = |at: u64, value: u64, size: u64| {
        let bytes = &value.to_le_bytes()[..size as usize];
        file[at as usize..][..size as usize].copy_from_slice(bytes);
    };
    put(0, MAGIC, 4);
    put(4, class.into(), 2);
    put(18, machine.into(), 2);
    put(fields.headers, 0x80, fields.word);
    put(fields.header_size, 0x40, 2);
    put(fields.header_count, 2, 2);
    for (at, header_type, offset, in_file, in_memory) in
        [(0x80, LOAD, 0x180, 16, 32), (0xc0, NOTE, 0x100, 20, 20)]
    {
        put(at, header_type, 4);
        put(at + fields.offset, offset, fields.word);
        put(at + fields.physical, 0x10_0000, fields.word);
        put(at + fields.in_file, in_file, fields.word);
        put(at + fields.in_memory, in_memory, fields.word);
    }
    put(0x100, 4, 4);
    put(0x104, 4, 4);
    put(0x108, PHYS32_ENTRY, 4);
    put(0x10c, u32::from_le_bytes(*b"Xen\0").into(), 4);
    put(0x110, 0x10_0040, 4);
    file
}

/// Physical address, bytes in the file, and size in memory of a segment.
type Segment = (u64, Range<u64>, u64);

fn loaded(file: Vec<u8>) -> Result<(u32, Vec<Segment>), &'static str> {
    let mut segments = Vec::new();
    let entry = load(&Bytes(file), |physical, part, size| {
        segments.push((physical, part, size));
        Ok(())
    })?;
    Ok((entry, segments))
}

#[test]
fn kernels_are_loaded_from_files_of_both_classes() {
    let expected = Ok((0x10_0040, vec![(0x10_0000, 0x180..0x190, 32)]));
    for machine in [3, 62] {
        let small = kernel(&OFFSETS_32, 0x101, machine);
        assert_eq!(loaded(small), expected, "32 bits, {machine}");
        let large = kernel(&OFFSETS_64, 0x102, machine);
        assert_eq!(loaded(large), expected, "64 bits, {machine}");
    }
}

#[test]
fn files_for_other_processors_are_refused() {
    for (class, machine) in [(0x101, 183), (0x201, 62), (0x103, 62)] {
        assert!(loaded(kernel(&OFFSETS_64, class, machine)).is_err());
    }
    assert!(loaded(b"MZ".to_vec()).is_err());
}

proptest! {
    #[test]
    fn a_damaged_file_is_refused_or_loaded_within_its_bounds(
        wide in any::<bool>(), damage in prop::collection::vec((0usize..0x200, any::<u8>()), 1..8),
        end in 0usize..0x201
    ) {
        let mut file = match wide {
            true => kernel(&OFFSETS_64, 0x102, 62),
            false => kernel(&OFFSETS_32, 0x101, 62),
        };
        damage.into_iter().for_each(|(at, byte)| file[at] = byte);
        file.truncate(end);
        if let Ok((_, segments)) = loaded(file) {
            for (_, part, size) in segments {
                prop_assert!(part.end <= end as u64 && part.end - part.start <= size);
            }
        }
    }
}
