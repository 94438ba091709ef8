// SPDX-License-Identifier: GPL-2.0

//! Features Xen reports to a guest (`XENVER_get_features`), `features.h`.
//!
//! The values are bit numbers in the 32-bit submap.

/// No page-table write protection is needed.
pub const WRITABLE_PAGE_TABLES: u32 = 0;
/// No descriptor-table write protection is needed.
pub const WRITABLE_DESCRIPTOR_TABLES: u32 = 1;
/// Xen translates guest frame numbers: everything but PV.
pub const AUTO_TRANSLATED_PHYSMAP: u32 = 2;
/// The guest kernel runs in supervisor mode.
pub const SUPERVISOR_MODE_KERNEL: u32 = 3;
/// PAE page directories may lie above 4 GiB.
pub const PAE_PGDIR_ABOVE_4GB: u32 = 4;
/// `MMU_PT_UPDATE_PRESERVE_AD` is supported.
pub const MMU_PT_UPDATE_PRESERVE_AD: u32 = 5;
/// `MMU_CLEAR_PAGE` and `MMU_COPY_PAGE` are supported.
pub const HIGHMEM_ASSIST: u32 = 6;
/// Mapping a grant honours the PTE bits available to the guest.
pub const GNTTAB_MAP_AVAIL_BITS: u32 = 7;
/// HVM event delivery by vector.
pub const HVM_CALLBACK_VECTOR: u32 = 8;
/// The paravirtual clock is safe in HVM guests.
pub const HVM_SAFE_PVCLOCK: u32 = 9;
/// HVM guests may bind physical interrupts to event channels.
pub const HVM_PIRQS: u32 = 10;
/// The guest runs as dom0.
pub const DOM0: u32 = 11;
/// `XENMEMF_vnode` is supported.
pub const MEMORY_OP_VNODE_SUPPORTED: u32 = 13;
/// The ACPI RSDP may lie anywhere (PVH, for Linux).
pub const LINUX_RSDP_UNRESTRICTED: u32 = 15;
/// The domain is known not to be mapped one to one.
pub const NOT_DIRECT_MAPPED: u32 = 16;
/// The domain is mapped one to one.
pub const DIRECT_MAPPED: u32 = 17;
