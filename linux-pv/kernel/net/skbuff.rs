// SPDX-License-Identifier: GPL-2.0

//! Packets and who owns them.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use kernel::bindings as k;
use xen_bindings as b;

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

/// What is known of a packet's checksum (`ip_summed`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// Nothing; to be verified in software (`CHECKSUM_NONE`).
    None,
    /// It is right, or does not matter (`CHECKSUM_UNNECESSARY`).
    Unnecessary,
    /// It is still to be filled in (`CHECKSUM_PARTIAL`).
    Partial,
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
    pub(super) fn as_raw(&self) -> NonNull<k::sk_buff> {
        self.0
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

/// A packet that belongs to the network stack, borrowed for a callback.
///
/// # Invariants
///
/// `0` is a live packet for `'a`, in which nobody else changes anything.
pub struct SkBuffRef<'a>(NonNull<k::sk_buff>, PhantomData<&'a mut k::sk_buff>);

impl SkBuffRef<'_> {
    /// # Safety
    ///
    /// `raw` is a live packet for as long as the result is used, and nobody else changes it.
    #[inline]
    pub(super) unsafe fn from_raw(raw: NonNull<k::sk_buff>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(raw, PhantomData)
    }

    /// A number that is the same for all packets of a flow. It is kept with the packet.
    #[inline]
    pub fn flow_hash(&mut self) -> u32 {
        // SAFETY: By the type invariant the packet is live, and may be changed.
        unsafe { b::xen_rs_skb_hash(self.0.as_ptr()) }
    }
}

/// One of several references to a packet that is not changed any more, the last of which frees it.
///
/// # Invariants
///
/// `0` is a live packet, of which this owns a reference.
pub struct SharedPacket(NonNull<k::sk_buff>);

// SAFETY: References to packets may be put in any context.
unsafe impl Send for SharedPacket {}
// SAFETY: It gives no access to the packet.
unsafe impl Sync for SharedPacket {}

impl SharedPacket {
    /// # Safety
    ///
    /// `raw` is a live packet that nobody changes any more, and a reference to it is handed over.
    #[inline]
    pub unsafe fn from_raw(raw: NonNull<k::sk_buff>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(raw)
    }

    /// Another reference to the same packet.
    #[inline]
    pub fn another(&self) -> Self {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_skb_get(self.0.as_ptr()) };
        // INVARIANT: A reference was just taken.
        Self(self.0)
    }

    #[inline]
    pub(super) fn into_raw(self) -> NonNull<k::sk_buff> {
        ManuallyDrop::new(self).0
    }
}

impl Drop for SharedPacket {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_skb_drop(self.0.as_ptr()) }
    }
}
