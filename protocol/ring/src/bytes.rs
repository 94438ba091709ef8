// SPDX-License-Identifier: GPL-2.0

//! A ring of bytes in shared memory: one side writes, the other reads. Console and xenstore have one
//! for each direction.
//!
//! Its two indices count bytes modulo 2³². Each side keeps its own as a private copy, and validates
//! the other's when it reads it. There is no event index: whoever has moved bytes notifies the peer.

use crate::{Corrupt, RingMem, TooSmall};

/// Bytes of a word, in which the memory is accessed.
const WORD: usize = size_of::<u32>();

/// Where a ring of bytes lies in shared memory. All offsets are multiples of four.
#[derive(Clone, Copy, Debug)]
pub struct ByteRingAt {
    /// Offset of the bytes.
    pub bytes: usize,
    /// Number of bytes, a power of two from 4 on.
    pub size: u32,
    /// Offset of the index of what was written.
    pub prod: usize,
    /// Offset of the index of what was read.
    pub cons: usize,
}

impl ByteRingAt {
    /// Checks that the ring lies in the memory.
    #[inline]
    const fn check(&self, mem_size: usize) -> Result<(), TooSmall> {
        let is_size = self.size.is_power_of_two() && self.size as usize >= WORD;
        if is_size
            && fits_in(self.bytes, self.size as usize, mem_size)
            && fits_in(self.prod, WORD, mem_size)
            && fits_in(self.cons, WORD, mem_size)
        {
            Ok(())
        } else {
            Err(TooSmall)
        }
    }

    /// How many bytes were written and not read.
    #[inline]
    fn pending(&self, prod: u32, cons: u32) -> Result<u32, Corrupt> {
        let pending = prod.wrapping_sub(cons);
        if pending <= self.size {
            Ok(pending)
        } else {
            Err(Corrupt::ByteIndex { prod, cons })
        }
    }

    /// The longest piece from a free-running index that lies in one word: the word's offset, the
    /// first byte in it, and how many bytes.
    #[inline]
    fn piece(&self, index: u32, len: usize) -> (usize, usize, usize) {
        let place = (index & self.size.wrapping_sub(1)) as usize;
        let first = place % WORD;
        let offset = self.bytes.wrapping_add(place.wrapping_sub(first));
        (offset, first, len.min(WORD.wrapping_sub(first)))
    }
}

#[inline]
const fn fits_in(offset: usize, len: usize, mem_size: usize) -> bool {
    offset % WORD == 0 && len <= mem_size && offset <= mem_size - len
}

/// The side that writes.
#[derive(Debug)]
pub struct ByteWriter<M> {
    mem: M,
    at: ByteRingAt,
    prod: u32,
    corrupt: Option<Corrupt>,
}

impl<M: RingMem> ByteWriter<M> {
    /// Continues where the ring's producer index says that writing has stopped.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] if the ring does not lie in the memory.
    pub fn attach(mem: M, at: ByteRingAt) -> Result<Self, TooSmall> {
        at.check(mem.size())?;
        let prod = mem.load_relaxed(at.prod);
        Ok(Self {
            mem,
            at,
            prod,
            corrupt: None,
        })
    }

    /// How many bytes the reader has not read yet.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the reader's index is beyond what was written. It stays so.
    pub fn unread(&mut self) -> Result<u32, Corrupt> {
        if let Some(corrupt) = self.corrupt {
            return Err(corrupt);
        }
        // An acquire: bytes are not overwritten before the reader is seen to have read them.
        let cons = self.mem.load_acquire(self.at.cons);
        self.at
            .pending(self.prod, cons)
            .inspect_err(|corrupt| self.corrupt = Some(*corrupt))
    }

    /// Writes as many of the bytes as there is room for, and returns how many. If it is more than
    /// none, the reader has to be notified.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the reader's index is beyond what was written. It stays so.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        let room = self.at.size.wrapping_sub(self.unread()?) as usize;
        let bytes = bytes.get(..room).unwrap_or(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (offset, first, len) = self.at.piece(self.prod, rest.len());
            let Some((piece, behind)) = rest.split_at_checked(len) else {
                break;
            };
            // The other bytes of the word are this side's too, and written as they are.
            let mut word = match len {
                WORD => [0; WORD],
                _ => self.mem.load_relaxed(offset).to_ne_bytes(),
            };
            for (to, from) in word.iter_mut().skip(first).zip(piece) {
                *to = *from;
            }
            self.mem.store_relaxed(offset, u32::from_ne_bytes(word));
            self.prod = self.prod.wrapping_add(len as u32);
            rest = behind;
        }
        if !bytes.is_empty() {
            self.mem.store_release(self.at.prod, self.prod);
        }
        Ok(bytes.len())
    }
}

/// The side that reads.
#[derive(Debug)]
pub struct ByteReader<M> {
    mem: M,
    at: ByteRingAt,
    cons: u32,
    corrupt: Option<Corrupt>,
}

