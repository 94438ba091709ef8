// SPDX-License-Identifier: GPL-2.0

//! Packets and their ownership.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::bindings as k;
use xen_bindings as b;

/// A packet (`struct sk_buff`) that the driver owns. Dropping it counts as a dropped packet, in any
/// context; a packet that was handled is [consumed](Self::consume) instead.
///
/// # Invariants
///
/// `0` is a live packet that this value owns.
pub struct SkBuff(NonNull<k::sk_buff>);

// SAFETY: The owner of a packet may use it in any context.
unsafe impl Send for SkBuff {}
// SAFETY: The functions that take a shared reference only read.
unsafe impl Sync for SkBuff {}

/// State of a packet's checksum (`ip_summed`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// To be verified in software (`CHECKSUM_NONE`).
    None,
    /// Verified, or not needed (`CHECKSUM_UNNECESSARY`).
    Unnecessary,
    /// To be completed (`CHECKSUM_PARTIAL`).
    Partial,
}

impl SkBuff {
    /// Takes the ownership of a packet.
    ///
    /// # Safety
    ///
    /// `raw` is a live packet that the caller owns.
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
    pub(super) fn as_raw(&self) -> NonNull<k::sk_buff> {
        self.0
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut k::sk_buff {
        self.0.as_ptr()
    }

    /// Length of the packet in bytes, from the Ethernet header on.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        // SAFETY: By the type invariant the packet is live.
        unsafe { (*self.as_ptr()).len }
    }

    /// Frees a packet that was handled. Any context.
    #[inline]
    pub fn consume(self) {
        // SAFETY: By the type invariant the packet is owned; it is not used afterwards.
        unsafe { b::xen_rs_skb_consume(self.into_raw().as_ptr()) }
    }
}

impl Drop for SkBuff {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the packet is owned; it is not used afterwards.
        unsafe { b::xen_rs_skb_drop(self.0.as_ptr()) }
    }
}

/// A packet of the network stack, borrowed for a callback.
///
/// # Invariants
///
/// `0` is a live packet for `'a`, and accessed through this value only.
pub struct SkBuffRef<'a>(NonNull<k::sk_buff>, PhantomData<&'a mut k::sk_buff>);

impl SkBuffRef<'_> {
    /// # Safety
    ///
    /// `raw` is a live packet as long as the result is used, and not accessed otherwise.
    #[inline]
    pub(super) unsafe fn from_raw(raw: NonNull<k::sk_buff>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(raw, PhantomData)
    }

    /// The hash of the packet's flow, which is stored in the packet.
    #[inline]
    pub fn flow_hash(&mut self) -> u32 {
        // SAFETY: By the type invariant the packet is live, and accessed here only.
        unsafe { b::xen_rs_skb_hash(self.0.as_ptr()) }
    }
}

/// A reference to a packet that is not changed any more. The last reference frees it.
///
/// # Invariants
///
/// `0` is a live packet, to which this value owns a reference.
pub struct SharedPacket(NonNull<k::sk_buff>);

// SAFETY: References to packets may be put in any context.
unsafe impl Send for SharedPacket {}
// SAFETY: There is no access to the packet through it.
unsafe impl Sync for SharedPacket {}

impl SharedPacket {
    /// # Safety
    ///
    /// `raw` is a live packet that is not changed any more, and the caller owns a reference to it.
    #[inline]
    pub unsafe fn from_raw(raw: NonNull<k::sk_buff>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(raw)
    }

    /// Another reference to the same packet.
    #[inline]
    pub fn another(&self) -> Self {
        // SAFETY: By the type invariant the packet is live.
        unsafe { b::xen_rs_skb_get(self.0.as_ptr()) };
        // INVARIANT: A reference was just taken.
        Self(self.0)
    }

    /// Detaches the packet from its socket and connection, which would wait for it. A socket that
    /// waits for the packet's pages (zero copy) goes on waiting. Any context; of all who have
    /// references, only one may do this at a time.
    #[cold]
    pub fn disown(&self) {
        // SAFETY: By the type invariant the packet is live.
        unsafe { b::xen_rs_skb_disown(self.0.as_ptr()) }
    }

    #[inline]
    pub(super) fn into_raw(self) -> NonNull<k::sk_buff> {
        ManuallyDrop::new(self).0
    }
}

impl Drop for SharedPacket {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns a reference, which is not used afterwards.
        unsafe { b::xen_rs_skb_drop(self.0.as_ptr()) }
    }
}
