// SPDX-License-Identifier: GPL-2.0

//! The structures that 32-bit code lays out otherwise. Those that it lays out alike are listed by the crate itself
//! ([`SAME_LAYOUT`]) and are looked up in the other tables.

use super::constants::constants;
use super::structs::structure;
use super::{c, Entry, InC};
use std::collections::BTreeSet;
use xen_abi::compat::{size_in, Abi, Uint64, Ulong, SAME_LAYOUT};
use zerocopy::FromZeros;

pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    memory(&mut all);
    grant_table(&mut all);
    others(&mut all);
    shared(&mut all);
    all
}

/// Has the structures that are the same in both ABIs compared with 32-bit headers too.
///
/// # Panics
///
/// If one of them is not in the table.
pub fn compare_same(all: &mut [Entry]) {
    let mut seen = BTreeSet::new();
    for entry in all {
        let (path, property) = entry.what.split_once(": ").unwrap_or_default();
        let structure = match property {
            "size" if SAME_LAYOUT.contains(&path) => path,
            _ => path.rsplit_once('.').map_or("", |(structure, _)| structure),
        };
        if let Some(same) = SAME_LAYOUT.iter().find(|same| **same == structure) {
            seen.insert(*same);
            entry.c.xen32 = entry.c.xen.clone();
        }
    }
    let missing: Vec<_> = SAME_LAYOUT
        .iter()
        .filter(|same| !seen.contains(*same))
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

fn memory(all: &mut Vec<Entry>) {
    structure!(all, compat::memory::{ Reservation = (xen32 "struct xen_memory_reservation") } {
        extent_start: (xen32 "extent_start"), nr_extents: (xen32 "nr_extents"),
        extent_order: (xen32 "extent_order"), mem_flags: (xen32 "mem_flags"),
        domid: (xen32 "domid"),
    } pad { pad, });
    structure!(all, compat::memory::{ Exchange = (xen32 "struct xen_memory_exchange") } {
        input: (xen32 "in"), output: (xen32 "out"), nr_exchanged: (xen32 "nr_exchanged"),
    } pad {});
    structure!(all, compat::memory::{ AddToPhysmap = (xen32 "struct xen_add_to_physmap") } {
        domid: (xen32 "domid"), size: (xen32 "size"), space: (xen32 "space"), idx: (xen32 "idx"),
        gpfn: (xen32 "gpfn"),
    } pad {});
    structure!(all, compat::memory::{ AddToPhysmapBatch = (xen32 "struct xen_add_to_physmap_batch") } {
        domid: (xen32 "domid"), space: (xen32 "space"), size: (xen32 "size"),
        foreign_domid: (xen32 "u.foreign_domid"), idxs: (xen32 "idxs"), gpfns: (xen32 "gpfns"),
        errs: (xen32 "errs"),
    } pad {});
    structure!(all, compat::memory::{ RemoveFromPhysmap = (xen32 "struct xen_remove_from_physmap") } {
        domid: (xen32 "domid"), gpfn: (xen32 "gpfn"),
    } pad { pad, });
    structure!(all, compat::memory::{ MemoryMap = (xen32 "struct xen_memory_map") } {
        nr_entries: (xen32 "nr_entries"), buffer: (xen32 "buffer"),
    } pad {});
    structure!(all, compat::memory::{ ForeignMemoryMap = (xen32 "struct xen_foreign_memory_map") } {
        domid: (xen32 "domid"), map: (xen32 "map"),
    } pad { pad, });
    structure!(all, compat::memory::{ AcquireResource = (xen32 "struct xen_mem_acquire_resource") } {
        domid: (xen32 "domid"), kind: (xen32 "type"), id: (xen32 "id"),
        nr_frames: (xen32 "nr_frames"), flags: (xen32 "pad"), frame: (xen32 "frame"),
        frame_list: (xen32 "frame_list"),
    } pad {});
    structure!(all, compat::memory::{ PodTarget = (xen32 "struct xen_pod_target") } {
        target_pages: (xen32 "target_pages"), tot_pages: (xen32 "tot_pages"),
        pod_cache_pages: (xen32 "pod_cache_pages"), pod_entries: (xen32 "pod_entries"),
        domid: (xen32 "domid"),
    } pad { pad, });
}

fn grant_table(all: &mut Vec<Entry>) {
    structure!(all, compat::grant_table::{ SetupTable = (xen32 "struct gnttab_setup_table") } {
        dom: (xen32 "dom"), nr_frames: (xen32 "nr_frames"), status: (xen32 "status"),
        frame_list: (xen32 "frame_list"),
    } pad { pad0, pad1, });
    structure!(all, compat::grant_table::{ CopyPtr = (xen32 "struct gnttab_copy_ptr") } {
        frame_or_gref: (xen32 "u"), domid: (xen32 "domid"), offset: (xen32 "offset"),
    } pad {});
    structure!(all, compat::grant_table::{ Copy = (xen32 "struct gnttab_copy") } {
        source: (xen32 "source"), dest: (xen32 "dest"), len: (xen32 "len"), flags: (xen32 "flags"),
        status: (xen32 "status"),
    } pad { pad, });
}

fn others(all: &mut Vec<Entry>) {
    structure!(all, compat::sched::{ Poll = (xen32 "struct sched_poll") } {
        ports: (xen32 "ports"), nr_ports: (xen32 "nr_ports"), timeout: (xen32 "timeout"),
    } pad {});
    structure!(all, compat::xen::{ MulticallEntry = (xen32 "struct multicall_entry") } {
        op: (xen32 "op"), result: (xen32 "result"), args: (xen32 "args"),
    } pad {});
    structure!(all, compat::vcpu::{ RunstateInfo = (xen32 "struct vcpu_runstate_info") } {
        state: (xen32 "state"), state_entry_time: (xen32 "state_entry_time"), time: (xen32 "time"),
    } pad {});
    structure!(all, compat::vcpu::{ SetSingleshotTimer = (xen32 "struct vcpu_set_singleshot_timer") } {
        timeout_abs_ns: (xen32 "timeout_abs_ns"), flags: (xen32 "flags"),
    } pad {});
    for (name, size, c) in [
        (
            "Ulong",
            size_in::<Ulong>(Abi::Bits32),
            c!((xen32 "sizeof(xen_pfn_t)")),
        ),
        (
            "Uint64",
            size_in::<Uint64>(Abi::Bits32),
            c!((xen32 "sizeof(uint64_t)")),
        ),
    ] {
        all.push(Entry {
            what: format!("compat::{name}: size"),
            value: size as i128,
            c,
        });
    }
}

fn shared(all: &mut Vec<Entry>) {
    constants!(
        all,
        compat::vcpu {
            NR_CHANNELS_2L: (xen32 "EVTCHN_2L_NR_CHANNELS"),
        }
    );
    structure!(all, compat::vcpu::{ VcpuInfo = (xen32 "struct vcpu_info") } {
        evtchn_upcall_pending: (xen32 "evtchn_upcall_pending"),
        evtchn_upcall_mask: (xen32 "evtchn_upcall_mask"),
        evtchn_pending_sel: (xen32 "evtchn_pending_sel"),
        cr2: (xen32 "arch.cr2"), arch_pad: (xen32 "arch.pad"), time: (xen32 "time"),
    } pad { pad, });
    structure!(all, compat::vcpu::{ SharedInfo = (xen32 "struct shared_info") } {
        vcpu_info: (xen32 "vcpu_info"),
        evtchn_pending: (xen32 "evtchn_pending"),
        evtchn_mask: (xen32 "evtchn_mask"),
        wc_version: (xen32 "wc_version"), wc_sec: (xen32 "wc_sec"), wc_nsec: (xen32 "wc_nsec"),
        max_pfn: (xen32 "arch.max_pfn"),
        pfn_to_mfn_frame_list_list: (xen32 "arch.pfn_to_mfn_frame_list_list"),
        nmi_reason: (xen32 "arch.nmi_reason"),
        p2m_cr3: (xen32 "arch.p2m_cr3"), p2m_vaddr: (xen32 "arch.p2m_vaddr"),
        p2m_generation: (xen32 "arch.p2m_generation"), wc_sec_hi: (xen32 "arch.wc_sec_hi"),
    } pad {});
}
