// SPDX-License-Identifier: GPL-2.0

//! Packets to be sent.

use core::ptr::NonNull;

use kernel::{
    bindings as k,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

use xen_bindings as b;

use super::{
    Checksum,
    SkBuff, //
};

/// A packet to be sent, with the fields that a driver needs, which are read once. Dropping it drops
/// the packet.
///
/// # Invariants
///
/// `raw` is what `xen_rs_skb_tx_info` returned for the packet, which was not changed since.
pub struct Outgoing {
    skb: SkBuff,
    raw: b::xen_rs_tx_info,
}

/// A fragment of a packet: `len` bytes from byte `offset` of `page` on. It may extend to the pages
/// behind `page` in the memory map.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    /// The first page.
    pub page: *mut k::page,
    /// Offset of the fragment in bytes; may exceed the first page.
    pub offset: usize,
    /// Length of the fragment in bytes.
    pub len: usize,
}

impl Fragment {
    /// The page `count` pages behind the first one.
    #[inline]
    pub fn page_behind(&self, count: usize) -> *mut k::page {
        // SAFETY: Only computes an address in the memory map.
        unsafe { b::xen_rs_page_next(self.page, count) }
    }
}

impl Outgoing {
    /// Reads the fields of a packet of [`start_xmit`](super::Operations::start_xmit).
    #[inline]
    pub fn new(skb: SkBuff) -> Self {
        let mut raw = b::xen_rs_tx_info::default();
        // SAFETY: By the invariant of `SkBuff` the packet is live; `raw` is a local.
        unsafe { b::xen_rs_skb_tx_info(skb.as_ptr(), &mut raw) };
        // INVARIANT: The fields were just read.
        Self { skb, raw }
    }

    /// The packet.
    #[inline]
    pub fn into_skb(self) -> SkBuff {
        self.skb
    }

    /// The packet, for C functions.
    #[inline]
    pub fn as_raw(&self) -> NonNull<k::sk_buff> {
        self.skb.as_raw()
    }

    #[inline]
    fn as_ptr(&self) -> *mut k::sk_buff {
        self.skb.as_ptr()
    }

    /// Length of the packet in bytes, from the Ethernet header on.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.skb.len()
    }

    /// Address and length of the linear part, which is in the kernel's direct map.
    #[inline]
    pub fn linear(&self) -> (*const u8, usize) {
        (self.raw.data, self.raw.headlen as usize)
    }

    /// The fragments after the linear part, in order.
    #[inline]
    pub fn fragments(&self) -> impl Iterator<Item = Fragment> + '_ {
        (0..self.raw.nr_frags).map(|index| {
            let frag = self.frag(index);
            // SAFETY: The fragments are in pages of this kernel, since the device does not support
            // others (`netmem_tx`).
            let page = unsafe { b::xen_rs_frag_page(frag) };
            Fragment {
                page,
                offset: frag.offset as usize,
                len: frag.len as usize,
            }
        })
    }

    /// Bytes of the linear part in its first page.
    #[inline]
    pub fn first_len(&self) -> u32 {
        let room = PAGE_SIZE - self.raw.data as usize % PAGE_SIZE;
        self.raw.headlen.min(room as u32)
    }

    /// The segment size in bytes, if the packet is to be segmented (GSO).
    #[inline]
    pub fn gso_size(&self) -> Option<u16> {
        (self.raw.gso_size != 0).then_some(self.raw.gso_size)
    }

    /// Whether the packet to be segmented is TCP over IPv6.
    #[inline]
    pub fn is_tcpv6(&self) -> bool {
        self.raw.gso_type & b::XEN_RS_SKB_GSO_TCPV6 != 0
    }

    /// The state of the checksum.
    #[inline]
    pub fn checksum(&self) -> Checksum {
        match self.raw.ip_summed {
            b::XEN_RS_CHECKSUM_PARTIAL => Checksum::Partial,
            b::XEN_RS_CHECKSUM_UNNECESSARY => Checksum::Unnecessary,
            _ => Checksum::None,
        }
    }

    /// Whether the packet must be segmented in software, because it was made when the device had
    /// other features.
    #[inline]
    pub fn needs_segmentation(&self) -> bool {
        // SAFETY: By the invariant of `SkBuff` the packet is live. It is from `start_xmit`, so its
        // device is set.
        unsafe { b::xen_rs_skb_needs_gso(self.as_ptr()) }
    }

    /// Copies `len` bytes from byte `offset` on to memory.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes of `len` bytes.
    pub unsafe fn copy_bits(&self, offset: u32, to: *mut u8, len: u32) -> Result {
        // SAFETY: By the invariant of `SkBuff` the packet is live, and by the requirement of this
        // function `to` is valid. The C function checks the range.
        to_result(unsafe { k::skb_copy_bits(self.as_ptr(), offset as i32, to.cast(), len as i32) })
    }

    /// Takes the software time stamp of sending. To be called when the device gets the packet, and
    /// before [`disown`](Self::disown).
    #[inline]
    pub fn sent(&self) {
        // SAFETY: By the invariant of `SkBuff` the packet is live.
        unsafe { b::xen_rs_skb_tx_timestamp(self.as_ptr()) }
    }

    /// Detaches the packet from its socket and connection, which would wait for it, so that it may
    /// be freed at any later time. Returns false if that is not possible, since a notification is
    /// due when its pages are free (zero copy).
    #[inline]
    pub fn disown(&mut self) -> bool {
        if !self.raw.zerocopy {
            // SAFETY: By the invariant of `SkBuff` the packet is live and owned.
            unsafe { b::xen_rs_skb_disown(self.as_ptr()) }
        }
        !self.raw.zerocopy
    }

    #[inline]
    fn frag(&self, index: u32) -> &k::skb_frag {
        debug_assert!(index < self.raw.nr_frags);
        // SAFETY: By the type invariant the array has `nr_frags` elements; the only caller passes a
        // smaller index.
        unsafe { &*self.raw.frags.add(index as usize) }
    }
}
