// SPDX-License-Identifier: GPL-2.0

//! Variables of the running kernel, read through `/proc/kallsyms` and `/proc/kcore`.
//!
//! How many grants are free is something the kernel tells nobody, and a leak of one grant a hot-plug is
//! invisible in everything it does tell. A stock kernel has both files for root.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Bytes of an ELF64 file header and of a program header (System V ABI, "ELF-64 object file format").
const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// A program header of this type describes memory.
const PT_LOAD: u32 = 1;

/// Reads variables of type `int`; a name that is none is an error.
pub fn read(names: &[&str]) -> io::Result<Vec<(String, i32)>> {
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let core = File::open("/proc/kcore")?;
    let segments = segments(&core)?;
    names
        .iter()
        .map(|name| {
            let address = address(&symbols, name).ok_or_else(|| {
                let message = format!("the kernel has no variable {name}, or hides its address");
                io::Error::new(io::ErrorKind::NotFound, message)
            })?;
            let segment = segments.iter().find(|s| s.holds(address)).ok_or_else(|| {
                io::Error::other(format!("/proc/kcore does not show address {address:#x}"))
            })?;
            let mut value = [0; 4];
            core.read_exact_at(&mut value, segment.offset + (address - segment.address))?;
            Ok(((*name).to_owned(), i32::from_le_bytes(value)))
        })
        .collect()
}

/// The address of a symbol, from lines as `ffffffff840c5a3c b gnttab_free_count`.
fn address(symbols: &str, name: &str) -> Option<u64> {
    symbols.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        // Without privileges all addresses read as 0.
        (words.nth(1)? == name && address != 0).then_some(address)
    })
}

/// A range of kernel addresses and where it begins in the file.
struct Segment {
    address: u64,
    size: u64,
    offset: u64,
}

impl Segment {
    fn holds(&self, address: u64) -> bool {
        address
            .checked_sub(self.address)
            .is_some_and(|at| at < self.size)
    }
}

fn segments(core: &File) -> io::Result<Vec<Segment>> {
    let mut header = [0; FILE_HEADER];
    (&mut &*core).read_exact(&mut header)?;
    let start = word(&header, 32);
    let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
    let mut table = vec![0; count * PROGRAM_HEADER];
    core.read_exact_at(&mut table, start)?;
    Ok(table
        .chunks_exact(PROGRAM_HEADER)
        .filter_map(segment)
        .collect())
}

fn segment(header: &[u8]) -> Option<Segment> {
    let kind = header
        .first_chunk()
        .map(|bytes| u32::from_le_bytes(*bytes))?;
    let (offset, address, size) = (word(header, 8), word(header, 16), word(header, 40));
    (kind == PT_LOAD).then_some(Segment {
        address,
        size,
        offset,
    })
}

/// The little-endian number at an offset.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_found_by_their_whole_name() {
        let symbols = "ffffffff840c59f8 b deferred_count\nffffffff840c5a3c b gnttab_free_count\n\
                       ffffffffc0000000 t x_count\t[module]\n0000000000000000 b hidden\n";
        assert_eq!(
            address(symbols, "gnttab_free_count"),
            Some(0xffff_ffff_840c_5a3c)
        );
        assert_eq!(address(symbols, "x_count"), Some(0xffff_ffff_c000_0000));
        assert_eq!(address(symbols, "count"), None);
        assert_eq!(address(symbols, "hidden"), None);
    }

    #[test]
    fn program_headers_are_read() {
        let mut header = [0; PROGRAM_HEADER];
        header[0] = 1;
        header[8..16].copy_from_slice(&0x3000u64.to_le_bytes());
        header[16..24].copy_from_slice(&0xffff_ffff_8100_0000u64.to_le_bytes());
        header[40..48].copy_from_slice(&0x1000u64.to_le_bytes());
        let found = segment(&header).unwrap();
        assert_eq!(found.offset, 0x3000);
        assert!(found.holds(0xffff_ffff_8100_0fff) && !found.holds(0xffff_ffff_8100_1000));
        header[0] = 4;
        assert!(segment(&header).is_none());
    }
}
