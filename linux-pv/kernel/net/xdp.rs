// SPDX-License-Identifier: GPL-2.0

//! XDP: programs of the user that see a packet before the network stack does, as bytes in a page.
//!
//! The page needs room before and behind the packet: programs may add headers, and what becomes of the packet may
//! need a structure at either end. A packet that comes without room before it is moved within its page.

use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{self, NonNull};

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed};
use kernel::sync::Arc;
use xen_bindings as b;

use super::{Device, Operations, PagePool, Poll, PoolPage};
use kernel::page::PAGE_SIZE;

/// Bytes that a program finds free before a packet (`XDP_PACKET_HEADROOM`).
pub const XDP_HEADROOM: u32 = b::XEN_RS_XDP_HEADROOM;

/// Largest packet in bytes, with its Ethernet header, that fits into a page with the room that programs need.
pub const MAX_XDP_LEN: u32 = PAGE_SIZE as u32 - XDP_HEADROOM - b::XEN_RS_XDP_TAILROOM;

/// Where a device keeps its program.
///
/// # Invariants
///
/// The pointer is null or a program of which this owns a reference. Programs are freed by RCU.
pub(super) struct ProgramSlot(Atomic<*mut k::bpf_prog>);

impl ProgramSlot {
    pub(super) const fn new() -> Self {
        Self(Atomic::new(ptr::null_mut()))
    }

    #[inline]
    pub(super) fn is_set(&self) -> bool {
        !self.0.load(Relaxed).is_null()
    }

    /// Replaces the program.
    ///
    /// # Safety
    ///
    /// `new` is null or a program of which the caller hands over a reference.
    pub(super) unsafe fn set(&self, new: *mut k::bpf_prog) {
        // INVARIANT: By the requirement of this function.
        let old = self.0.xchg(new, Full);
        if !old.is_null() {
            // SAFETY: By the type invariant, the reference is ours. Whoever runs the program is in an RCU
            // read-side section.
            unsafe { b::xen_rs_bpf_put(old) };
        }
    }
}

impl Drop for ProgramSlot {
    fn drop(&mut self) {
        // SAFETY: Null is allowed.
        unsafe { self.set(ptr::null_mut()) }
    }
}

/// A program, during a poll.
///
/// # Invariants
///
/// `0` is a program, and the poll function that runs for `'a` is an RCU read-side section, in which it stays.
pub struct Program<'a>(NonNull<k::bpf_prog>, PhantomData<&'a ()>);

/// What a program wants done with a packet (`enum xdp_action`), carried out as far as that needs no
/// driver.
pub enum XdpAction {
    /// The packet goes on to the stack, from this offset and of this length in its page.
    Pass(PoolPage, u32, u32),
    /// It is to be sent by this device.
    Tx(XdpFrame),
    /// It was passed to another device, program or CPU.
    Redirect,
    /// It is dropped, as the program wants.
    Drop,
    /// It is dropped, since the program or what it wanted has failed.
    Aborted,
}

impl<T: Operations> Poll<'_, T> {
    /// The program that packets have to go through, if there is one; none for netpoll, which receives
    /// nothing.
    #[inline]
    pub fn program(&self) -> Option<Program<'_>> {
        // Programs want the context (`bpf_net_context`) that the kernel sets up for NAPI only.
        if self.budget() == 0 {
            return None;
        }
        let program = self.device().program().0.load(Acquire);
        // INVARIANT: A poll function that receives runs with softirqs off, which is an RCU read-side section.
        Some(Program(NonNull::new(program)?, PhantomData))
    }
}

