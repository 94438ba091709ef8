// SPDX-License-Identifier: GPL-2.0

//! Arguments of `memory_op` as 32-bit code has them: those of [`crate::memory`].

use super::convert::{compat_struct, converted};
use crate::memory as native;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

compat_struct! {
    /// [`native::Reservation`].
    Reservation {
        /// Address of a list of first frames, 4 bytes each.
        extent_start: u32,
        /// How many.
        nr_extents: u32,
        /// Binary logarithm of an extent's frames.
        extent_order: u32,
        /// Bits of a machine address, and node.
        mem_flags: u32,
        /// Whose.
        domid: u16,
        /// Zero; fills the structure.
        pad: u16,
    }
}

compat_struct! {
    /// [`native::Exchange`].
    Exchange {
        /// What is given.
        input: Reservation,
        /// What is wanted.
        output: Reservation,
        /// How many.
        nr_exchanged: u32,
    }
}

compat_struct! {
    /// [`native::AddToPhysmap`].
    AddToPhysmap {
        /// Who is to see it.
        domid: u16,
        /// Frames of a range.
        size: u16,
        /// Of what.
        space: u32,
        /// What.
        idx: u32,
        /// Where.
        gpfn: u32,
    }
}

compat_struct! {
    /// [`native::AddToPhysmapBatch`].
    AddToPhysmapBatch {
        /// Who is to see it.
        domid: u16,
        /// Of what.
        space: u16,
        /// How many.
        size: u16,
        /// Whose frames, or zero.
        foreign_domid: u16,
        /// Address of the list of what, 4 bytes each.
        idxs: u32,
        /// Address of the list of where, 4 bytes each.
        gpfns: u32,
        /// Address of the list of errors.
        errs: u32,
    }
}

compat_struct! {
    /// [`native::RemoveFromPhysmap`].
    RemoveFromPhysmap {
        /// Who sees it.
        domid: u16,
        /// Zero; fills the structure.
        pad: u16,
        /// Where.
        gpfn: u32,
    }
}

compat_struct! {
    /// [`native::MemoryMap`].
    MemoryMap {
        /// Room, or how many.
        nr_entries: u32,
        /// Address of the entries, which are the same in both ABIs.
        buffer: u32,
    }
}

compat_struct! {
    /// [`native::ForeignMemoryMap`].
    ForeignMemoryMap {
        /// Whose.
        domid: u16,
        /// Zero; fills the structure.
        pad: u16,
        /// The map.
        map: MemoryMap,
    }
}

compat_struct! {
    /// [`native::AcquireResource`].
    AcquireResource {
        /// Whose resource.
        domid: u16,
        /// What kind.
        kind: u16,
        /// Which one of that kind.
        id: u32,
        /// How many frames.
        nr_frames: u32,
        /// Zero before.
        flags: u32,
        /// The first frame of the resource.
        frame: u64,
        /// Address of a list of frames, 4 bytes each.
        frame_list: u32,
    }
}

compat_struct! {
    /// [`native::PodTarget`].
    PodTarget {
        /// Pages that the domain is to have.
        target_pages: u64,
        /// Pages that it has.
        tot_pages: u64,
        /// Pages that are kept.
        pod_cache_pages: u64,
        /// Gfns that are populated on demand.
        pod_entries: u64,
        /// Which domain.
        domid: u16,
        /// Zero; fills the structure.
        pad: u16,
    }
}

converted! {
    native::Reservation => Reservation { extent_start, nr_extents, extent_order, mem_flags, domid, }
    native::Exchange => Exchange { input, output, nr_exchanged, }
    native::AddToPhysmap => AddToPhysmap { domid, size, space, idx, gpfn, }
    native::AddToPhysmapBatch => AddToPhysmapBatch { domid, space, size, foreign_domid, idxs, gpfns, errs, }
    native::RemoveFromPhysmap => RemoveFromPhysmap { domid, gpfn, }
    native::MemoryMap => MemoryMap { nr_entries, buffer, }
    native::ForeignMemoryMap => ForeignMemoryMap { domid, map, }
    native::AcquireResource => AcquireResource { domid, kind, id, nr_frames, flags, frame, frame_list, }
    native::PodTarget => PodTarget { target_pages, tot_pages, pod_cache_pages, pod_entries, domid, }
}
