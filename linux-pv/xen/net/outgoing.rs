// SPDX-License-Identifier: GPL-2.0

//! Packets that are being sent.

use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::prelude::*;
use xen_bindings as b;
use xen_ring::pages::pieces;

use super::{Checksum, SkBuff};
use crate::page::PAGE_SIZE;

/// A packet to be sent, with what is to be known for that, which is read once. Dropping it drops the packet.
///
/// # Invariants
///
/// `raw` describes the packet as it is, and `pages` is the number of parts that [`Self::for_each_part`] finds.
pub struct Outgoing {
    skb: SkBuff,
    raw: b::xen_rs_tx_facts,
    pages: u32,
}

impl Outgoing {
    /// Looks at a packet that has come to [`start_xmit`](super::Operations::start_xmit).
    #[inline]
    pub fn new(skb: SkBuff) -> Self {
        let mut raw = b::xen_rs_tx_facts::default();
        // SAFETY: The packet is live; `raw` is a local for the result.
        unsafe { b::xen_rs_skb_tx_facts(skb.as_ptr(), &mut raw) };
        // INVARIANT: The packet is owned and not changed. The number of pages is set at once.
        let mut this = Self { skb, raw, pages: 0 };
        this.pages = this.count_pages();
        this
    }

    #[inline]
    fn count_pages(&self) -> u32 {
        let mut pages = pieces(self.raw.data as usize, self.raw.headlen as usize).len();
        for index in 0..self.raw.nr_frags {
            let frag = self.frag(index);
            pages += pieces(frag.offset as usize, frag.len as usize).len();
        }
        pages as u32
    }

    /// The packet. What was known of it is forgotten.
    #[inline]
    pub fn into_skb(self) -> SkBuff {
        self.skb
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut k::sk_buff {
        self.skb.as_ptr()
    }

    #[inline]
    pub(super) fn as_non_null(&self) -> NonNull<k::sk_buff> {
        self.skb.as_non_null()
    }

    /// Bytes of the packet, from its Ethernet header on.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.skb.len()
    }

    /// Pages, or parts of pages, that the packet lies in.
    #[inline]
    pub fn pages(&self) -> u32 {
        self.pages
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
            b::XEN_RS_CHECKSUM_PARTIAL => Checksum::ToFill,
            b::XEN_RS_CHECKSUM_UNNECESSARY => Checksum::Right,
            _ => Checksum::Unknown,
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
    pub(super) unsafe fn copy_bits(&self, offset: u32, to: *mut u8, len: u32) -> Result {
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

    /// Calls `each` for each part of a page in turn, with its page, its offset there and its length. Stops at
    /// the first error, and does not look at the packet again after that.
    #[inline]
    pub(super) fn for_each_part<E>(
        &self,
        mut each: impl FnMut(*mut k::page, u16, u16) -> Result<(), E>,
    ) -> Result<(), E> {
        let head = self.raw.data as usize;
        for piece in pieces(head % PAGE_SIZE, self.raw.headlen as usize) {
            let at = (head - head % PAGE_SIZE).wrapping_add(piece.page * PAGE_SIZE);
            // SAFETY: By the type invariant this is the address of a page of the linear part of a packet, which is
            // in the kernel's direct mapping.
            let page = unsafe { b::xen_rs_virt_to_page(at as *const _) };
            each(page, piece.offset as u16, piece.len as u16)?;
        }
        for index in 0..self.raw.nr_frags {
            let frag = self.frag(index);
            // SAFETY: A fragment of a packet that is sent to a device that has not asked for others is in
            // pages of this kernel.
            let first = unsafe { b::xen_rs_frag_page(frag) };
            for piece in pieces(frag.offset as usize, frag.len as usize) {
                // SAFETY: A fragment lies in one compound page, so this page exists.
                let page = unsafe { b::xen_rs_page_next(first, piece.page) };
                each(page, piece.offset as u16, piece.len as u16)?;
            }
        }
        Ok(())
    }
}
