// SPDX-License-Identifier: GPL-2.0

//! What boot loaders tell: whatever the bytes, an answer in bounded time, with a memory map that says nothing twice and
//! modules that lie where they are said to.

use std::cell::Cell;

use paravane::multiboot::{Loader, Memory, MAGIC1, MAGIC2};

use crate::bytes::Bytes;

/// Where the structures begin.
const AT: u64 = 0x1000;

/// More reads than this are no bounded time: the longest texts of the most modules, and some.
const MAX_READS: u64 = 1 << 20;

/// Memory that has nothing before or behind some bytes.
struct Written {
    bytes: Vec<u8>,
    reads: Cell<u64>,
}

impl Memory for &Written {
    fn read(&self, address: u64, to: &mut [u8]) -> bool {
        self.reads.set(self.reads.get() + 1);
        assert!(self.reads.get() < MAX_READS, "the time is not bounded");
        let part = address.checked_sub(AT).and_then(|at| {
            let at = usize::try_from(at).ok()?;
            self.bytes.get(at..at.checked_add(to.len())?)
        });
        part.inspect(|part| to.copy_from_slice(part)).is_some()
    }
}

/// Structures of either version, of tags whose lengths are mostly right, or of any bytes.
pub fn multiboot(input: &[u8]) {
    let mut input = Bytes::new(input);
    let magic = [MAGIC1, MAGIC2][input.below(2)];
    let mut bytes = vec![0; 8];
    if magic == MAGIC2 {
        for _ in 0..input.below(12) {
            let kind = input.below(18) as u32;
            let content = input.below(48);
            let content = input.take(content);
            // Now and then it is said to be of another length.
            let change = if input.below(8) == 0 {
                u32::from(input.byte())
            } else {
                0
            };
            bytes.extend(kind.to_le_bytes());
            bytes.extend(
                (content.len() as u32 + 8)
                    .wrapping_sub(change)
                    .to_le_bytes(),
            );
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let size = bytes.len() as u32 + input.below(24) as u32;
        bytes[..4].copy_from_slice(&size.to_le_bytes());
    } else {
        bytes[..2].copy_from_slice(&input.u16().to_le_bytes());
    }
    bytes.extend(input.take(usize::MAX));
    let memory = Written {
        bytes,
        reads: Cell::new(0),
    };
    let Some(loader) = Loader::new(&memory, magic, AT) else {
        return;
    };
    let boot = loader.copy();
    let mut last = 0;
    for region in &boot.memory {
        assert!(last <= region.start && region.start < region.end);
        last = region.end;
    }
    assert!(boot
        .modules
        .iter()
        .all(|one| one.range.start <= one.range.end));
    let image = 0x20_0000..0x30_0000;
    for range in boot.left_over(image.clone()) {
        assert!(range.start >= 1 << 20 && range.start < range.end);
        assert!(range.end <= image.start || image.end <= range.start);
    }
    if boot.check(image.clone()).is_ok() {
        let modules = boot.modules.iter().map(|one| &one.range);
        assert!(modules
            .filter(|range| !range.is_empty())
            .all(|range| range.end <= image.start || image.end <= range.start));
    }
}
