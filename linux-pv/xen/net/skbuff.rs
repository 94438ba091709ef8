// SPDX-License-Identifier: GPL-2.0

//! Packets and who owns them.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::prelude::*;
use xen_bindings as b;
use xen_ring::pages::pieces;

use crate::page::PAGE_SIZE;

/// A packet (`struct sk_buff`) that the driver owns. Dropping it drops the packet, in any context, which the
/// kernel's drop monitor sees; one that has been dealt with is [consumed](Self::consume) instead.
///
/// # Invariants
///
/// `0` is a live packet, and this is the reference through which it is changed and freed.
pub struct SkBuff(NonNull<k::sk_buff>);

// SAFETY: A packet belongs to no context; whoever has the reference may use it.
unsafe impl Send for SkBuff {}
// SAFETY: What can be done through a shared reference only reads.
unsafe impl Sync for SkBuff {}

/// What is known of a packet's checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// Nothing: whoever wants to know has to compute it (`CHECKSUM_NONE`).
    Unknown,
    /// It is right, or does not matter (`CHECKSUM_UNNECESSARY`).
    Right,
    /// It is still to be filled in (`CHECKSUM_PARTIAL`).
    ToFill,
}

impl SkBuff {
    /// Takes over a packet.
    ///
    /// # Safety
    ///
    /// `raw` is a live packet, whose ownership is handed over.
    #[inline]
    pub(super) unsafe fn from_raw(raw: NonNull<k::sk_buff>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(raw)
    }

    #[inline]
    pub(super) fn into_raw(self) -> NonNull<k::sk_buff> {
        ManuallyDrop::new(self).0
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut k::sk_buff {
        self.0.as_ptr()
    }

    /// Bytes of the packet, from its Ethernet header on.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).len }
    }

    /// What is to be known for sending the packet.
    #[inline]
    pub fn facts(&self) -> Facts<'_> {
        // SAFETY: By the type invariant; the result borrows the packet.
        unsafe { Facts::of(self.as_ptr()) }
    }

    /// A number that is the same for all packets of a flow.
    #[inline]
    pub fn flow_hash(&mut self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_skb_hash(self.as_ptr()) }
    }

    /// Whether the device, with the features it has now, cannot take the packet, which was made when it had
    /// others.
    #[inline]
    pub fn needs_segmentation(&self) -> bool {
        // SAFETY: By the type invariant; the packet came to `start_xmit`, so its device is set.
        unsafe { b::xen_rs_skb_needs_gso(self.as_ptr()) }
    }

    /// Copies all data into one piece of memory. Does not sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the packet is as it was then.
    pub fn linearize(&mut self) -> Result {
        // SAFETY: By the type invariant.
        to_result(unsafe { b::xen_rs_skb_linearize(self.as_ptr()) })
    }

    /// Copies `len` bytes from byte `offset` on to raw memory.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes of `len` bytes.
    pub(super) unsafe fn copy_bits(&self, offset: u32, to: *mut u8, len: u32) -> Result {
        // SAFETY: By the type invariant and the requirement; the function checks the range.
        to_result(unsafe { k::skb_copy_bits(self.as_ptr(), offset as i32, to.cast(), len as i32) })
    }

    /// Notes the time of sending, for those who asked for it in software. To be called when the device gets
    /// the packet.
    #[inline]
    pub fn sent(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_skb_tx_timestamp(self.as_ptr()) }
    }

    /// Frees a packet that has done its duty. Any context.
    #[inline]
    pub fn consume(self) {
        // SAFETY: The packet is owned, and not used afterwards.
        unsafe { b::xen_rs_skb_consume(self.into_raw().as_ptr()) }
    }
}

impl Drop for SkBuff {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The packet is owned, and not used afterwards.
        unsafe { b::xen_rs_skb_drop(self.0.as_ptr()) }
    }
}

/// What is to be known for sending a packet, read once.
///
/// # Invariants
///
/// The pointers are those of a packet that is borrowed for `'a`.
pub struct Facts<'a> {
    raw: b::xen_rs_tx_facts,
    _packet: PhantomData<&'a SkBuff>,
}

impl<'a> Facts<'a> {
    /// # Safety
    ///
    /// `skb` is a live packet that is not changed for `'a`.
    #[inline]
    pub(super) unsafe fn of(skb: *mut k::sk_buff) -> Self {
        let mut raw = b::xen_rs_tx_facts::default();
        // SAFETY: By the requirement of this function; `raw` is a local for the result.
        unsafe { b::xen_rs_skb_tx_facts(skb, &mut raw) };
        // INVARIANT: By the requirement of this function.
        Self {
            raw,
            _packet: PhantomData,
        }
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

    /// Pages, or parts of pages, that the packet lies in.
    #[inline]
    pub fn pages(&self) -> u32 {
        let mut pages = pieces(self.raw.data as usize, self.raw.headlen as usize).len();
        for index in 0..self.raw.nr_frags {
            let frag = self.frag(index);
            pages += pieces(frag.offset as usize, frag.len as usize).len();
        }
        pages as u32
    }

    #[inline]
    fn frag(&self, index: u32) -> &k::skb_frag {
        debug_assert!(index < self.raw.nr_frags);
        // SAFETY: By the type invariant; the callers count up to the number of fragments.
        unsafe { &*self.raw.frags.add(index as usize) }
    }

    /// Calls `each` for each part of a page in turn, with its page, its offset there and its length. Stops at
    /// the first error.
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
