// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/privcmd`, `uapi/xen/privcmd.h`. (`/dev/xen/hypercall` knows `mmap` only.)

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Request numbers (`IOCTL_PRIVCMD_*`).
pub mod ioctl {
    use super::super::{ioc, iow};
    use core::mem::size_of;

    /// Makes a hypercall and returns its result; takes [`Hypercall`](super::Hypercall).
    pub const HYPERCALL: u32 = ioc(b'P', 0, size_of::<super::Hypercall>());
    /// Maps ranges of a domain's frames (PV); takes [`Mmap`](super::Mmap).
    pub const MMAP: u32 = ioc(b'P', 2, size_of::<super::Mmap>());
    /// Maps a list of a domain's frames; takes [`MmapBatch`](super::MmapBatch).
    pub const MMAPBATCH: u32 = ioc(b'P', 3, size_of::<super::MmapBatch>());
    /// The same with errors apart; takes [`MmapBatchV2`](super::MmapBatchV2).
    pub const MMAPBATCH_V2: u32 = ioc(b'P', 4, size_of::<super::MmapBatchV2>());
    /// Makes a device model's hypercall; takes [`DmOp`](super::DmOp).
    pub const DM_OP: u32 = ioc(b'P', 5, size_of::<super::DmOp>());
    /// Limits the file to one domain, for good; takes the domain's number, 16 bits.
    pub const RESTRICT: u32 = ioc(b'P', 6, size_of::<u16>());
    /// Maps a resource of a domain, or tells its size; takes [`MmapResource`](super::MmapResource).
    pub const MMAP_RESOURCE: u32 = ioc(b'P', 7, size_of::<super::MmapResource>());
    /// Has an eventfd make a device model's hypercall; takes [`Irqfd`](super::Irqfd).
    pub const IRQFD: u32 = iow(b'P', 8, size_of::<super::Irqfd>());
    /// Has a domain's accesses signal an eventfd; takes [`Ioeventfd`](super::Ioeventfd).
    pub const IOEVENTFD: u32 = iow(b'P', 9, size_of::<super::Ioeventfd>());
    /// Tells the GSI of a PCI device; takes [`PcidevGetGsi`](super::PcidevGetGsi).
    pub const PCIDEV_GET_GSI: u32 = ioc(b'P', 10, size_of::<super::PcidevGetGsi>());
}

/// What [`ioctl::MMAPBATCH`] adds to a frame that it could not map (`PRIVCMD_MMAPBATCH_MFN_ERROR`).
pub const MMAPBATCH_MFN_ERROR: u32 = 0xf000_0000;
/// What it adds to one that is paged out (`PRIVCMD_MMAPBATCH_PAGED_ERROR`).
pub const MMAPBATCH_PAGED_ERROR: u32 = 0x8000_0000;

/// Flag of [`Irqfd::flags`]: undo it (`PRIVCMD_IRQFD_FLAG_DEASSIGN`).
pub const IRQFD_FLAG_DEASSIGN: u32 = 1;
/// Flag of [`Ioeventfd::flags`]: undo it (`PRIVCMD_IOEVENTFD_FLAG_DEASSIGN`).
pub const IOEVENTFD_FLAG_DEASSIGN: u32 = 1;

args! {
    /// Argument of [`ioctl::HYPERCALL`].
    Hypercall {
        /// Which one ([`crate::xen::hypercall`]); the upper half counts for nothing.
        op: u64,
        /// Its arguments.
        arg: [u64; 5],
    }
}

args! {
    /// A range of frames.
    MmapEntry {
        /// Address to map it at.
        va: u64,
        /// The first frame.
        mfn: u64,
        /// How many.
        npages: u64,
    }
}

args! {
    /// Argument of [`ioctl::MMAP`].
    Mmap {
        /// How many ranges.
        num: u32,
        /// Whose frames.
        dom: u16,
        /// Nothing.
        pad: u16,
        /// Address of an array of [`MmapEntry`].
        entry: u64,
    }
}

args! {
    /// Argument of [`ioctl::MMAPBATCH`].
    MmapBatch {
        /// How many frames.
        num: u32,
        /// Whose.
        dom: u16,
        /// Nothing.
        pad: u16,
        /// Address to map them at.
        addr: u64,
        /// Address of an array of frame numbers; errors are added there.
        arr: u64,
    }
}

args! {
    /// Argument of [`ioctl::MMAPBATCH_V2`].
    MmapBatchV2 {
        /// How many frames.
        num: u32,
        /// Whose.
        dom: u16,
        /// Nothing.
        pad: u16,
        /// Address to map them at.
        addr: u64,
        /// Address of an array of frame numbers.
        arr: u64,
        /// Address of an array for an error a frame, of 32 bits.
        err: u64,
    }
}

args! {
    /// A buffer of [`DmOp`].
    DmOpBuf {
        /// Its address.
        uptr: u64,
        /// Its bytes.
        size: u64,
    }
}

args! {
    /// Argument of [`ioctl::DM_OP`].
    DmOp {
        /// The domain in question.
        dom: u16,
        /// How many buffers.
        num: u16,
        /// Nothing.
        pad: u32,
        /// Address of an array of [`DmOpBuf`].
        ubufs: u64,
    }
}

args! {
    /// Argument of [`ioctl::MMAP_RESOURCE`].
    MmapResource {
        /// Whose resource.
        dom: u16,
        /// Nothing.
        pad: u16,
        /// What kind.
        kind: u32,
        /// Which one of that kind.
        id: u32,
        /// Its first frame to map.
        idx: u32,
        /// How many frames; 0, with no address, to be told.
        num: u64,
        /// Address to map them at.
        addr: u64,
    }
}

args! {
    /// Argument of [`ioctl::IRQFD`].
    Irqfd {
        /// Address of the hypercall's only buffer.
        dm_op: u64,
        /// Its bytes.
        size: u32,
        /// The eventfd.
        fd: u32,
        /// [`IRQFD_FLAG_DEASSIGN`] or nothing.
        flags: u32,
        /// The domain in question.
        dom: u16,
        /// Nothing.
        pad: [u8; 2],
    }
}

args! {
    /// Argument of [`ioctl::IOEVENTFD`].
    Ioeventfd {
        /// Address of the mapped page of requests.
        ioreq: u64,
        /// Address of an array of ports, one a vCPU, of 32 bits.
        ports: u64,
        /// Guest-physical address that is watched.
        addr: u64,
        /// Bytes of an access there.
        addr_len: u32,
        /// The eventfd.
        event_fd: u32,
        /// How many vCPUs.
        vcpus: u32,
        /// Number of the virtqueue that the access has to name.
        vq: u32,
        /// [`IOEVENTFD_FLAG_DEASSIGN`] or nothing.
        flags: u32,
        /// The domain in question.
        dom: u16,
        /// Nothing.
        pad: [u8; 2],
    }
}

args! {
    /// Argument of [`ioctl::PCIDEV_GET_GSI`].
    PcidevGetGsi {
        /// In: segment, bus, device and function.
        sbdf: u32,
        /// Out.
        gsi: u32,
    }
}
