// SPDX-License-Identifier: GPL-2.0

//! Packets that are being sent.

use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::prelude::*;
use xen_bindings as b;

use super::{Checksum, SkBuff};
use kernel::page::PAGE_SIZE;

/// A packet to be sent, with what is to be known for that, which is read once. Dropping it drops the packet.
///
/// # Invariants
///
/// `raw` describes the packet as it is.
pub struct Outgoing {
    skb: SkBuff,
    raw: b::xen_rs_tx_facts,
}

/// A fragment of a packet: `len` bytes from byte `offset` of `page` on, and of the pages behind it in
/// the memory map if that is longer than a page.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    /// The first page.
    pub page: *mut k::page,
    /// Where the fragment begins, in bytes; perhaps behind the first page.
    pub offset: usize,
    /// Its length in bytes.
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
    /// Looks at a packet that has come to [`start_xmit`](super::Operations::start_xmit).
    #[inline]
    pub fn new(skb: SkBuff) -> Self {
        let mut raw = b::xen_rs_tx_facts::default();
        // SAFETY: The packet is live; `raw` is a local for the result.
        unsafe { b::xen_rs_skb_tx_facts(skb.as_ptr(), &mut raw) };
        // INVARIANT: The packet is owned and not changed.
        Self { skb, raw }
    }

    /// The packet. What was known of it is forgotten.
    #[inline]
    pub fn into_skb(self) -> SkBuff {
        self.skb
    }

    /// The packet, for C.
    #[inline]
    pub fn as_raw(&self) -> NonNull<k::sk_buff> {
        self.skb.as_raw()
    }

    #[inline]
    fn as_ptr(&self) -> *mut k::sk_buff {
        self.skb.as_ptr()
    }

    /// Bytes of the packet, from its Ethernet header on.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.skb.len()
    }

    /// Address and bytes of the linear part, which lies in the kernel's direct mapping.
    #[inline]
    pub fn linear(&self) -> (*const u8, usize) {
        (self.raw.data, self.raw.headlen as usize)
    }

    /// The fragments behind the linear part, in order.
    #[inline]
    pub fn fragments(&self) -> impl Iterator<Item = Fragment> + '_ {
        (0..self.raw.nr_frags).map(|index| {
            let frag = self.frag(index);
            // SAFETY: A fragment of a packet that is sent to a device that has not asked for others is
            // in pages of this kernel.
            let page = unsafe { b::xen_rs_frag_page(frag) };
            Fragment {
                page,
                offset: frag.offset as usize,
                len: frag.len as usize,
            }
        })
    }

    /// Bytes of the linear part that are in the same page as its first one.
    #[inline]
    pub fn first_len(&self) -> u32 {
        let room = PAGE_SIZE - self.raw.data as usize % PAGE_SIZE;
        self.raw.headlen.min(room as u32)
    }

    /// Bytes of a segment, if the packet is to be cut up (GSO).
    #[inline]
    pub fn gso_size(&self) -> Option<u16> {
        (self.raw.gso_size != 0).then_some(self.raw.gso_size)
    }

    /// Whether the packet that is to be cut up is TCP over IPv6.
    #[inline]
    pub fn is_tcpv6(&self) -> bool {
        self.raw.gso_type & b::XEN_RS_SKB_GSO_TCPV6 != 0
    }

    /// The checksum.
    #[inline]
    pub fn checksum(&self) -> Checksum {
        match self.raw.ip_summed {
            b::XEN_RS_CHECKSUM_PARTIAL => Checksum::Partial,
            b::XEN_RS_CHECKSUM_UNNECESSARY => Checksum::Unnecessary,
            _ => Checksum::None,
        }
    }

    /// Whether the device, with the features it has now, cannot take the packet, which was made when it had
    /// others.
    #[inline]
    pub fn needs_segmentation(&self) -> bool {
        // SAFETY: The packet is live; it came to `start_xmit`, so its device is set.
        unsafe { b::xen_rs_skb_needs_gso(self.as_ptr()) }
    }

    /// Copies `len` bytes from byte `offset` on to raw memory.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes of `len` bytes.
    pub unsafe fn copy_bits(&self, offset: u32, to: *mut u8, len: u32) -> Result {
        // SAFETY: The packet is live, the rest by the requirement; the function checks the range.
        to_result(unsafe { k::skb_copy_bits(self.as_ptr(), offset as i32, to.cast(), len as i32) })
    }

    /// Notes the time of sending, for those who asked for it in software. To be called when the device gets
    /// the packet, and before [`disown`](Self::disown).
    #[inline]
    pub fn sent(&self) {
        // SAFETY: The packet is live.
        unsafe { b::xen_rs_skb_tx_timestamp(self.as_ptr()) }
    }

    /// Tells the packet's socket that it has been sent, and lets go of all else that would wait for it, so that it
    /// may be freed at any later time. Returns whether that could be done: not if its pages belong to somebody who
    /// wants to know when they are free.
    #[inline]
    pub fn disown(&mut self) -> bool {
        if !self.raw.zerocopy {
            // SAFETY: The packet is owned.
            unsafe { b::xen_rs_skb_disown(self.as_ptr()) }
        }
        !self.raw.zerocopy
    }

    #[inline]
    fn frag(&self, index: u32) -> &k::skb_frag {
        debug_assert!(index < self.raw.nr_frags);
        // SAFETY: By the type invariant; the callers count up to the number of fragments.
        unsafe { &*self.raw.frags.add(index as usize) }
    }
}
