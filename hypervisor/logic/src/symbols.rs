// SPDX-License-Identifier: GPL-2.0

//! The symbol table for crash reports: kbuild makes it from the linked image and writes it into the image. It is read
//! while the hypervisor crashes, so without allocation, locks or panics.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 4 | how many functions there are |
//! | 8 each | a function's offset from the image's start and its name's offset in the names, in rising order |
//! | rest | the names, one after the other |
//!
//! Numbers have 32 bits and are little-endian; a name ends where the next one begins, the last one before a byte of 0.

use alloc::string::String;
use alloc::vec::Vec;

/// The first bytes of a table.
pub const MAGIC: [u8; 8] = *b"PVNsymb1";
/// Bytes before the functions.
const HEADER: usize = 12;
/// Bytes of a function's record.
const RECORD: usize = 8;
/// Most bytes of a name; the rest is cut off.
const MAX_NAME: usize = 120;

/// Makes a table of functions: offset from the image's start in bytes, and name.
pub fn encode(mut functions: Vec<(u32, String)>) -> Vec<u8> {
    // Functions with the same code may be merged: the first name in the alphabet is kept.
    functions.sort();
    functions.dedup_by_key(|(at, _)| *at);
    let mut table = MAGIC.to_vec();
    table.extend((functions.len() as u32).to_le_bytes());
    let mut names = String::new();
    for (at, name) in &functions {
        table.extend(at.to_le_bytes());
        table.extend((names.len() as u32).to_le_bytes());
        let fits = |end: &usize| *end <= MAX_NAME;
        let ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = ends.take_while(fits).last().unwrap_or(0);
        names.push_str(&name[..end]);
    }
    table.extend(names.bytes());
    table.push(0);
    table
}

/// A table in memory.
#[derive(Clone, Copy, Debug)]
pub struct SymbolTable<'t> {
    records: &'t [u8],
    names: &'t [u8],
}

impl<'t> SymbolTable<'t> {
    /// The table at the start of `bytes`; `None` if there is none, as in an image that kbuild has not processed.
    pub fn new(bytes: &'t [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let count = usize::try_from(word(rest, 0)?).ok()?;
        let records = rest.get(HEADER - MAGIC.len()..)?;
        let (records, names) = records.split_at_checked(count.checked_mul(RECORD)?)?;
        Some(Self { records, names })
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.records.len() / RECORD
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The function at an offset from the image's start: its name, and the offset in the function.
    pub fn find(&self, at: u32) -> Option<(&'t str, u32)> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if word(self.records, middle * RECORD)? <= at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let index = low.checked_sub(1)?;
        let start = word(self.records, index * RECORD)?;
        let name = |index: usize| word(self.records, index * RECORD + 4).map(|at| at as usize);
        let first = name(index)?;
        let rest = self.names.get(first..)?;
        let len = match name(index + 1) {
            Some(next) => next.checked_sub(first)?,
            None => rest.iter().position(|byte| *byte == 0)?,
        };
        let name = core::str::from_utf8(rest.get(..len)?).ok()?;
        Some((name, at - start))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(functions: &[(u32, &str)]) -> Vec<u8> {
        let owned = functions.iter().map(|(at, name)| (*at, (*name).into()));
        let mut table = encode(owned.collect());
        // What is left of the room that the image has for it.
        table.resize(table.len() + 100, 0);
        table
    }

    #[test]
    fn a_function_is_found_by_any_of_its_bytes() {
        let bytes = table(&[
            (0x40, "main"),
            (0x10, "start"),
            (0x40, "other"),
            (0x90, "x"),
        ]);
        let table = SymbolTable::new(&bytes).unwrap();
        assert_eq!((table.len(), table.is_empty()), (3, false));
        assert_eq!(table.find(0xf), None);
        assert_eq!(table.find(0x10), Some(("start", 0)));
        assert_eq!(table.find(0x3f), Some(("start", 0x2f)));
        assert_eq!(table.find(0x41), Some(("main", 1)));
        assert_eq!(table.find(u32::MAX), Some(("x", u32::MAX - 0x90)));
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let long = "ä".repeat(100);
        let bytes = table(&[(0, &long), (1, "next")]);
        let table = SymbolTable::new(&bytes).unwrap();
        assert_eq!(table.find(0), Some(("ä".repeat(MAX_NAME / 2).as_str(), 0)));
        assert_eq!(table.find(1), Some(("next", 0)));
    }

    #[test]
    fn what_is_no_table_is_none() {
        assert!(SymbolTable::new(&[0; 4096]).is_none());
        assert!(SymbolTable::new(&MAGIC).is_none());
        let bytes = table(&[]);
        let empty = SymbolTable::new(&bytes).unwrap();
        assert!(empty.is_empty() && empty.find(1).is_none());
    }

    proptest! {
        /// Damage is no reason to crash while a crash is reported.
        #[test]
        fn damaged_tables_are_read(
            changes in prop::collection::vec((8..100usize, any::<u8>()), 0..6),
            at in any::<u32>(),
        ) {
            let mut bytes = table(&[(1, "one"), (200, "two"), (70_000, "three")]);
            let len = bytes.len();
            for (at, value) in changes {
                bytes[at % len] = value;
            }
            if let Some(table) = SymbolTable::new(&bytes) {
                table.find(at);
            }
        }
    }
}
