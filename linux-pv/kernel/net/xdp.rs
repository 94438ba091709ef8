// SPDX-License-Identifier: GPL-2.0

//! XDP: programs that process a packet before the network stack.
//!
//! A packet is in a page, with room before and after it for headers that programs add and for
//! structures of the kernel. A packet without enough room before it is moved within its page.

use core::{
    marker::PhantomData,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    bindings as k,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    },
};

use xen_bindings as b;

use super::{
    Device,
    Operations,
    PagePool,
    Poll,
    PoolPage, //
};

/// Bytes of room before a packet (`XDP_PACKET_HEADROOM`).
pub const XDP_HEADROOM: u32 = b::XEN_RS_XDP_HEADROOM;

/// Maximum length in bytes of a packet, with its Ethernet header, that fits into a page with the
/// required room.
pub const MAX_XDP_LEN: u32 = PAGE_SIZE as u32 - XDP_HEADROOM - b::XEN_RS_XDP_TAILROOM;

/// The program of a device.
///
/// # Invariants
///
/// The pointer is null, or a program to which this value owns a reference. Programs are freed after
/// an RCU grace period.
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
    /// `new` is null, or a program to which the caller owns a reference, which is taken.
    pub(super) unsafe fn set(&self, new: *mut k::bpf_prog) {
        // INVARIANT: By the requirement of this function.
        let old = self.0.xchg(new, Full);
        if !old.is_null() {
            // SAFETY: By the type invariant this value owned a reference. The program runs only in
            // RCU read sections.
            unsafe { b::xen_rs_bpf_put(old) };
        }
    }
}

impl Drop for ProgramSlot {
    fn drop(&mut self) {
        // SAFETY: The pointer is null.
        unsafe { self.set(ptr::null_mut()) }
    }
}

/// A program, borrowed for a poll.
///
/// # Invariants
///
/// `0` is a valid program for `'a`, in which a poll runs as an RCU read section.
pub struct Program<'a>(NonNull<k::bpf_prog>, PhantomData<&'a ()>);

/// Result of a program (`enum xdp_action`), for the driver to carry out.
pub enum XdpAction {
    /// The packet is to be passed to the stack: its page, and offset and length in it.
    Pass(PoolPage, u32, u32),
    /// The packet is to be sent by this device.
    Tx(XdpFrame),
    /// The packet was redirected to another device, program or CPU.
    Redirect,
    /// The packet was dropped by the program.
    Drop,
    /// The packet was dropped, since the program or its action failed.
    Aborted,
}

impl<T: Operations> Poll<'_, T> {
    /// The attached program, if there is one; none for netpoll, which receives nothing.
    #[inline]
    pub fn program(&self) -> Option<Program<'_>> {
        // Programs need a context (`bpf_net_context`), which the kernel sets up for NAPI only.
        if self.budget() == 0 {
            return None;
        }
        let program = self.device().program().0.load(Acquire);
        // INVARIANT: A poll with a budget runs with softirqs disabled, which is an RCU read
        // section.
        Some(Program(NonNull::new(program)?, PhantomData))
    }
}

impl Program<'_> {
    /// Runs the program on the packet of `len` bytes at `offset` in `page`, which is from the pool
    /// of `queue`.
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
            // SAFETY: Both ranges are within the page, which is owned.
            unsafe {
                ptr::copy(
                    start.wrapping_add(offset as usize),
                    start.wrapping_add(XDP_HEADROOM as usize),
                    len as usize,
                )
            };
            XDP_HEADROOM
        } else {
            offset
        };
        let mut buffer = MaybeUninit::<b::xdp_buff>::zeroed();
        let raw = buffer.as_mut_ptr();
        // SAFETY: `raw` is a local; the range is within the page, and the queue exists.
        unsafe {
            b::xen_rs_xdp_prepare(raw, dev.as_ptr(), poll.queue(), start.cast(), offset, len)
        };
        // SAFETY: The program is valid by the type invariant; the buffer is prepared.
        let action = unsafe { b::xen_rs_xdp_run(self.0.as_ptr(), raw) };
        match action {
            b::XEN_RS_XDP_PASS => {
                // SAFETY: The buffer is prepared; the verifier ensures that a program keeps the
                // packet within the page.
                let (data, len) = unsafe { (b::xen_rs_xdp_data(raw), b::xen_rs_xdp_len(raw)) };
                let offset = (data as usize).wrapping_sub(start as usize);
                return XdpAction::Pass(page, offset as u32, len);
            }
            b::XEN_RS_XDP_DROP => return XdpAction::Drop,
            b::XEN_RS_XDP_TX => {
                // SAFETY: The buffer is prepared with room after the packet; the function checks
                // the room before it.
                let frame = unsafe { b::xen_rs_xdp_to_frame(raw) };
                if let Some(frame) = NonNull::new(frame) {
                    // The frame is in the page and owns it.
                    let _ = page.into_raw();
                    // INVARIANT: The frame was just made.
                    return XdpAction::Tx(XdpFrame(frame));
                }
            }
            b::XEN_RS_XDP_REDIRECT => {
                // SAFETY: Device and program are valid, the buffer is prepared. The function takes
                // the page if it succeeds.
                let status = unsafe { b::xdp_do_redirect(dev.as_ptr(), raw, self.0.as_ptr()) };
                if to_result(status).is_ok() {
                    let _ = page.into_raw();
                    poll.flush_later();
                    return XdpAction::Redirect;
                }
            }
            _ => {}
        }
        // SAFETY: Device and program are valid by the invariants of their types.
        unsafe { b::xen_rs_xdp_exception(dev.as_ptr(), self.0.as_ptr(), action) };
        XdpAction::Aborted
    }
}

