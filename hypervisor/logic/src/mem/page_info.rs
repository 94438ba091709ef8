// SPDX-License-Identifier: GPL-2.0

//! What the frame table keeps for each machine frame, as Xen's `struct page_info`: who owns it, and how many references
//! there are to it or where the next free block is.

use super::frames::DomId;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Values of [`PageInfo::kind`]. Zero, which none of them is, means that the frame is not memory.
pub(super) mod kind {
    /// First frame of a free block.
    pub const FREE: u8 = 1;
    pub const HYPERVISOR: u8 = 2;
    pub const DOMAIN: u8 = 3;
    pub const RELEASED: u8 = 4;
    /// Inside a free block. Where memory has never been used, the kind is still zero.
    pub const FREE_TAIL: u8 = 5;
}

/// State of one frame. Zeroed memory is a valid array of frames that are not memory.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PageInfo {
    /// References to a domain's frame; the next block of a free list.
    pub(super) refs_or_next: u32,
    /// References that may write to a domain's frame; the previous block of a free list.
    pub(super) writers_or_prev: u32,
    pub(super) domain: DomId,
    pub(super) kind: u8,
    /// Binary logarithm of a block's size, at its first frame.
    pub(super) order: u8,
    pub(super) reserved: u32,
}

impl PageInfo {
    /// A frame of the hypervisor.
    pub(super) fn of_hypervisor() -> Self {
        Self {
            kind: kind::HYPERVISOR,
            ..Self::default()
        }
    }

    /// A frame of a domain, without references.
    pub(super) fn of_domain(domain: DomId) -> Self {
        Self {
            kind: kind::DOMAIN,
            domain,
            ..Self::default()
        }
    }
}

/// The array of all [`PageInfo`]s.
pub enum PageInfos {
    /// In frames that were reserved for it, as on the machine.
    Frames(&'static mut [PageInfo]),
    /// On the heap, as in tests.
    Heap(Vec<PageInfo>),
}

impl From<&'static mut [PageInfo]> for PageInfos {
    fn from(pages: &'static mut [PageInfo]) -> Self {
        // Links between free blocks have 32 bits, which reach 16 TiB.
        let reach = pages.len().min(u32::MAX as usize);
        Self::Frames(&mut pages[..reach])
    }
}

impl From<Vec<PageInfo>> for PageInfos {
    fn from(pages: Vec<PageInfo>) -> Self {
        Self::Heap(pages)
    }
}

impl Deref for PageInfos {
    type Target = [PageInfo];

    fn deref(&self) -> &[PageInfo] {
        match self {
            Self::Frames(pages) => pages,
            Self::Heap(pages) => pages,
        }
    }
}

impl DerefMut for PageInfos {
    fn deref_mut(&mut self) -> &mut [PageInfo] {
        match self {
            Self::Frames(pages) => pages,
            Self::Heap(pages) => pages,
        }
    }
}