impl Program<'_> {
    /// Runs the program on the packet of `len` bytes at `offset` in `page`, which is of the pool of `queue`.
    pub fn run<T: Operations>(
        &self,
        poll: &Poll<'_, T>,
        queue: &XdpQueue<T>,
        page: PoolPage,
        offset: u32,
        len: u32,
    ) -> XdpAction {
        let dev = poll.device();
        let ready = ptr::eq(dev, &*queue.dev) && queue.queue == poll.queue();
        let end = offset.saturating_add(len);
        if !ready || len > MAX_XDP_LEN || end > PAGE_SIZE as u32 {
            return XdpAction::Aborted;
        }
        let start = page.address();
        let wanted = XDP_HEADROOM + MAX_XDP_LEN;
        let offset = if offset < XDP_HEADROOM || end > wanted {
            // SAFETY: Both ranges are within the page, which nobody else refers to.
            unsafe {
                b::xen_rs_move(
                    start.wrapping_add(XDP_HEADROOM as usize).cast(),
                    start.wrapping_add(offset as usize).cast(),
                    len as usize,
                )
            };
            XDP_HEADROOM
        } else {
            offset
        };
        let mut buffer = MaybeUninit::<b::xdp_buff>::zeroed();
        let raw = buffer.as_mut_ptr();
        // SAFETY: `raw` is valid for writes; the range is within the page, and the queue exists.
        unsafe {
            b::xen_rs_xdp_prepare(raw, dev.as_ptr(), poll.queue(), start.cast(), offset, len)
        };
        // SAFETY: The program is valid by the type invariant, the buffer prepared.
        let action = unsafe { b::xen_rs_xdp_run(self.0.as_ptr(), raw) };
        match action {
            b::XEN_RS_XDP_PASS => {
                // SAFETY: The program has left the packet within the page.
                let (data, len) = unsafe { (b::xen_rs_xdp_data(raw), b::xen_rs_xdp_len(raw)) };
                let offset = (data as usize).wrapping_sub(start as usize);
                return XdpAction::Pass(page, offset as u32, len);
            }
            b::XEN_RS_XDP_DROP => return XdpAction::Drop,
            b::XEN_RS_XDP_TX => {
                // SAFETY: The buffer is one of ours; there is room behind it, and the function checks before it.
                let frame = unsafe { b::xen_rs_xdp_to_frame(raw) };
                if let Some(frame) = NonNull::new(frame) {
                    // The frame lies in the page and owns it.
                    let _ = page.into_raw();
                    // INVARIANT: Just made.
                    return XdpAction::Tx(XdpFrame(frame));
                }
            }
            b::XEN_RS_XDP_REDIRECT => {
                // SAFETY: As above; the page is handed over if this succeeds.
                let status = unsafe { b::xdp_do_redirect(dev.as_ptr(), raw, self.0.as_ptr()) };
                if to_result(status).is_ok() {
                    let _ = page.into_raw();
                    poll.flush_later();
                    return XdpAction::Redirect;
                }
            }
            _ => {}
        }
        // SAFETY: Device and program are valid.
        unsafe { b::xen_rs_xdp_exception(dev.as_ptr(), self.0.as_ptr(), action) };
        XdpAction::Aborted
    }
}

/// A packet in a page, on its way out (`struct xdp_frame`). Dropping it gives the page back to whom it is from.
///
/// # Invariants
///
/// `0` is a frame that nobody else owns.
pub struct XdpFrame(NonNull<k::xdp_frame>);

// SAFETY: A frame belongs to no context.
unsafe impl Send for XdpFrame {}
// SAFETY: What can be done through a shared reference only reads.
unsafe impl Sync for XdpFrame {}

impl XdpFrame {
    /// # Safety
    ///
    /// `raw` is a frame that is handed over.
    #[inline]
    pub(super) unsafe fn from_raw(raw: NonNull<k::xdp_frame>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(raw)
    }

    #[inline]
    pub(super) fn into_raw(self) -> *mut k::xdp_frame {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Bytes of the packet.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_xdp_frame_len(self.0.as_ptr()) }
    }

    /// Address and length of the data, which lie in one piece of memory unless the frame has fragments.
    pub fn bytes(&self) -> (*const u8, usize) {
        // SAFETY: By the type invariant.
        let data = unsafe { b::xen_rs_xdp_frame_data(self.0.as_ptr()) };
        (data.cast(), self.len() as usize)
    }

    /// Page, offset and length, if the packet lies in one page.
    pub fn part(&self) -> Option<(*mut k::page, u16, u16)> {
        // SAFETY: By the type invariant.
        let (data, plain) = unsafe {
            (
                b::xen_rs_xdp_frame_data(self.0.as_ptr()),
                b::xen_rs_xdp_frame_is_plain(self.0.as_ptr()),
            )
        };
        let offset = data as usize % PAGE_SIZE;
        if !plain || offset + self.len() as usize > PAGE_SIZE {
            return None;
        }
        // SAFETY: The data of a frame is in the kernel's direct mapping.
        let page = unsafe { b::xen_rs_virt_to_page(data) };
        Some((page, offset as u16, self.len() as u16))
    }
}

impl Drop for XdpFrame {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::xdp_return_frame(self.0.as_ptr()) }
    }
}

/// Lets programs run on the packets of a queue, whose pages are from one pool. There is one at a time for a queue.
///
/// # Invariants
///
/// The queue's receive information is registered, and `has_xdp` of the queue set, since this was made.
pub struct XdpQueue<T: Operations> {
    dev: Arc<Device<T>>,
    queue: u32,
}

impl<T: Operations> XdpQueue<T> {
    /// Registers a queue with its pool. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such queue, `EBUSY` if it is registered; what the kernel says.
    pub fn new(dev: &Arc<Device<T>>, queue: u32, pool: &PagePool) -> Result<Self> {
        let has_xdp = &dev.queue(queue).ok_or(EINVAL)?.has_xdp;
        if has_xdp.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: The queue exists and is not registered; the pool is valid, and counts this as a user.
        let status = unsafe { b::xen_rs_xdp_register(dev.as_ptr(), queue, pool.as_ptr()) };
        if let Err(error) = to_result(status) {
            has_xdp.store(false, Relaxed);
            return Err(error);
        }
        // INVARIANT: Just registered.
        Ok(Self {
            dev: dev.clone(),
            queue,
        })
    }
}

impl<T: Operations> Drop for XdpQueue<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. Programs only run while this is borrowed.
        unsafe { b::xen_rs_xdp_unregister(self.dev.as_ptr(), self.queue) };
        if let Some(queue) = self.dev.queue(self.queue) {
            queue.has_xdp.store(false, Relaxed);
        }
    }
}
