// SPDX-License-Identifier: GPL-2.0

//! A writer that keeps the books on what was acknowledged.
//!
//! Each of [`WRITERS`] threads owns some blocks of a device and writes them round and round, one write at a
//! time, past the page cache. A block holds its own number and a sequence number that grows with every
//! write. So after whatever happened meanwhile, a restore or a back end that died, each block must hold a
//! number no older than the last one that was acknowledged and no newer than the last one that was
//! submitted: an older number is an acknowledged write that was lost, or an old write that was carried out
//! again after a newer one; anything else is a block that was torn or went elsewhere.
//!
//! fio's verification cannot tell this: it rewrites a block and then expects its newest content, but does not
//! notice a device that returns errors for a while and then goes on.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Threads, and so writes in flight.
pub const WRITERS: usize = 24;

/// Blocks of each thread.
const BLOCKS_EACH: usize = 16;

/// Bytes of a block.
const BLOCK: usize = 4096;

/// Marks a block as one of ours, "PVLEDGER".
const MAGIC: u64 = u64::from_le_bytes(*b"PVLEDGER");

/// After a failed write a thread waits this long, so as not to fill the log.
const PAUSE: Duration = Duration::from_millis(20);

/// Memory that a device can be read into and written from directly.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

impl Block {
    fn new() -> Box<Self> {
        Box::new(Self([0; BLOCK]))
    }

    /// Fills all of it, so that a part of another block would be noticed.
    fn fill(&mut self, number: u64, sequence: u64) {
        for (index, words) in self.0.chunks_exact_mut(32).enumerate() {
            let tag = MAGIC ^ index as u64;
            for (word, value) in words
                .chunks_exact_mut(8)
                .zip([tag, number, sequence, !sequence])
            {
                word.copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    /// The sequence number of a whole block in its own place; 0 for a block that was never written.
    fn sequence(&self, number: u64) -> Option<u64> {
        if self.0.iter().all(|byte| *byte == 0) {
            return Some(0);
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.0[16..24]);
        let sequence = u64::from_le_bytes(word);
        let mut expected = Self::new();
        expected.fill(number, sequence);
        (expected.0 == self.0).then_some(sequence)
    }
}

/// What is known about a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct BlockRecord {
    /// The newest number whose write succeeded.
    acknowledged: u64,
    /// The newest number whose write was begun.
    submitted: u64,
}

/// How the books compare with the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that failed.
    pub failed: u64,
    /// Blocks older than what was acknowledged.
    pub lost: u64,
    /// Blocks that are none that was ever written there.
    pub torn: u64,
    /// Blocks that could not be read.
    pub unreadable: u64,
    /// The longest time a write took, in milliseconds.
    pub longest_ms: u64,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            failed,
            lost,
            torn,
            unreadable,
            longest_ms,
        } = self;
        writeln!(
            f,
            "acknowledged {acknowledged}\nfailed {failed}\nlost {lost}\ntorn {torn}"
        )?;
        writeln!(f, "unreadable {unreadable}\nlongest_ms {longest_ms}")
    }
}

fn open(device: &Path, write: bool) -> io::Result<File> {
    // O_DIRECT: neither a write that the cache took nor a read that the cache gave says anything.
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap_or_default();
    OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(direct)
        .open(device)
}

/// One block of each thread, as neighbours on the device.
#[repr(align(4096))]
struct Neighbours([u8; WRITERS * BLOCK]);

/// Removes what an earlier run has left: its sequence numbers began at 1 too, so a block that this run does not
/// reach in time would look like one from the future.
fn clear(file: &File) -> io::Result<()> {
    let row = Box::new(Neighbours([0; WRITERS * BLOCK]));
    (0..BLOCKS_EACH)
        .try_for_each(|index| file.write_all_at(&row.0, number(0, index) * BLOCK as u64))
}

/// Writes for some seconds, then compares, and leaves the books in `table` for [`check`].
pub fn write(device: &Path, seconds: u64, table: &Path) -> io::Result<Comparison> {
    let file = open(device, true)?;
    clear(&file)?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut outcome = Comparison::default();
    let mut books = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let file = &file;
                    move || one_writer(file, writer, end)
                })
            })
            .collect();
        for thread in threads {
            let (entries, part) = thread
                .join()
                .map_err(|_| io::Error::other("a writer panicked"))?;
            books.extend(entries);
            outcome.acknowledged += part.acknowledged;
            outcome.failed += part.failed;
            outcome.longest_ms = outcome.longest_ms.max(part.longest_ms);
        }
        io::Result::Ok(())
    })?;
    let lines: Vec<_> = books
        .iter()
        .map(|entry| format!("{} {}\n", entry.acknowledged, entry.submitted))
        .collect();
    fs::write(table, lines.concat())?;
    let seen = compare(&file, &books);
    Ok(Comparison {
        lost: seen.lost,
        torn: seen.torn,
        unreadable: seen.unreadable,
        ..outcome
    })
}

