// SPDX-License-Identifier: GPL-2.0

//! Where the slots of a ring are.

use crate::{RingMem, TooSmall};
use core::marker::PhantomData;
use xen_abi::io::ring;
use zerocopy::{Immutable, IntoBytes};

/// A message that may be written to a slot declared as `Slot`.
///
/// Protocols have variants of a request, shorter than the slot, told apart by an operation field
/// (blkif's discard and indirect requests, netif's extra info). The protocol modules say which;
/// any type is a variant of itself. Bytes of the slot behind a shorter variant keep what this
/// side or the peer last put there.
pub trait VariantOf<Slot>: IntoBytes + Immutable {}

impl<T: IntoBytes + Immutable> VariantOf<T> for T {}

/// The beginning of a message of type `Slot`, behind which stands a list of which not all places
/// need be used, such as the segments of a block request.
pub trait HeadOf<Slot>: IntoBytes + Immutable {
    /// One item of the list.
    type Item: IntoBytes + Immutable;
}

/// Geometry of a ring with requests `Req` and responses `Rsp`, computed from the memory's length
/// as both sides have to do it (`__RING_SIZE` of `io/ring.h`).
#[derive(Debug)]
pub struct Layout<Req, Rsp> {
    mask: u32,
    wire: PhantomData<fn(Req) -> Rsp>,
}

impl<Req, Rsp> Layout<Req, Rsp> {
    /// Bytes from one slot to the next: the size of the C union of request and response.
    pub const SLOT: usize = {
        let size = max(size_of::<Req>(), size_of::<Rsp>());
        let align = max(align_of::<Req>(), align_of::<Rsp>());
        assert!(size > 0, "a slot cannot be empty");
        size.next_multiple_of(align)
    };

    /// Number of slots in `bytes` of memory: the largest power of two that fits after the header,
    /// zero if not even one does.
    #[inline]
    pub const fn slots_in(bytes: usize) -> u32 {
        let fit = bytes.saturating_sub(ring::SLOTS) / Self::SLOT;
        // Indexes have 32 bits and the difference of two must tell a full ring from an empty one.
        let fit = if fit > 1 << 31 { 1 << 31 } else { fit };
        match (fit as u32).checked_ilog2() {
            Some(log) => 1 << log,
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn of(mem: &impl RingMem) -> Result<Self, TooSmall> {
        match Self::slots_in(mem.size()) {
            0 => Err(TooSmall),
            slots => Ok(Self {
                mask: slots - 1,
                wire: PhantomData,
            }),
        }
    }

    /// Number of slots, a power of two.
    #[inline]
    pub(crate) fn slots(&self) -> u32 {
        // Cannot wrap, there are at most 2³¹ slots; said so, it costs no overflow check in the
        // kernel. The same goes for the other wrapping operations of this crate.
        self.mask.wrapping_add(1)
    }

    /// Byte offset of the slot of a free-running index.
    #[inline]
    pub(crate) fn offset(&self, index: u32) -> usize {
        ring::SLOTS + (index & self.mask) as usize * Self::SLOT
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b {
        a
    } else {
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_the_largest_power_of_two_of_slots_that_fits() {
        type Blkif = Layout<[u64; 14], [u64; 2]>;
        assert_eq!(Blkif::SLOT, 112);
        // BLK_RING_SIZE for ring-page-order 0 to 4, as documented for blkfront.
        let sizes = [0, 1, 2, 3, 4].map(|order| Blkif::slots_in(4096 << order));
        assert_eq!(sizes, [32, 64, 128, 256, 512]);
        // netif: transmit requests of 12 bytes, receive requests of 8 (NET_TX_RING_SIZE, NET_RX_RING_SIZE).
        assert_eq!(Layout::<[u32; 3], u32>::slots_in(4096), 256);
        assert_eq!(Layout::<[u32; 2], [u32; 2]>::slots_in(4096), 256);
    }

    #[test]
    fn memory_without_room_for_one_slot_has_none() {
        type Ring = Layout<[u64; 2], u64>;
        assert_eq!(Ring::slots_in(0), 0);
        assert_eq!(Ring::slots_in(64 + 15), 0);
        assert_eq!(Ring::slots_in(64 + 16), 1);
        assert_eq!(Ring::slots_in(64 + 47), 2);
    }

    #[test]
    fn a_ring_has_no_more_slots_than_indexes_can_count() {
        type Bytes = Layout<u8, u8>;
        for bytes in [64 + (1 << 31), 64 + (1 << 32), usize::MAX] {
            assert_eq!(Bytes::slots_in(bytes), 1 << 31, "{bytes:#x}");
        }
        assert_eq!(Bytes::slots_in(63 + (1 << 31)), 1 << 30);
    }

    #[test]
    fn a_slot_is_as_aligned_as_its_messages() {
        assert_eq!(Layout::<[u32; 3], u64>::SLOT, 16);
    }
}
