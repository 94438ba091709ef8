// SPDX-License-Identifier: GPL-2.0

//! How a packet's data get to the backend.

use super::super::ETH_HLEN;
use super::MAX_PIECES;
use xen_abi::io::netif::MAX_TX_SIZE;
use xen_abi::PAGE_SIZE;

/// How a packet's data get to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// The packet's own pages are granted.
    Lend,
    /// The data are copied to pages of their own.
    Copy,
    /// Not at all: the packet is of no use to the backend.
    Drop,
}

/// A packet of the network stack: where its data lie.
#[derive(Clone, Copy, Debug)]
pub struct PacketLayout {
    /// Its length in bytes.
    pub len: u32,
    /// Pages that it has data in.
    pub pages: u32,
    /// Bytes of it in the first of them.
    pub first_len: u32,
}

impl PacketLayout {
    /// How the packet is transferred to a backend that takes packets in several pieces only if
    /// `scatter_gather`, and may see whole pages only if `trusted`.
    ///
    /// A packet is copied if the backend could not take it as it lies: it looks for the Ethernet
    /// header in the first piece only, and takes no more than [`MAX_PIECES`]. A short packet may
    /// lie across the boundary of two pages, though the network stack was told that packets must
    /// not be in pieces: the slab caches for heads of packets span pages.
    #[inline]
    pub fn transfer(&self, scatter_gather: bool, trusted: bool) -> Transfer {
        let max_len = if scatter_gather {
            MAX_TX_SIZE
        } else {
            PAGE_SIZE as u32
        };
        if self.len > max_len {
            return Transfer::Drop;
        }
        let max_pages = if scatter_gather { MAX_PIECES as u32 } else { 1 };
        if trusted && self.pages <= max_pages && self.first_len as usize >= ETH_HLEN {
            Transfer::Lend
        } else {
            Transfer::Copy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(len: u32, pages: u32, scatter_gather: bool) -> Transfer {
        let layout = PacketLayout {
            len,
            pages,
            first_len: len.min(100),
        };
        layout.transfer(scatter_gather, true)
    }

    #[test]
    fn a_short_packet_across_a_page_boundary_is_copied_without_scatter_gather() {
        assert_eq!(transfer(200, 2, false), Transfer::Copy);
        assert_eq!(transfer(200, 2, true), Transfer::Lend);
        assert_eq!(transfer(200, 1, false), Transfer::Lend);
        assert_eq!(transfer(4096, 2, false), Transfer::Copy);
    }

    #[test]
    fn what_needs_several_pieces_is_dropped_without_scatter_gather() {
        assert_eq!(transfer(4097, 2, false), Transfer::Drop);
        assert_eq!(transfer(4097, 2, true), Transfer::Lend);
    }

    #[test]
    fn xsa_423_what_the_backend_could_not_take_as_it_lies_is_copied() {
        assert_eq!(transfer(65535, 18, true), Transfer::Lend);
        assert_eq!(transfer(65535, 19, true), Transfer::Copy);
        assert_eq!(transfer(65536, 17, true), Transfer::Drop);
        let first_len = ETH_HLEN as u32 - 1;
        let layout = PacketLayout {
            len: 60,
            pages: 2,
            first_len,
        };
        assert_eq!(layout.transfer(true, true), Transfer::Copy);
    }

    #[test]
    fn a_backend_that_is_not_trusted_gets_copies() {
        let layout = PacketLayout {
            len: 60,
            pages: 1,
            first_len: 60,
        };
        assert_eq!(layout.transfer(true, false), Transfer::Copy);
        assert_eq!(layout.transfer(false, false), Transfer::Copy);
    }
}