/// Compares a device, or the file behind it, with books that [`write()`] left.
pub fn check(device: &Path, table: &Path) -> io::Result<Comparison> {
    let books = fs::read_to_string(table)?
        .lines()
        .map(|line| {
            let (acknowledged, submitted) = line.split_once(' ')?;
            Some(BlockRecord {
                acknowledged: acknowledged.parse().ok()?,
                submitted: submitted.parse().ok()?,
            })
        })
        .collect::<Option<Vec<_>>>()
        .filter(|books| books.len() == WRITERS * BLOCKS_EACH)
        .ok_or_else(|| io::Error::other(format!("{} holds no books", table.display())))?;
    Ok(compare(&open(device, false)?, &books))
}

fn one_writer(file: &File, writer: usize, end: Instant) -> (Vec<BlockRecord>, Comparison) {
    let mut entries = vec![BlockRecord::default(); BLOCKS_EACH];
    let mut outcome = Comparison::default();
    let mut block = Block::new();
    let mut sequence = 0;
    'all: loop {
        sequence += 1;
        for (index, entry) in entries.iter_mut().enumerate() {
            if Instant::now() > end {
                break 'all;
            }
            let number = number(writer, index);
            block.fill(number, sequence);
            entry.submitted = sequence;
            let started = Instant::now();
            let written = file.write_all_at(&block.0, number * BLOCK as u64);
            let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            outcome.longest_ms = outcome.longest_ms.max(took);
            match written {
                Ok(()) => {
                    entry.acknowledged = sequence;
                    outcome.acknowledged += 1;
                }
                Err(_) => {
                    outcome.failed += 1;
                    thread::sleep(PAUSE);
                }
            }
        }
    }
    (entries, outcome)
}

/// Where a writer's block is. Neighbours on the device belong to different writers, so that writes which
/// were merged or ended up in a neighbour's place are noticed.
fn number(writer: usize, index: usize) -> u64 {
    (index * WRITERS + writer) as u64
}

fn compare(file: &File, books: &[BlockRecord]) -> Comparison {
    let mut outcome = Comparison::default();
    let mut block = Block::new();
    for (place, entry) in books.iter().enumerate() {
        let number = number(place / BLOCKS_EACH, place % BLOCKS_EACH);
        if file
            .read_exact_at(&mut block.0, number * BLOCK as u64)
            .is_err()
        {
            outcome.unreadable += 1;
            continue;
        }
        match block.sequence(number) {
            Some(sequence) if sequence < entry.acknowledged => outcome.lost += 1,
            Some(sequence) if sequence <= entry.submitted => {}
            _ => outcome.torn += 1,
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_their_place_and_number() {
        let mut block = Block::new();
        assert_eq!(block.sequence(7), Some(0));
        block.fill(7, 9);
        assert_eq!(block.sequence(7), Some(9));
        assert_eq!(block.sequence(8), None);
        block.0[4000] ^= 1;
        assert_eq!(block.sequence(7), None);
    }

    #[test]
    fn older_blocks_are_lost_and_others_torn() {
        let path = std::env::temp_dir().join(format!("ledger-{}", std::process::id()));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        file.set_len((WRITERS * BLOCKS_EACH * BLOCK) as u64)
            .unwrap();
        let mut books = vec![BlockRecord::default(); WRITERS * BLOCKS_EACH];
        let put = |place: usize, sequence: u64| {
            let number = number(place / BLOCKS_EACH, place % BLOCKS_EACH);
            let mut block = Block::new();
            block.fill(number, sequence);
            file.write_all_at(&block.0, number * BLOCK as u64).unwrap();
        };
        for (place, sequence) in [(0, 4), (20, 5), (40, 6), (60, 3), (80, 7)] {
            put(place, sequence);
            books[place] = BlockRecord {
                acknowledged: 4,
                submitted: 6,
            };
        }
        // The block at 60 is too old, the one at 80 too new, and the one at 100 was never written.
        books[100] = BlockRecord {
            acknowledged: 1,
            submitted: 1,
        };
        let outcome = compare(&file, &books);
        assert_eq!((outcome.lost, outcome.torn, outcome.unreadable), (2, 1, 0));
        clear(&file).unwrap();
        books.fill(BlockRecord::default());
        assert_eq!(compare(&file, &books), Comparison::default());
        fs::remove_file(path).unwrap();
    }
}
