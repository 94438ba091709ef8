// SPDX-License-Identifier: GPL-2.0

//! The `memory_op` hypercall, `memory.h`, as far as it is used.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`XENMEM_*`).
pub mod op {
    /// Takes [`Reservation`](super::Reservation).
    pub const INCREASE_RESERVATION: u32 = 0;
    /// Takes [`Reservation`](super::Reservation).
    pub const DECREASE_RESERVATION: u32 = 1;
    /// Returns the highest frame.
    pub const MAXIMUM_RAM_PAGE: u32 = 2;
    /// Returns a domain's frames; takes its number.
    pub const CURRENT_RESERVATION: u32 = 3;
    /// Returns a domain's limit; takes its number.
    pub const MAXIMUM_RESERVATION: u32 = 4;
    /// Takes [`Reservation`](super::Reservation).
    pub const POPULATE_PHYSMAP: u32 = 6;
    /// Takes [`AddToPhysmap`](super::AddToPhysmap).
    pub const ADD_TO_PHYSMAP: u32 = 7;
    /// Takes [`MemoryMap`](super::MemoryMap).
    pub const MEMORY_MAP: u32 = 9;
    /// Takes [`MemoryMap`](super::MemoryMap).
    pub const MACHINE_MEMORY_MAP: u32 = 10;
    /// Takes [`Exchange`](super::Exchange).
    pub const EXCHANGE: u32 = 11;
    /// Tells where the machine-to-physical table is (PV).
    pub const MACHPHYS_MAPPING: u32 = 12;
    /// Takes [`ForeignMemoryMap`](super::ForeignMemoryMap).
    pub const SET_MEMORY_MAP: u32 = 13;
    /// Returns a domain's highest frame; takes its number.
    pub const MAXIMUM_GPFN: u32 = 14;
    /// Takes [`RemoveFromPhysmap`](super::RemoveFromPhysmap).
    pub const REMOVE_FROM_PHYSMAP: u32 = 15;
    /// Takes [`PodTarget`](super::PodTarget).
    pub const SET_POD_TARGET: u32 = 16;
    /// Takes [`PodTarget`](super::PodTarget).
    pub const GET_POD_TARGET: u32 = 17;
    /// Returns what sharing saves.
    pub const GET_SHARING_FREED_PAGES: u32 = 18;
    /// Returns what is shared.
    pub const GET_SHARING_SHARED_PAGES: u32 = 19;
    /// Takes [`AddToPhysmapBatch`](super::AddToPhysmapBatch).
    pub const ADD_TO_PHYSMAP_BATCH: u32 = 23;
    /// Takes [`Reservation`](super::Reservation).
    pub const CLAIM_PAGES: u32 = 24;
    /// Tells of virtual NUMA nodes.
    pub const GET_VNUMAINFO: u32 = 26;
    /// Tells of memory that devices need.
    pub const RESERVED_DEVICE_MEMORY_MAP: u32 = 27;
    /// Makes a resource of a domain, that no frame number names, mappable; takes
    /// [`AcquireResource`](super::AcquireResource).
    pub const ACQUIRE_RESOURCE: u32 = 28;
}

/// Bit of [`AcquireResource::flags`]: the frames belong to the caller (`XENMEM_rsrc_acq_caller_owned`).
/// Only older hypervisors say that, newer ones leave the field zero.
pub const RSRC_ACQ_CALLER_OWNED: u32 = 1;

/// A command has this many bits; the bits above say where to go on (`MEMOP_EXTENT_SHIFT` of the hypervisor).
pub const EXTENT_SHIFT: u32 = 6;

/// What [`AddToPhysmap::idx`](super::memory::AddToPhysmap::idx) counts (`XENMAPSPACE_*`).
pub mod space {
    /// The shared info page.
    pub const SHARED_INFO: u16 = 0;
    /// Frames of the grant table.
    pub const GRANT_TABLE: u16 = 1;
    /// The domain's own frames.
    pub const GMFN: u16 = 2;
    /// A range of them.
    pub const GMFN_RANGE: u16 = 3;
    /// Another domain's frames.
    pub const GMFN_FOREIGN: u16 = 4;
    /// Device memory.
    pub const DEV_MMIO: u16 = 5;
}

/// Bit of an index into the grant table: a frame of status words (`XENMAPIDX_grant_table_status`).
pub const GRANT_TABLE_STATUS: u64 = 0x8000_0000;

