// SPDX-License-Identifier: GPL-2.0

//! Data that the kernel does not copy together: each piece stays in a page of its own, which becomes a fragment of
//! the packet that the driver gets.
//!
//! A pipe in packet mode keeps every write in a page of its own, and `splice` hands the pages themselves to a socket
//! whose device can gather them. The headers come in front, in memory of their own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes of a page, which no piece exceeds.
pub const PAGE: u32 = 4096;

/// Pieces that one call of `splice` hands to a socket together (`splice_to_socket` in the kernel). More come as a
/// continuation, of which the kernel computes UDP's checksum wrongly.
pub const TOGETHER: u32 = 16;

/// The way from memory to pages to a socket.
pub struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl Pipe {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let (out, into) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC)?;
        fcntl_setpipe_size(&into, (2 * TOGETHER * PAGE) as usize)?;
        Ok(Self { out, into })
    }

    /// Sends `data` cut into pieces of these sizes, which must be as much in all.
    pub fn send(&self, socket: impl AsFd, data: &[u8], sizes: &[u32]) -> io::Result<()> {
        let mut rest = data;
        for size in sizes {
            let (piece, after) = rest.split_at(*size as usize);
            rest = after;
            if rustix::io::write(&self.into, piece)? != piece.len() {
                return Err(io::Error::other("the pipe took a part of a piece"));
            }
        }
        let mut left = data.len();
        while left > 0 {
            let flags = SpliceFlags::empty();
            left -= match splice(&self.out, None, &socket, None, left, flags) {
                Err(rustix::io::Errno::INTR) => 0,
                moved => moved?,
            };
        }
        Ok(())
    }
}

/// Sizes of pieces, different in each round: tiny ones, whole pages, and what is between. The first has at least
/// `first` bytes, all together have at most `largest`.
pub fn sizes(pieces: u32, round: u32, first: u32, largest: u32) -> Vec<u32> {
    let most = (largest / pieces).min(PAGE);
    (0..pieces)
        .map(|piece| {
            let least = if piece == 0 { first } else { 1 };
            let wanted = match (piece + round) % 4 {
                0 => PAGE,
                1 => 1 + round % 64,
                2 => 512 + (round * 97 + piece * 31) % 2048,
                _ => PAGE - 1 - round % 16,
            };
            wanted.clamp(least, most.max(least))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_pages_and_the_whole_fits() {
        for pieces in 1..=TOGETHER {
            for round in 0..50 {
                let sizes = sizes(pieces, round, 12, 65_000);
                assert_eq!(sizes.len() as u32, pieces);
                assert!(sizes.iter().all(|size| (1..=PAGE).contains(size)));
                assert!(sizes[0] >= 12 && sizes.iter().sum::<u32>() <= 65_000);
            }
        }
        // Both the smallest and the largest piece come up.
        let all: Vec<u32> = (0..4)
            .flat_map(|round| sizes(15, round, 12, 65_000))
            .collect();
        assert!(all.contains(&PAGE) && all.contains(&1));
    }
}
