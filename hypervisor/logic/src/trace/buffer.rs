// SPDX-License-Identifier: GPL-2.0

//! A processor's ring of records: one processor writes, and whoever has a copy of the memory reads.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::record::{RECORD_BYTES, TraceRecord, WORDS, decode, encode};

/// The words of a record in the order in which they are written: its last word first and its first word last. Memory is
/// copied from its start on, so a copy in which both have the same sequence number has no word of another record between.
const ORDER: [usize; WORDS] = [3, 1, 2, 0];

/// The ring of a processor.
#[derive(Debug)]
pub struct TraceBuffer<'m> {
    words: &'m [AtomicU64],
    /// How many records were written, modulo 2^32.
    written: AtomicU32,
}

impl<'m> TraceBuffer<'m> {
    /// A ring in memory that is zero, of as many records as are a power of two and fit. `None` if none fits.
    pub fn new(memory: &'m [AtomicU64]) -> Option<Self> {
        let records = (memory.len() / WORDS).checked_ilog2()?;
        let words = memory.get(..WORDS << records)?;
        Some(Self {
            words,
            written: AtomicU32::new(0),
        })
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Writes a record over the oldest one. Only one processor writes, and does not begin another record meanwhile.
    pub fn push(&self, record: &TraceRecord) {
        let sequence = self.written.load(Ordering::Relaxed);
        self.written
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        let words = encode(sequence, record);
        // A power of two of records, so that it follows from the sequence number where one is.
        let records = self.words.len() / WORDS;
        let start = (sequence as usize & (records - 1)) * WORDS;
        for index in ORDER {
            // Nobody sees it before what was stored until now.
            self.words[start + index].store(words[index], Ordering::Release);
        }
    }
}

/// What a copy of a ring has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceRecords {
    /// The records, the oldest first.
    pub records: Vec<TraceRecord>,
    /// How many older ones were overwritten, modulo 2^32.
    pub overwritten: u32,
    /// How many could not be read, since they were being written.
    pub torn: usize,
}

impl TraceRecords {
    /// Reads the copy of a ring. What is wrong in it is left out.
    pub fn read(ring: &[u8]) -> Self {
        let slots = ring.len() / RECORD_BYTES;
        let mut found = Vec::new();
        let mut torn = 0;
        for (slot, bytes) in ring.chunks_exact(RECORD_BYTES).enumerate() {
            let mut words = [0; WORDS];
            for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            }
            match decode(words) {
                Some((sequence, record)) if sequence as usize % slots == slot => {
                    found.push((sequence, record));
                }
                None if words == [0; WORDS] => {}
                _ => torn += 1,
            }
        }
        // The numbers are less than a ring apart from each other, also where they begin anew.
        let any = found.first().map_or(0, |(sequence, _)| *sequence);
        found.sort_by_key(|(sequence, _)| sequence.wrapping_sub(any) as i32);
        let overwritten = found.first().map_or(0, |(sequence, _)| *sequence);
        Self {
            records: found.into_iter().map(|(_, record)| record).collect(),
            overwritten,
            torn,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::TraceEvent;
    use super::super::record::tests::any_event;
    use super::*;

    fn memory(words: usize) -> Vec<AtomicU64> {
        (0..words).map(|_| AtomicU64::new(0)).collect()
    }

    fn copy(memory: &[AtomicU64]) -> Vec<u8> {
        let words = memory.iter().map(|word| word.load(Ordering::Relaxed));
        words.flat_map(u64::to_le_bytes).collect()
    }

    fn numbered(tsc: u64) -> TraceRecord {
        let event = TraceEvent::HypercallBegin { number: tsc as u32 };
        TraceRecord { tsc, event }
    }

    #[test]
    fn a_ring_has_a_power_of_two_of_records() {
        for (words, bytes) in [(4, 32), (7, 32), (8, 64), (31, 128), (32, 256)] {
            let memory = memory(words);
            assert_eq!(TraceBuffer::new(&memory).unwrap().bytes(), bytes, "{words}");
        }
        assert!(TraceBuffer::new(&memory(3)).is_none());
    }

    proptest! {
        #[test]
        fn the_last_records_are_there_in_their_order(
            events in prop::collection::vec(any_event(), 0..40),
            begin in prop_oneof![Just(0), (u32::MAX - 30)..=u32::MAX, any::<u32>()],
        ) {
            let memory = memory(8 * WORDS);
            let buffer = TraceBuffer::new(&memory).unwrap();
            buffer.written.store(begin, Ordering::Relaxed);
            let records = events.into_iter().zip(0..);
            let records: Vec<_> = records.map(|(event, tsc)| TraceRecord { tsc, event }).collect();
            records.iter().for_each(|record| buffer.push(record));
            let read = TraceRecords::read(&copy(&memory));
            let left_out = records.len().saturating_sub(8);
            prop_assert_eq!(read.torn, 0);
            prop_assert_eq!(&read.records, &records[left_out..]);
            if !records.is_empty() {
                prop_assert_eq!(read.overwritten, begin.wrapping_add(left_out as u32));
            }
        }

        #[test]
        fn any_memory_is_read(ring in prop::collection::vec(any::<u8>(), 0..300)) {
            TraceRecords::read(&ring);
        }
    }

    /// All ways in which a copy of a slot can be made while two records are written over a third.
    #[test]
    fn a_torn_record_is_none() {
        let records = [numbered(10), numbered(11), numbered(12)];
        let words: Vec<_> = records.iter().zip([0, 1, 2]).collect();
        let words: Vec<_> = words
            .iter()
            .map(|(record, at)| encode(*at, record))
            .collect();
        // The times at which the words 0 to 3 are read, as counts of the stores before.
        let times = 0..=2 * WORDS;
        let (mut whole, mut torn) = ([false; 3], 0);
        for first in times.clone() {
            for second in first..=2 * WORDS {
                for third in second..=2 * WORDS {
                    for fourth in third..=2 * WORDS {
                        let mut copied = [0; WORDS];
                        for (index, at) in [first, second, third, fourth].into_iter().enumerate() {
                            let place = ORDER.iter().position(|word| *word == index).unwrap();
                            let stores = usize::from(at > place) + usize::from(at > place + WORDS);
                            copied[index] = words[stores][index];
                        }
                        match decode(copied) {
                            None => torn += 1,
                            Some((sequence, record)) => {
                                assert_eq!(record, records[sequence as usize]);
                                whole[sequence as usize] = true;
                            }
                        }
                    }
                }
            }
        }
        assert!(whole == [true; 3] && torn > 100, "{whole:?}, {torn}");
    }

    #[test]
    fn a_record_that_is_being_written_costs_only_itself() {
        let memory = memory(4 * WORDS);
        let buffer = TraceBuffer::new(&memory).unwrap();
        (0..6).for_each(|tsc| buffer.push(&numbered(tsc)));
        // The seventh, in the third slot, has its last word only.
        memory[2 * WORDS + 3].store(encode(6, &numbered(6))[3], Ordering::Relaxed);
        let read = TraceRecords::read(&copy(&memory));
        let times: Vec<_> = read.records.iter().map(|record| record.tsc).collect();
        assert_eq!((times, read.torn, read.overwritten), (vec![3, 4, 5], 1, 3));
    }
}
