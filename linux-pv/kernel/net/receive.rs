// SPDX-License-Identifier: GPL-2.0

//! Received packets: assembling them, and checking them before the stack gets them.

use core::marker::PhantomData;

use kernel::{
    bindings as k,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

use xen_bindings as b;

use super::{
    Checksum,
    Device,
    Operations,
    PoolPage,
    SkBuff, //
};

/// A received packet that is being assembled: first its linear part, then pages.
///
/// # Invariants
///
/// `skb` was made for `dev`. It has at least `room` bytes left in its linear part as long as it has
/// no pages.
pub struct Incoming<'a, T: Operations> {
    skb: SkBuff,
    room: u32,
    dev: &'a Device<T>,
    queue: u32,
}

/// Segmentation of a received packet that was merged from several (GSO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Segment size in bytes.
    pub size: u16,
    /// TCP over IPv6, otherwise over IPv4.
    pub tcpv6: bool,
}

/// A packet that can be [received](super::Poll::receive), in the poll that made it.
pub struct Received<'a>(pub(super) SkBuff, PhantomData<&'a ()>);

impl<'a, T: Operations> Incoming<'a, T> {
    /// # Safety
    ///
    /// `skb` was just made for queue `queue` of `dev`, with room for `room` bytes in its linear
    /// part.
    #[inline]
    pub(super) unsafe fn new(skb: SkBuff, room: u32, dev: &'a Device<T>, queue: u32) -> Self {
        // INVARIANT: By the requirement of this function.
        Self {
            skb,
            room,
            dev,
            queue,
        }
    }

    /// Copies `len` bytes from byte `offset` of a page to the linear part. Concurrent writes of a
    /// device may or may not be seen.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range exceeds the page, or the room in the linear part.
    #[inline]
    pub fn copy_page(&mut self, page: &PoolPage, offset: u32, len: u32) -> Result {
        let fits = (offset as usize) <= PAGE_SIZE && len as usize <= PAGE_SIZE - offset as usize;
        if !fits || len > self.room {
            return Err(EINVAL);
        }
        self.room -= len;
        // SAFETY: By the type invariant there was room for `len` bytes, and the range is within the
        // page. The page may be written concurrently, so it is copied by a C function, and there is
        // no reference into it.
        unsafe { b::xen_rs_skb_put_page(self.skb.as_ptr(), page.as_ptr(), offset as usize, len) };
        Ok(())
    }

    /// Length of the headers of a packet of which `len` bytes are at `offset` in `page`: these
    /// belong in the linear part.
    pub fn header_len(&self, page: &PoolPage, offset: u32, len: u32) -> u32 {
        if offset as usize > PAGE_SIZE || len as usize > PAGE_SIZE - offset as usize {
            return 0;
        }
        let data = page.address().wrapping_add(offset as usize);
        // SAFETY: The range is within the page, to which the borrowed `PoolPage` is the only
        // reference.
        unsafe { b::eth_get_headlen(self.dev.as_ptr(), data.cast(), len) }
    }

    /// Adds `len` bytes from byte `offset` of a page, which the packet owns afterwards. It returns
    /// to its pool when the packet is freed.
    ///
    /// # Errors
    ///
    /// The page, if the packet has the maximum number of pages, or the range exceeds the page.
    #[inline]
    pub fn add(&mut self, page: PoolPage, offset: u32, len: u32) -> Result<(), PoolPage> {
        let fits = (offset as usize) <= PAGE_SIZE && len as usize <= PAGE_SIZE - offset as usize;
        let skb = self.skb.as_ptr();
        // SAFETY: By the invariant of `SkBuff` the packet is live.
        let full = unsafe { b::xen_rs_skb_nr_frags(skb) } >= b::XEN_RS_MAX_SKB_FRAGS;
        if full || !fits {
            return Err(page);
        }
        self.room = 0;
        // SAFETY: By the invariant of `SkBuff` the packet is live and owned. It can have another
        // page, and takes the ownership of this one; it is marked so that its pages return to their
        // pool.
        unsafe {
            b::xen_rs_skb_add_page(skb, page.into_raw(), offset, len, PAGE_SIZE as u32);
            b::xen_rs_skb_mark_for_recycle(skb);
        }
        Ok(())
    }

    /// Marks the packet as one that stands for several segments. The stack verifies its headers
    /// (`SKB_GSO_DODGY`), since they are from another domain.
    pub fn set_gso(&mut self, gso: Gso) {
        let gso_type = if gso.tcpv6 {
            b::XEN_RS_SKB_GSO_TCPV6
        } else {
            b::XEN_RS_SKB_GSO_TCPV4
        };
        let gso_type = gso_type | b::XEN_RS_SKB_GSO_DODGY;
        // SAFETY: By the invariant of `SkBuff` the packet is live and owned.
        unsafe { b::xen_rs_skb_set_gso(self.skb.as_ptr(), gso.size, gso_type) }
    }

    /// Sets the hash of the packet's flow; `l4` if it includes ports.
    pub fn set_hash(&mut self, hash: u32, l4: bool) {
        // SAFETY: By the invariant of `SkBuff` the packet is live and owned.
        unsafe { b::xen_rs_skb_set_hash(self.skb.as_ptr(), hash, l4) }
    }

    /// Checks the packet's headers and completes it for the stack. With `recompute`, the start
    /// value of a partial checksum is computed here.
    ///
    /// # Errors
    ///
    /// The packet, if it has no Ethernet header, or lacks headers that its checksum needs.
    #[inline]
    pub fn finish(self, checksum: Checksum, recompute: bool) -> Result<Received<'a>, SkBuff> {
        let (dev, queue) = (self.dev, self.queue);
        let skb = self.skb;
        let raw = skb.as_ptr();
        let summed = match checksum {
            Checksum::None => b::XEN_RS_CHECKSUM_NONE,
            Checksum::Unnecessary => b::XEN_RS_CHECKSUM_UNNECESSARY,
            Checksum::Partial => b::XEN_RS_CHECKSUM_PARTIAL,
        };
        // SAFETY: By the invariant of `SkBuff` the packet is live and owned. The shim checks that
        // it has an Ethernet header.
        if !unsafe { b::xen_rs_skb_describe(raw, dev.as_ptr(), summed, queue as u16) } {
            return Err(skb);
        }
        if checksum == Checksum::Partial {
            // SAFETY: By the invariant of `SkBuff` the packet is live and owned.
            let status = unsafe { k::skb_checksum_setup(raw, recompute) };
            if to_result(status).is_err() {
                return Err(skb);
            }
        }
        Ok(Received(skb, PhantomData))
    }
}
