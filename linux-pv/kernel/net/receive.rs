// SPDX-License-Identifier: GPL-2.0

//! Packets that have arrived: putting them together, and checking them before they go up.

use core::marker::PhantomData;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::prelude::*;
use xen_bindings as b;

use super::{Checksum, Device, Operations, PoolPage, SkBuff, ETH_HLEN};
use kernel::page::PAGE_SIZE;

/// A packet that is put together: first its linear part, then whole pages.
///
/// # Invariants
///
/// `skb` is a packet that nobody else knows, made for `dev`, with at least `room` bytes left in its linear
/// part as long as it has no pages.
pub struct Incoming<'a, T: Operations> {
    skb: SkBuff,
    room: u32,
    dev: &'a Device<T>,
    queue: u32,
}

/// Segments of a received packet that stands for several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Bytes of each but the last.
    pub size: u16,
    /// TCP over IPv6; over IPv4 if not.
    pub tcpv6: bool,
}

/// A packet that can be [received](super::Poll::receive), by the run of the poll function that has made it.
pub struct Received<'a>(pub(super) SkBuff, PhantomData<&'a ()>);

impl<'a, T: Operations> Incoming<'a, T> {
    /// # Safety
    ///
    /// `skb` was just made for queue `queue` of `dev`, with room for `room` bytes in its linear part.
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

    /// Copies `len` bytes from byte `offset` of a page. What a device writes there meanwhile may or may
    /// not be seen.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is not as much room, or in the page.
    #[inline]
    pub fn copy_page(&mut self, page: &PoolPage, offset: u32, len: u32) -> Result {
        let from = page.address();
        let fits = (offset as usize) <= PAGE_SIZE && len as usize <= PAGE_SIZE - offset as usize;
        if !fits || len > self.room {
            return Err(EINVAL);
        }
        self.room -= len;
        // SAFETY: By the type invariant there is that much room.
        let to = unsafe { k::skb_put(self.skb.as_ptr(), len) };
        // SAFETY: The range is within the page, and in the room that was just taken. What a
        // device writes meanwhile may or may not be seen; no reference into the page exists.
        unsafe { b::xen_rs_copy(to, from.wrapping_add(offset as usize).cast(), len as usize) };
        Ok(())
    }

    /// Bytes of headers at the start of `page`, of a packet of which `len` bytes begin at `offset` there: what
    /// the stack wants in the linear part.
    pub fn header_len(&self, page: &PoolPage, offset: u32, len: u32) -> u32 {
        if offset as usize > PAGE_SIZE || len as usize > PAGE_SIZE - offset as usize {
            return 0;
        }
        let data = page.address().wrapping_add(offset as usize);
        // SAFETY: The range is within the page, which nobody else writes to.
        unsafe { b::eth_get_headlen(self.dev.as_ptr(), data.cast(), len) }
    }

    /// Adds `len` bytes from byte `offset` of a page, which the packet owns then and returns to its pool.
    ///
    /// # Errors
    ///
    /// Gives the page back if a packet cannot have another one, or the range is not within the page.
    #[inline]
    pub fn add(&mut self, page: PoolPage, offset: u32, len: u32) -> Result<(), PoolPage> {
        let fits = (offset as usize) <= PAGE_SIZE && len as usize <= PAGE_SIZE - offset as usize;
        let skb = self.skb.as_ptr();
        // SAFETY: By the type invariant.
        let full = unsafe { b::xen_rs_skb_nr_frags(skb) } >= b::XEN_RS_MAX_SKB_FRAGS;
        if full || !fits {
            return Err(page);
        }
        self.room = 0;
        // SAFETY: There is room for another page; the page is handed over, and the packet is marked so that it
        // gives its pages back to their pool.
        unsafe {
            b::xen_rs_skb_add_page(skb, page.into_raw(), offset, len, PAGE_SIZE as u32);
            b::xen_rs_skb_mark_for_recycle(skb);
        }
        Ok(())
    }

    /// Says that the packet is to be cut up where it leaves this machine, or cannot be used whole. What the
    /// other end says of it is checked by the stack.
    pub fn set_gso(&mut self, gso: Gso) {
        let kind = if gso.tcpv6 {
            b::XEN_RS_SKB_GSO_TCPV6
        } else {
            b::XEN_RS_SKB_GSO_TCPV4
        };
        // SAFETY: By the type invariant.
        unsafe {
            b::xen_rs_skb_set_gso(self.skb.as_ptr(), gso.size, kind | b::XEN_RS_SKB_GSO_DODGY)
        }
    }

    /// Sets the hash of the packet's flow; `l4` if ports went into it.
    pub fn set_hash(&mut self, hash: u32, l4: bool) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_skb_set_hash(self.skb.as_ptr(), hash, l4) }
    }

    /// Checks the packet's headers and makes it ready for the stack. `recompute`: the checksum that is still to
    /// be filled in has no valid start value, which is computed here.
    ///
    /// # Errors
    ///
    /// Gives the packet back, to be dropped, if it has no Ethernet header or others that its checksum needs.
    #[inline]
    pub fn finish(self, checksum: Checksum, recompute: bool) -> Result<Received<'a>, SkBuff> {
        let (dev, queue) = (self.dev, self.queue);
        let skb = self.skb;
        let raw = skb.as_ptr();
        // SAFETY: By the type invariant.
        if !unsafe { b::xen_rs_skb_may_pull(raw, ETH_HLEN) } {
            return Err(skb);
        }
        let summed = match checksum {
            Checksum::None => b::XEN_RS_CHECKSUM_NONE,
            Checksum::Unnecessary => b::XEN_RS_CHECKSUM_UNNECESSARY,
            Checksum::Partial => b::XEN_RS_CHECKSUM_PARTIAL,
        };
        // SAFETY: As above; there is an Ethernet header in the linear part.
        unsafe {
            b::xen_rs_skb_set_csum(raw, summed);
            b::xen_rs_skb_eth_type(raw, dev.as_ptr());
            b::xen_rs_skb_record_rx_queue(raw, queue as u16);
        }
        if checksum == Checksum::Partial {
            // SAFETY: As above.
            let status = unsafe { k::skb_checksum_setup(raw, recompute) };
            if to_result(status).is_err() {
                return Err(skb);
            }
        }
        Ok(Received(skb, PhantomData))
    }
}
