// SPDX-License-Identifier: GPL-2.0

//! What stands between a PV domain's memory and a device, as pure logic.
//!
//! To a PV domain its memory looks contiguous; the machine's memory behind it is not. A device sees the machine's. So
//! before a device may access a buffer somebody has to ask whether the buffer is contiguous for the device
//! ([`frames`]), whether the device reaches it ([`reach`]), and what to do if not ([`plan`]). Memory that is exchanged
//! for contiguous memory is asked for in [`exchange`]; what is on loan to whom is kept in [`large`] and [`ledger`].
//!
//! The crate allocates nothing and contains no unsafe code. What does not live here: page tables, hypercalls and the
//! kernel's own bounce buffers (crate `xen_core`), and the calls of the kernel's DMA layer (`swiotlb`).
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod exchange;
pub mod frames;
pub mod large;
pub mod ledger;
pub mod plan;
pub mod reach;
#[cfg(test)]
mod testing;

/// Bits of an offset in a page. Xen's pages and the kernel's are the same on x86.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// An address in the domain's own, seemingly contiguous memory (`phys_addr_t`), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Phys(pub u64);

/// An address in the machine's memory, which is what a device uses (`dma_addr_t`), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bus(pub u64);

impl Phys {
    /// The frame the address is in.
    #[inline]
    pub const fn pfn(self) -> u64 {
        self.0 >> PAGE_SHIFT
    }

    /// The offset in its page.
    #[inline]
    pub const fn offset(self) -> u64 {
        self.0 & (PAGE_SIZE - 1)
    }
}

impl Bus {
    /// The address that stands for "there is no such mapping" (`DMA_MAPPING_ERROR`).
    pub const NONE: Self = Self(u64::MAX);

    /// The machine frame the address is in.
    #[inline]
    pub const fn mfn(self) -> u64 {
        self.0 >> PAGE_SHIFT
    }

    /// The offset in its page.
    #[inline]
    pub const fn offset(self) -> u64 {
        self.0 & (PAGE_SIZE - 1)
    }
}

/// The smallest power of two of pages that holds `bytes`, as an exponent (`get_order`); one page for nothing.
#[inline]
pub const fn order_of(bytes: u64) -> u32 {
    let pages = bytes.saturating_sub(1) >> PAGE_SHIFT;
    u64::BITS - pages.leading_zeros()
}

/// Which way data goes. The kernel's fourth value, `DMA_NONE`, is for mappings that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Either way.
    Both,
    /// The device reads.
    ToDevice,
    /// The device writes.
    FromDevice,
}

impl Direction {
    /// Whether the device may have written.
    #[inline]
    pub const fn device_writes(self) -> bool {
        matches!(self, Self::Both | Self::FromDevice)
    }

    /// Whether the device reads.
    #[inline]
    pub const fn device_reads(self) -> bool {
        matches!(self, Self::Both | Self::ToDevice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_the_kernels() {
        let of = [
            (0, 0),
            (1, 0),
            (4096, 0),
            (4097, 1),
            (8192, 1),
            (8193, 2),
            (262_144, 6),
        ];
        for (bytes, order) in of {
            assert_eq!(order_of(bytes), order, "{bytes}");
        }
        assert_eq!(order_of(u64::MAX), 52);
    }

    #[test]
    fn addresses_are_taken_apart() {
        let at = Phys(0x1234_5678);
        assert_eq!((at.pfn(), at.offset()), (0x12345, 0x678));
        assert_eq!((Bus(0x5fff).mfn(), Bus(0x5fff).offset()), (5, 0xfff));
    }
    #[test]
    fn data_goes_to_the_device_from_it_or_either_way() {
        let ways = |way: Direction| (way.device_reads(), way.device_writes());
        assert_eq!(ways(Direction::ToDevice), (true, false));
        assert_eq!(ways(Direction::FromDevice), (false, true));
        assert_eq!(ways(Direction::Both), (true, true));
    }
}