impl<M: RingMem> ByteReader<M> {
    /// Continues where the ring's consumer index says that reading has stopped.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] if the ring does not lie in the memory.
    pub fn attach(mem: M, at: ByteRingAt) -> Result<Self, TooSmall> {
        at.check(mem.size())?;
        let cons = mem.load_relaxed(at.cons);
        Ok(Self {
            mem,
            at,
            cons,
            corrupt: None,
        })
    }

    /// How many bytes there are to read.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the writer's index is further ahead than the ring is long. It stays so.
    pub fn unread(&mut self) -> Result<u32, Corrupt> {
        if let Some(corrupt) = self.corrupt {
            return Err(corrupt);
        }
        let prod = self.mem.load_acquire(self.at.prod);
        self.at
            .pending(prod, self.cons)
            .inspect_err(|corrupt| self.corrupt = Some(*corrupt))
    }

    /// Reads bytes into `to` and returns how many. If it is more than none, the writer has to be
    /// notified: it may wait for room.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the writer's index is further ahead than the ring is long. It stays so.
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Corrupt> {
        let count = to.len().min(self.unread()? as usize);
        let (mut to, _) = to.split_at_mut(count);
        while !to.is_empty() {
            let (offset, first, len) = self.at.piece(self.cons, to.len());
            let word = self.mem.load_relaxed(offset).to_ne_bytes();
            let Some((piece, behind)) = to.split_at_mut_checked(len) else {
                break;
            };
            for (to, from) in piece.iter_mut().zip(word.iter().skip(first)) {
                *to = *from;
            }
            self.cons = self.cons.wrapping_add(len as u32);
            to = behind;
        }
        if count > 0 {
            self.mem.store_release(self.at.cons, self.cons);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeapMem;

    const AT: ByteRingAt = ByteRingAt {
        bytes: 0,
        size: 8,
        prod: 8,
        cons: 12,
    };

    #[test]
    fn bytes_come_out_as_they_went_in_wherever_the_indices_are() {
        for start in [0, 1, 3, 6, u32::MAX - 2, u32::MAX] {
            for len in 0..=8 {
                let mem = HeapMem::new(16);
                mem.store_relaxed(AT.prod, start);
                mem.store_relaxed(AT.cons, start);
                let mut writer = ByteWriter::attach(mem.clone(), AT).expect("room");
                let mut reader = ByteReader::attach(mem, AT).expect("room");
                let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
                assert_eq!(writer.write(&bytes[..len]), Ok(len));
                assert_eq!(writer.unread(), Ok(len as u32));
                assert_eq!(writer.write(&bytes[len..]), Ok(8 - len));
                let mut got = [0; 10];
                assert_eq!(reader.read(&mut got[..3]), Ok(3));
                assert_eq!(reader.read(&mut got[3..]), Ok(5));
                assert_eq!(got[..8], bytes[..8]);
                assert_eq!((reader.unread(), reader.read(&mut got)), (Ok(0), Ok(0)));
            }
        }
    }

    #[test]
    fn an_index_beyond_the_ring_is_found_and_stays_so() {
        let mem = HeapMem::new(16);
        let mut writer = ByteWriter::attach(mem.clone(), AT).expect("room");
        let mut reader = ByteReader::attach(mem.clone(), AT).expect("room");
        mem.store_relaxed(AT.cons, 1);
        let corrupt = Corrupt::ByteIndex { prod: 0, cons: 1 };
        assert_eq!(writer.write(b"a"), Err(corrupt));
        mem.store_relaxed(AT.cons, 0);
        assert_eq!(
            (writer.write(b"a"), writer.unread()),
            (Err(corrupt), Err(corrupt))
        );
        mem.store_relaxed(AT.prod, 9);
        let corrupt = Corrupt::ByteIndex { prod: 9, cons: 0 };
        assert_eq!(reader.read(&mut [0]), Err(corrupt));
        mem.store_relaxed(AT.prod, 8);
        assert_eq!(
            (reader.read(&mut [0]), reader.unread()),
            (Err(corrupt), Err(corrupt))
        );
        let mut reader = ByteReader::attach(mem, AT).expect("room");
        assert_eq!(reader.unread(), Ok(8), "a full ring is in order");
    }

    #[test]
    fn a_ring_that_does_not_lie_in_the_memory_is_refused() {
        for at in [
            ByteRingAt { size: 0, ..AT },
            ByteRingAt { size: 2, ..AT },
            ByteRingAt { size: 12, ..AT },
            ByteRingAt { size: 32, ..AT },
            ByteRingAt { bytes: 2, ..AT },
            ByteRingAt { bytes: 12, ..AT },
            ByteRingAt { prod: 16, ..AT },
            ByteRingAt {
                cons: usize::MAX - 3,
                ..AT
            },
            ByteRingAt { cons: 13, ..AT },
        ] {
            assert!(ByteWriter::attach(HeapMem::new(16), at).is_err(), "{at:?}");
            assert!(ByteReader::attach(HeapMem::new(16), at).is_err(), "{at:?}");
        }
    }
}