/// Kinds of resources (`XENMEM_resource_*`).
pub mod resource {
    /// Pages of a device model.
    pub const IOREQ_SERVER: u32 = 0;
    /// The grant table.
    pub const GRANT_TABLE: u32 = 1;
    /// Its entries.
    pub const GRANT_TABLE_SHARED: u32 = 0;
    /// Its status words.
    pub const GRANT_TABLE_STATUS: u32 = 1;
}

args! {
    /// Extents of memory.
    Reservation {
        /// Address of a list of their first frames.
        extent_start: u64,
        /// How many.
        nr_extents: u64,
        /// Binary logarithm of an extent's frames.
        extent_order: u32,
        /// Low eight bits: bits of a machine address; above: node.
        mem_flags: u32,
        /// Whose.
        domid: u16,
        /// Zero; fills the structure.
        pad: [u16; 3],
    }
}

args! {
    /// Argument of [`op::EXCHANGE`].
    Exchange {
        /// What is given.
        input: Reservation,
        /// What is wanted.
        output: Reservation,
        /// In: zero; out: how many.
        nr_exchanged: u64,
    }
}

args! {
    /// Argument of [`op::ADD_TO_PHYSMAP`].
    AddToPhysmap {
        /// Who is to see it.
        domid: u16,
        /// Frames of a range.
        size: u16,
        /// See [`space`].
        space: u32,
        /// What.
        idx: u64,
        /// Where.
        gpfn: u64,
    }
}

args! {
    /// Argument of [`op::ADD_TO_PHYSMAP_BATCH`].
    AddToPhysmapBatch {
        /// Who is to see it.
        domid: u16,
        /// See [`space`].
        space: u16,
        /// How many.
        size: u16,
        /// Whose frames, or zero.
        foreign_domid: u16,
        /// Address of the list of what.
        idxs: u64,
        /// Address of the list of where.
        gpfns: u64,
        /// Address of the list of errors, 4 bytes each.
        errs: u64,
    }
}

args! {
    /// Argument of [`op::REMOVE_FROM_PHYSMAP`].
    RemoveFromPhysmap {
        /// Who sees it.
        domid: u16,
        /// Zero; fills the structure.
        pad: [u16; 3],
        /// Where.
        gpfn: u64,
    }
}

args! {
    /// Argument of [`op::MEMORY_MAP`] and [`op::MACHINE_MEMORY_MAP`].
    MemoryMap {
        /// In: room; out: how many.
        nr_entries: u32,
        /// Zero; fills the structure.
        pad: u32,
        /// Address of the entries, 20 bytes each: address, size, kind.
        buffer: u64,
    }
}

args! {
    /// Argument of [`op::SET_MEMORY_MAP`].
    ForeignMemoryMap {
        /// Whose.
        domid: u16,
        /// Zero; fills the structure.
        pad: [u16; 3],
        /// The map.
        map: MemoryMap,
    }
}

args! {
    /// Argument of [`op::ACQUIRE_RESOURCE`].
    AcquireResource {
        /// In: whose resource.
        domid: u16,
        /// In: what kind.
        kind: u16,
        /// In: which one of that kind.
        id: u32,
        /// In: how many frames; out, if it is 0 and there is no list: how many there are.
        nr_frames: u32,
        /// Out, zero before.
        flags: u32,
        /// In: the first frame of the resource.
        frame: u64,
        /// Address of a list of frames: in, where they are to appear (auto-translated domains); out, what
        /// they are (PV domains).
        frame_list: u64,
    }
}

/// Bits of [`Reservation::mem_flags`] (`XENMEMF_*`).
pub mod memf {
    /// The pages are allocated when the domain first accesses them.
    pub const POPULATE_ON_DEMAND: u32 = 1 << 16;
}

args! {
    /// Argument of [`op::SET_POD_TARGET`] and [`op::GET_POD_TARGET`].
    PodTarget {
        /// In: pages that the domain is to have.
        target_pages: u64,
        /// Out: pages that it has.
        tot_pages: u64,
        /// Out: pages that are kept for what is populated on demand.
        pod_cache_pages: u64,
        /// Out: gfns that are populated on demand.
        pod_entries: u64,
        /// In: which domain.
        domid: u16,
        /// Zero; fills the structure.
        pad: [u16; 3],
    }
}
