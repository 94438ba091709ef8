// SPDX-License-Identifier: GPL-2.0

//! DMA addresses of a PV domain's memory, as pure logic.
//!
//! A PV domain's memory is contiguous in its physical addresses, but not in the machine's memory,
//! which devices access. Before a device may access a buffer, one has to know whether the buffer is
//! contiguous in the machine ([`p2m`]), whether the device can address it ([`mask`]), and what to
//! do otherwise ([`plan`]). [`exchange`] selects the memory that is exchanged for contiguous
//! memory, [`large`] is a table of bounce buffers, and [`stats`] counts what each device needs.
//!
//! The crate allocates nothing and has no unsafe code. Page tables, hypercalls and the kernel's
//! bounce buffers are in crate `xen_core`, the operations of the kernel's DMA layer in `swiotlb`.
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod exchange;
pub mod large;
pub mod mask;
pub mod p2m;
pub mod plan;
pub mod stats;
#[cfg(test)]
mod testing;

/// Bits of an offset in a page. Pages of Xen and of the kernel have the same size on x86.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// A physical address of the domain (`phys_addr_t`), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhysAddr(pub u64);

/// A machine address, or one on a device's bus (`dma_addr_t`), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BusAddr(pub u64);

impl PhysAddr {
    /// The frame number.
    #[inline]
    pub const fn pfn(self) -> u64 {
        self.0 >> PAGE_SHIFT
    }

    /// The offset in the page.
    #[inline]
    pub const fn offset(self) -> u64 {
        self.0 & (PAGE_SIZE - 1)
    }
}

impl BusAddr {
    /// The value of a failed mapping (`DMA_MAPPING_ERROR`).
    pub const NONE: Self = Self(u64::MAX);

    /// The number of the machine frame.
    #[inline]
    pub const fn mfn(self) -> u64 {
        self.0 >> PAGE_SHIFT
    }

    /// The offset in the page.
    #[inline]
    pub const fn offset(self) -> u64 {
        self.0 & (PAGE_SIZE - 1)
    }
}

/// The order of an allocation of `bytes` (`get_order`): the exponent of the smallest power of two
/// of pages. 0 for no bytes.
#[inline]
pub const fn order_of(bytes: u64) -> u32 {
    let pages = bytes.saturating_sub(1) >> PAGE_SHIFT;
    u64::BITS - pages.leading_zeros()
}

/// Direction of a transfer (`enum dma_data_direction` without `DMA_NONE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both directions.
    Both,
    /// The device reads.
    ToDevice,
    /// The device writes.
    FromDevice,
}

impl Direction {
    /// Whether the device may write.
    #[inline]
    pub const fn device_writes(self) -> bool {
        matches!(self, Self::Both | Self::FromDevice)
    }

    /// Whether the device may read.
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
        let at = PhysAddr(0x1234_5678);
        assert_eq!((at.pfn(), at.offset()), (0x12345, 0x678));
        assert_eq!(
            (BusAddr(0x5fff).mfn(), BusAddr(0x5fff).offset()),
            (5, 0xfff)
        );
    }
    #[test]
    fn data_goes_to_the_device_from_it_or_either_way() {
        let ways = |way: Direction| (way.device_reads(), way.device_writes());
        assert_eq!(ways(Direction::ToDevice), (true, false));
        assert_eq!(ways(Direction::FromDevice), (false, true));
        assert_eq!(ways(Direction::Both), (true, true));
    }
}
