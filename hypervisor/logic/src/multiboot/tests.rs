// SPDX-License-Identifier: GPL-2.0

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

/// Memory from an address on; what is beyond cannot be reached.
struct FakePlatform {
    start: u64,
    bytes: Vec<u8>,
    reads: Cell<u64>,
}

impl FakePlatform {
    fn new(start: u64, bytes: Vec<u8>) -> Self {
        Self {
            start,
            bytes,
            reads: Cell::new(0),
        }
    }
}

impl Memory for &FakePlatform {
    fn read(&self, address: u64, to: &mut [u8]) -> bool {
        self.reads.set(self.reads.get() + 1);
        let part = address.checked_sub(self.start).and_then(|at| {
            let at = usize::try_from(at).ok()?;
            self.bytes.get(at..at.checked_add(to.len())?)
        });
        part.inspect(|part| to.copy_from_slice(part)).is_some()
    }
}

const AT: u64 = 0x9000;

/// A structure of version 2 of tags, which are kind and content.
fn version2(tags: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for (kind, content) in tags {
        bytes.extend(kind.to_le_bytes());
        bytes.extend((content.len() as u32 + 8).to_le_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes.extend([0, 0, 0, 0, 8, 0, 0, 0]);
    let size = bytes.len() as u32;
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    bytes
}

fn read2(tags: &[(u32, Vec<u8>)]) -> BootInfo {
    let memory = FakePlatform::new(AT, version2(tags));
    Loader::new(&memory, MAGIC2, AT).unwrap().copy()
}

fn module(start: u32, end: u32, text: &str) -> (u32, Vec<u8>) {
    let text = [text.as_bytes(), b"\0"].concat();
    let range = [start.to_le_bytes(), end.to_le_bytes()].concat();
    (3, [range, text].concat())
}

fn map_tag(step: u32, regions: &[(u64, u64, u32)]) -> (u32, Vec<u8>) {
    let mut bytes = [step.to_le_bytes(), [0; 4]].concat();
    for (start, len, kind) in regions {
        let mut entry = [start.to_le_bytes(), len.to_le_bytes()].concat();
        entry.extend(kind.to_le_bytes());
        entry.resize(step as usize, 0);
        bytes.extend(entry);
    }
    (6, bytes)
}

fn region(start: u64, end: u64, kind: u32) -> Region {
    Region { start, end, kind }
}

const MACHINE: [(u64, u64, u32); 3] = [
    (0, 0x9_fc00, 1),
    (0xf_0000, 0x1_0000, 2),
    (0x10_0000, 0x3ff0_0000, 1),
];

fn rsdp(revision: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[..8].copy_from_slice(b"RSD PTR ");
    bytes[15] = revision;
    for (place, len) in [(8, 20), (32, 36)] {
        if place < bytes.len() {
            let sum = bytes[..len].iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
            bytes[place] = bytes[place].wrapping_sub(sum);
        }
    }
    bytes
}

#[test]
fn grubs_structure_is_read() {
    let boot = read2(&[
        (1, b"placeholder dom0_mem=1G loglvl=all\0".to_vec()),
        (2, b"GRUB 2.12-9\0".to_vec()),
        // The BIOS's boot device, which nobody asked for.
        (5, vec![0; 12]),
        module(0x40_0000, 0x120_0000, "root=/dev/sda1 quiet"),
        module(0x120_0000, 0x180_0001, ""),
        map_tag(24, &MACHINE),
        (14, rsdp(0, 20)),
    ]);
    assert_eq!(boot.loader, "GRUB 2.12-9");
    assert_eq!(boot.command_line, "placeholder dom0_mem=1G loglvl=all");
    assert_eq!(boot.modules[0].range, 0x40_0000..0x120_0000);
    assert_eq!(boot.modules[0].arguments, "root=/dev/sda1 quiet");
    assert_eq!(boot.modules[1].range, 0x120_0000..0x180_0001);
    assert_eq!(boot.modules[1].arguments, "");
    assert_eq!(boot.memory[2], region(0x10_0000, 0x4000_0000, 1));
    assert_eq!(boot.rsdp.as_deref(), Some(&rsdp(0, 20)[..]));
    assert_eq!(boot.check(0x20_0000..0x30_0000), Ok(()));
}

#[test]
fn the_later_rsdp_counts_and_a_damaged_one_does_not() {
    let (old, new) = (rsdp(0, 20), rsdp(2, 36));
    let of = |tags: &[(u32, &Vec<u8>)]| {
        let tags: Vec<_> = tags.iter().map(|(kind, b)| (*kind, (*b).clone())).collect();
        read2(&tags).rsdp
    };
    assert_eq!(of(&[(14, &old), (15, &new)]), Some(new.clone()));
    assert_eq!(of(&[(15, &new), (14, &old)]), Some(new.clone()));
    let mut damaged = new.clone();
    damaged[33] ^= 1;
    assert_eq!(of(&[(15, &damaged), (14, &old)]), Some(old.clone()));
    damaged = old.clone();
    damaged[16] ^= 1;
    assert_eq!(of(&[(14, &damaged)]), None);
    // The sum is right, the signature is not.
    let mut other = old.clone();
    other.swap(1, 2);
    assert_eq!(of(&[(14, &other)]), None);
    assert_eq!(of(&[(15, &new[..35].to_vec())]), None);
    assert_eq!(of(&[]), None);
}

#[test]
fn longer_entries_of_a_map_are_read_and_shorter_ones_are_not_believed() {
    let boot = read2(&[map_tag(40, &MACHINE)]);
    assert_eq!(boot.memory.len(), 3);
    // A step of 0 would go on for ever.
    let mut tag = map_tag(24, &MACHINE);
    tag.1[..4].fill(0);
    assert_eq!(read2(&[tag]).memory.len(), 3);
}

#[test]
fn tags_that_go_beyond_the_end_are_left_out() {
    let mut bytes = version2(&[(1, b"a=1\0".to_vec()), (2, b"GRUB 2\0".to_vec())]);
    // The second tag, at 24, is longer than what is left.
    bytes[28] = 200;
    let memory = FakePlatform::new(AT, bytes);
    let boot = Loader::new(&memory, MAGIC2, AT).unwrap().copy();
    assert_eq!((&*boot.command_line, &*boot.loader), ("a=1", ""));
    // Not even a whole header, larger than is believed, not in memory.
    for size in [0u32, 7, 2 << 20] {
        let memory = FakePlatform::new(AT, size.to_le_bytes().to_vec());
        assert!(Loader::new(&memory, MAGIC2, AT).is_none());
    }
    let memory = FakePlatform::new(AT, vec![]);
    assert!(Loader::new(&memory, MAGIC2, AT).is_none());
    assert!(Loader::new(&memory, 0, AT).is_none());
    assert!(Loader::new(&memory, MAGIC1, u64::MAX).is_none());
}

#[test]
fn tags_that_are_too_short_or_too_many_bring_no_modules() {
    let of = |content: usize| read2(&[(3, vec![0; content])]).modules.len();
    assert_eq!([0, 4, 7, 8, 9].map(of), [0, 0, 0, 1, 1]);
    let many = vec![module(0x40_0000, 0x40_1000, ""); MAX_MODULES as usize + 1];
    assert_eq!(read2(&many).modules.len() as u64, MAX_MODULES);
    // A map without entries, and one that ends before the size of its entries.
    for content in [4, 8, 31] {
        assert_eq!(read2(&[(6, vec![0; content])]).memory, [], "{content}");
    }
}

/// A structure of version 1 with the texts `line` and `name`, one module and a map of two regions.
fn version1(line: &str, name: &str) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    let mut put = |at: usize, words: &[u32]| {
        for (index, word) in words.iter().enumerate() {
            bytes[at + index * 4..][..4].copy_from_slice(&word.to_le_bytes());
        }
    };
    let at = AT as u32;
    put(0, &[1 << 2 | 1 << 3 | 1 << 6 | 1 << 9]);
    put(16, &[at + 0x100, 1, at + 0x180]);
    put(44, &[48, at + 0x200]);
    put(64, &[at + 0x300]);
    put(0x180, &[0x40_0000, 0x50_0000, at + 0x100, 0]);
    put(0x200, &[20, 0, 0, 0x9_fc00, 0, 1]);
    put(0x218, &[20, 0x10_0000, 0, 0x100_0000, 0, 1]);
    bytes[0x100..][..line.len()].copy_from_slice(line.as_bytes());
    bytes[0x300..][..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

#[test]
fn version_1_puts_the_files_name_first_but_in_grub_2() {
    for (name, wanted) in [
        ("qemu", "b=2"),
        ("GRUB 0.97", "b=2"),
        ("", "b=2"),
        ("GRUB 2.12", "a b=2"),
    ] {
        let memory = FakePlatform::new(AT, version1("a b=2", name));
        let loader = Loader::new(&memory, MAGIC1, AT).unwrap();
        let boot = loader.copy();
        assert_eq!(boot.loader, name);
        assert_eq!(boot.command_line, wanted, "of {name:?}");
        assert_eq!(boot.modules[0].arguments, wanted);
        assert_eq!(boot.modules[0].range, 0x40_0000..0x50_0000);
        assert_eq!(boot.memory.len(), 2);
        assert_eq!(boot.check(0x20_0000..0x30_0000), Ok(()));
    }
}

#[test]
fn fields_that_version_1_does_not_flag_are_not_read() {
    let copy = |flags: u32| {
        let mut bytes = version1("a b=2", "qemu");
        bytes[..4].copy_from_slice(&flags.to_le_bytes());
        let memory = FakePlatform::new(AT, bytes);
        let boot = Loader::new(&memory, MAGIC1, AT).unwrap().copy();
        let texts = (boot.command_line, boot.loader);
        (texts, boot.modules.len(), boot.memory.len())
    };
    let of = |line: &str, loader: &str, modules, regions| {
        ((line.to_string(), loader.to_string()), modules, regions)
    };
    assert_eq!(copy(0), of("", "", 0, 0));
    assert_eq!(copy(1 << 2), of("b=2", "", 0, 0));
    assert_eq!(copy(1 << 3), of("", "", 1, 0));
    assert_eq!(copy(1 << 6), of("", "", 0, 2));
    assert_eq!(copy(1 << 9), of("", "qemu", 0, 0));
    assert_eq!(copy(u32::MAX), of("b=2", "qemu", 1, 2));
}

#[test]
fn counts_are_bounded() {
    let mut bytes = version1("a", "qemu");
    // As many modules as there are numbers, and a map as long as all addresses.
    bytes[20..24].fill(0xff);
    bytes[44..48].fill(0xff);
    bytes.resize(0x20_0000, 0);
    let memory = FakePlatform::new(AT, bytes);
    let boot = Loader::new(&memory, MAGIC1, AT).unwrap().copy();
    assert_eq!(boot.modules.len() as u64, MAX_MODULES);
    assert!(memory.reads.get() < 50_000, "{}", memory.reads.get());
}

#[test]
fn modules_in_wrong_places_are_refused() {
    let image = 0x20_0000..0x30_0000;
    let with = |modules: &[(u32, u32)]| {
        let mut tags = vec![map_tag(24, &MACHINE)];
        tags.extend(modules.iter().map(|&(start, end)| module(start, end, "")));
        read2(&tags).check(image.clone())
    };
    assert_eq!(
        with(&[(0x40_0000, 0x40_1001), (0x40_2000, 0x40_3000)]),
        Ok(())
    );
    assert_eq!(
        with(&[(0x40_2000, 0x40_3000), (0x40_0000, 0x40_2000)]),
        Ok(())
    );
    // The same frame, the image, no memory, across its end.
    assert!(with(&[(0x40_0000, 0x40_1001), (0x40_1800, 0x40_3000)]).is_err());
    assert!(with(&[(0x2f_ffff, 0x31_0000)]).is_err());
    assert!(with(&[(0x8000_0000, 0x8000_1000)]).is_err());
    assert!(with(&[(0x3fff_0000, 0x4000_0001)]).is_err());
    // One that ends before it begins is empty, and an empty one is nowhere.
    assert_eq!(with(&[(0x2f_ffff, 0x2f_0000)]), Ok(()));
    assert!(BootInfo::default().check(image.clone()).is_err());
}

#[test]
fn what_held_the_structure_is_left_over() {
    let tags = [map_tag(24, &MACHINE), module(0x40_0000, 0x40_1001, "")];
    let left = |at: u64| {
        let memory = FakePlatform::new(at, version2(&tags));
        let boot = Loader::new(&memory, MAGIC2, at).unwrap().copy();
        boot.left_over(0x20_0000..0x30_0000)
    };
    let (inside, behind) = (0x50_0800..0x50_1000, 0x50_0000..0x50_1000);
    assert_eq!(left(inside.start), [behind]);
    // In the module's last frame, below 1 MiB, in the image, in no memory.
    for at in [0x40_1800, 0x9000, 0x20_0000, 0xf_fff0_0000] {
        assert_eq!(left(at), []);
    }
}

#[test]
fn what_is_not_copied_yet_is_in_use() {
    let in_use = |magic: u32, bytes: Vec<u8>| {
        let memory = FakePlatform::new(AT, bytes);
        let loader = Loader::new(&memory, magic, AT).unwrap();
        let mut ranges = Vec::new();
        loader.in_use(&mut |range| ranges.push(range));
        move |address: u64| ranges.iter().any(|range| range.contains(&address))
    };
    let two = version2(&[map_tag(24, &MACHINE), module(0x40_0000, 0x40_1001, "")]);
    let end = AT + two.len() as u64;
    let used = in_use(MAGIC2, two);
    for address in [AT, end - 1, 0x40_0000, 0x40_1000] {
        assert!(used(address), "{address:#x}");
    }
    for address in [AT - 1, end, 0x3f_ffff, 0x40_1001] {
        assert!(!used(address), "{address:#x}");
    }
    let used = in_use(MAGIC1, version1("a b=2", "qemu"));
    // The structure, the line, the modules' list, the map, the name, the module.
    let parts = [
        0..68,
        0x100..0x105,
        0x180..0x190,
        0x200..0x230,
        0x300..0x304,
    ];
    let parts = parts.map(|part| AT + part.start..AT + part.end);
    for part in parts
        .into_iter()
        .chain(std::iter::once(0x40_0000..0x50_0000))
    {
        assert!(used(part.start) && used(part.end - 1), "{part:#x?}");
    }
    assert!(!used(AT - 1) && !used(AT + 68) && !used(0x50_0000));
}

#[test]
fn no_region_is_told_of_twice() {
    let mut map = Map::default();
    map.add(0x1000, 0x9000, 1);
    map.add(0x2000, 0x1000, 2);
    map.add(0x2800, 0x1000, 4);
    map.add(0x8000, 0x8000, 1);
    map.add(u64::MAX - 0xfff, u64::MAX, 0);
    map.add(0, 0, 2);
    let regions: Vec<_> = map.regions().collect();
    assert_eq!(
        regions,
        [
            region(0x1000, 0x2000, 1),
            region(0x2000, 0x2800, 2),
            region(0x2800, 0x3800, 4),
            region(0x3800, 0x1_0000, 1),
            region(u64::MAX - 0xfff, u64::MAX, 2),
        ]
    );
}

/// Whatever the loader leaves: an answer in bounded time that keeps the promises of its types.
pub fn any_structure(magic: u32, at: u64, bytes: Vec<u8>) {
    let memory = FakePlatform::new(at, bytes);
    let Some(loader) = Loader::new(&memory, magic, at) else {
        return;
    };
    let boot = loader.copy();
    let edges: Vec<_> = boot.memory.iter().flat_map(|r| [r.start, r.end]).collect();
    assert!(edges.is_sorted());
    assert!(boot.memory.iter().all(|r| r.start < r.end && r.kind != 0));
    assert!(boot.modules.iter().all(|m| m.range.start <= m.range.end));
    loader.in_use(&mut |range| assert!(range.start <= range.end || range.end == 0));
    let _ = (boot.check(0x20_0000..0x30_0000), boot.left_over(0..0));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(
        first in any::<bool>(),
        size in 0u32..600,
        tags in prop::collection::vec((0u32..18, prop::collection::vec(any::<u8>(), 0..60)), 0..8),
        damage in prop::collection::vec((0usize..600, any::<u8>()), 0..6),
    ) {
        let mut bytes = version2(&tags);
        if first {
            bytes = version1("a b", "qemu");
        }
        for (at, byte) in damage {
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        if size % 3 == 0 {
            bytes.truncate(size as usize);
        }
        any_structure(if first { MAGIC1 } else { MAGIC2 }, AT, bytes);
    }

    #[test]
    fn a_map_says_of_each_address_the_worst_that_was_said(
        entries in prop::collection::vec((0u64..40, 0u64..12, 0u32..5), 0..12),
    ) {
        let mut map = Map::default();
        for &(start, len, kind) in &entries {
            map.add(start, len, kind);
        }
        let regions: Vec<_> = map.regions().collect();
        for pair in regions.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start);
            prop_assert!(pair[0].end < pair[1].start || pair[0].kind != pair[1].kind);
        }
        for at in 0..60 {
            let said = entries.iter().filter(|(start, len, _)| (*start..start + len).contains(&at));
            let worst = said.map(|&(.., kind)| if kind == 0 { 2 } else { kind }).max();
            let found = regions.iter().find(|r| (r.start..r.end).contains(&at));
            prop_assert_eq!(found.map(|r| r.kind), worst);
        }
    }
}
