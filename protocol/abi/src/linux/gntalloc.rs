// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/gntalloc`, `uapi/xen/gntalloc.h`.
//!
//! What is allocated gets an index, which is the offset to map it at.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Request numbers (`IOCTL_GNTALLOC_*`).
pub mod ioctl {
    use super::super::ioc;
    use core::mem::size_of;

    /// Makes pages and grants them to a domain; takes [`AllocGref`](super::AllocGref).
    pub const ALLOC_GREF: u32 = ioc(b'G', 5, size_of::<super::AllocGref>());
    /// Gives pages up; takes [`DeallocGref`](super::DeallocGref).
    pub const DEALLOC_GREF: u32 = ioc(b'G', 6, size_of::<super::DeallocGref>());
    /// Says what is to happen when a page goes; takes [`UnmapNotify`](super::UnmapNotify).
    pub const SET_UNMAP_NOTIFY: u32 = ioc(b'G', 7, size_of::<super::UnmapNotify>());
}

/// Flag of [`AllocGref::flags`]: the domain may write (`GNTALLOC_FLAG_WRITABLE`).
pub const FLAG_WRITABLE: u16 = 1;

/// Bit of [`UnmapNotify::action`]: clear the byte at the index (`UNMAP_NOTIFY_CLEAR_BYTE`).
pub const UNMAP_NOTIFY_CLEAR_BYTE: u32 = 1;
/// Bit of [`UnmapNotify::action`]: send an event (`UNMAP_NOTIFY_SEND_EVENT`).
pub const UNMAP_NOTIFY_SEND_EVENT: u32 = 2;

args! {
    /// Argument of [`ioctl::ALLOC_GREF`].
    AllocGref {
        /// In: the domain.
        domid: u16,
        /// In: [`FLAG_WRITABLE`] or nothing.
        flags: u16,
        /// In: how many pages.
        count: u32,
        /// Out: the first page's index; each further page's is a page more.
        index: u64,
        /// Out: the first of as many grant references as there are pages, which go on after this.
        gref_ids: [u32; 1],
        /// Nothing.
        pad: u32,
    }
}

args! {
    /// Argument of [`ioctl::DEALLOC_GREF`].
    DeallocGref {
        /// The first page's index.
        index: u64,
        /// How many pages.
        count: u32,
        /// Nothing.
        pad: u32,
    }
}

args! {
    /// Argument of [`ioctl::SET_UNMAP_NOTIFY`].
    UnmapNotify {
        /// The index of a byte of the page in question.
        index: u64,
        /// [`UNMAP_NOTIFY_CLEAR_BYTE`] and [`UNMAP_NOTIFY_SEND_EVENT`].
        action: u32,
        /// The port that the event is sent to.
        event_channel_port: u32,
    }
}