/// A packet in a page that is to be sent (`struct xdp_frame`). Dropping it returns the page to its
/// source.
///
/// # Invariants
///
/// `0` is a valid frame that this value owns.
pub struct XdpFrame(NonNull<k::xdp_frame>);

// SAFETY: The owner of a frame may use it in any context.
unsafe impl Send for XdpFrame {}
// SAFETY: The functions that take a shared reference only read.
unsafe impl Sync for XdpFrame {}

impl XdpFrame {
    /// # Safety
    ///
    /// `raw` is a valid frame that the caller owns.
    #[inline]
    pub(super) unsafe fn from_raw(raw: NonNull<k::xdp_frame>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(raw)
    }

    #[inline]
    pub(super) fn into_raw(self) -> *mut k::xdp_frame {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Length of the packet in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        // SAFETY: By the type invariant the frame is valid.
        unsafe { b::xen_rs_xdp_frame_len(self.0.as_ptr()) }
    }

    /// Address and length of the data, which is contiguous unless the frame has fragments.
    pub fn bytes(&self) -> (*const u8, usize) {
        // SAFETY: By the type invariant the frame is valid.
        let data = unsafe { b::xen_rs_xdp_frame_data(self.0.as_ptr()) };
        (data.cast(), self.len() as usize)
    }

    /// Page, offset and length, if the packet is within one page.
    pub fn part(&self) -> Option<(*mut k::page, u16, u16)> {
        // SAFETY: By the type invariant the frame is valid.
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
        // SAFETY: The data of a frame is in the kernel's direct map.
        let page = unsafe { b::xen_rs_virt_to_page(data) };
        Some((page, offset as u16, self.len() as u16))
    }
}

impl Drop for XdpFrame {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns the frame.
        unsafe { b::xdp_return_frame(self.0.as_ptr()) }
    }
}

/// The registration of a queue for XDP (`struct xdp_rxq_info`), with the pool of its pages. There
/// is one at a time for a queue.
///
/// # Invariants
///
/// This value has registered the queue, and set its `has_xdp`.
pub struct XdpQueue<T: Operations> {
    dev: Arc<Device<T>>,
    queue: u32,
}

impl<T: Operations> XdpQueue<T> {
    /// Registers a queue with its pool. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such queue, `EBUSY` if it is registered; errors of
    /// `xdp_rxq_info_reg`.
    pub fn new(dev: &Arc<Device<T>>, queue: u32, pool: &PagePool) -> Result<Self> {
        let has_xdp = &dev.queue(queue).ok_or(EINVAL)?.has_xdp;
        if has_xdp.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: The queue exists and is not registered. The pool is valid, and the function takes
        // a reference to it.
        let status = unsafe { b::xen_rs_xdp_register(dev.as_ptr(), queue, pool.as_ptr()) };
        if let Err(error) = to_result(status) {
            has_xdp.store(false, Relaxed);
            return Err(error);
        }
        // INVARIANT: The queue is registered above.
        Ok(Self {
            dev: dev.clone(),
            queue,
        })
    }
}

impl<T: Operations> Drop for XdpQueue<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the queue is registered. Programs run only while this value
        // is borrowed.
        unsafe { b::xen_rs_xdp_unregister(self.dev.as_ptr(), self.queue) };
        if let Some(queue) = self.dev.queue(self.queue) {
            queue.has_xdp.store(false, Relaxed);
        }
    }
}
