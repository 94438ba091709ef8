// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/gntdev`, `uapi/xen/gntdev.h`.
//!
//! What is to be mapped gets an index, which is the offset to map it at.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Request numbers (`IOCTL_GNTDEV_*`).
pub mod ioctl {
    use super::super::ioc;
    use core::mem::size_of;

    /// Announces grants that are to be mapped; takes [`MapGrantRef`](super::MapGrantRef).
    pub const MAP_GRANT_REF: u32 = ioc(b'G', 0, size_of::<super::MapGrantRef>());
    /// Undoes that; takes [`UnmapGrantRef`](super::UnmapGrantRef).
    pub const UNMAP_GRANT_REF: u32 = ioc(b'G', 1, size_of::<super::UnmapGrantRef>());
    /// Tells what is mapped at an address; takes [`GetOffsetForVaddr`](super::GetOffsetForVaddr).
    pub const GET_OFFSET_FOR_VADDR: u32 = ioc(b'G', 2, size_of::<super::GetOffsetForVaddr>());
    /// Says what is to happen when grants are unmapped; takes
    /// [`UnmapNotify`](crate::linux::gntalloc::UnmapNotify).
    pub const SET_UNMAP_NOTIFY: u32 =
        ioc(b'G', 7, size_of::<crate::linux::gntalloc::UnmapNotify>());
    /// Copies between grants and the program's memory; takes [`GrantCopy`](super::GrantCopy).
    pub const GRANT_COPY: u32 = ioc(b'G', 8, size_of::<super::GrantCopy>());
    /// Makes a dma-buf of grants; takes [`DmabufExpFromRefs`](super::DmabufExpFromRefs).
    pub const DMABUF_EXP_FROM_REFS: u32 = ioc(b'G', 9, size_of::<super::DmabufExpFromRefs>());
    /// Waits until such a dma-buf is no longer used; takes
    /// [`DmabufExpWaitReleased`](super::DmabufExpWaitReleased).
    pub const DMABUF_EXP_WAIT_RELEASED: u32 =
        ioc(b'G', 10, size_of::<super::DmabufExpWaitReleased>());
    /// Grants the pages of a dma-buf to a domain; takes [`DmabufImpToRefs`](super::DmabufImpToRefs).
    pub const DMABUF_IMP_TO_REFS: u32 = ioc(b'G', 11, size_of::<super::DmabufImpToRefs>());
    /// Ends that; takes [`DmabufImpRelease`](super::DmabufImpRelease).
    pub const DMABUF_IMP_RELEASE: u32 = ioc(b'G', 12, size_of::<super::DmabufImpRelease>());
}

/// What memory a dma-buf of grants is to be made of (`GNTDEV_DMA_FLAG_*`).
pub mod dma_flag {
    /// Such as `dma_alloc_wc` has.
    pub const WC: u32 = 1 << 0;
    /// Such as `dma_alloc_coherent` has.
    pub const COHERENT: u32 = 1 << 1;
}

args! {
    /// A grant of another domain's.
    GrantRef {
        /// The domain; the upper half counts for nothing.
        domid: u32,
        /// The grant reference.
        reference: u32,
    }
}

args! {
    /// Argument of [`ioctl::MAP_GRANT_REF`].
    MapGrantRef {
        /// In: how many grants.
        count: u32,
        /// Nothing.
        pad: u32,
        /// Out.
        index: u64,
        /// In: the first of the grants, which go on after this.
        refs: [GrantRef; 1],
    }
}

args! {
    /// Argument of [`ioctl::UNMAP_GRANT_REF`].
    UnmapGrantRef {
        /// Where they begin.
        index: u64,
        /// How many, or 0.
        count: u32,
        /// Nothing.
        pad: u32,
    }
}

args! {
    /// Argument of [`ioctl::GET_OFFSET_FOR_VADDR`].
    GetOffsetForVaddr {
        /// In.
        vaddr: u64,
        /// Out: the index.
        offset: u64,
        /// Out: how many grants.
        count: u32,
        /// Nothing.
        pad: u32,
    }
}

args! {
    /// A part of [`GrantCopy`].
    CopySegment {
        /// An address of the program's, or a grant reference of 32 bits, then an offset and a domain of 16.
        source: u64,
        /// The same.
        dest: u64,
        /// Bytes.
        len: u16,
        /// Which of the two is a grant ([`crate::grant_table::op::copy_flag`]).
        flags: u16,
        /// Out ([`crate::grant_table::status`]).
        status: i16,
        /// Nothing.
        pad: u16,
    }
}

args! {
    /// Argument of [`ioctl::GRANT_COPY`].
    GrantCopy {
        /// How many parts.
        count: u32,
        /// Nothing.
        pad: u32,
        /// Address of an array of [`CopySegment`].
        segments: u64,
    }
}

args! {
    /// Argument of [`ioctl::DMABUF_EXP_FROM_REFS`].
    DmabufExpFromRefs {
        /// In ([`dma_flag`]).
        flags: u32,
        /// In: how many grants.
        count: u32,
        /// Out: file descriptor of the dma-buf.
        fd: u32,
        /// In: the domain whose grants they are; the upper half counts for nothing.
        domid: u32,
        /// In: the first of the references, which go on after this.
        refs: [u32; 1],
    }
}

args! {
    /// Argument of [`ioctl::DMABUF_EXP_WAIT_RELEASED`].
    DmabufExpWaitReleased {
        /// File descriptor that the dma-buf had at first.
        fd: u32,
        /// How long to wait, in milliseconds; from 2^31 on, for ever.
        wait_to_ms: u32,
    }
}

args! {
    /// Argument of [`ioctl::DMABUF_IMP_TO_REFS`].
    DmabufImpToRefs {
        /// In: file descriptor of the dma-buf.
        fd: u32,
        /// In: how many pages it has.
        count: u32,
        /// In: the domain that they are granted to; the upper half counts for nothing.
        domid: u32,
        /// Nothing.
        reserved: u32,
        /// Out: the first of the references, which go on after this.
        refs: [u32; 1],
    }
}

args! {
    /// Argument of [`ioctl::DMABUF_IMP_RELEASE`].
    DmabufImpRelease {
        /// File descriptor that the dma-buf had when it was imported.
        fd: u32,
        /// Nothing.
        reserved: u32,
    }
}
