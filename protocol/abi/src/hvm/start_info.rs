// SPDX-License-Identifier: GPL-2.0

//! What a PVH domain is started with, `arch-x86/hvm/start_info.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// [`StartInfo::magic`] (`XEN_HVM_START_MAGIC_VALUE`).
pub const MAGIC: u32 = 0x336e_c578;

/// Kinds of memory (`XEN_HVM_MEMMAP_TYPE_*`), those of E820.
pub mod memory {
    /// Memory.
    pub const RAM: u32 = 1;
    /// Not to be used.
    pub const RESERVED: u32 = 2;
    /// Tables, memory when they are read.
    pub const ACPI: u32 = 3;
    /// Kept over sleep.
    pub const NVS: u32 = 4;
    /// Broken.
    pub const UNUSABLE: u32 = 5;
    /// Off.
    pub const DISABLED: u32 = 6;
    /// Persistent.
    pub const PMEM: u32 = 7;
}

args! {
    no default:
    /// What EBX points at when a PVH kernel starts.
    StartInfo {
        /// [`MAGIC`].
        magic: u32,
        /// 1.
        version: u32,
        /// See [`flag`].
        flags: u32,
        /// How many.
        nr_modules: u32,
        /// Where the [`Module`]s are.
        modlist_paddr: u64,
        /// Where the command line is.
        cmdline_paddr: u64,
        /// Where ACPI's RSDP is.
        rsdp_paddr: u64,
        /// Where the [`MemoryMapEntry`]s are.
        memmap_paddr: u64,
        /// How many.
        memmap_entries: u32,
        /// Zero.
        reserved: u32,
    }
}

args! {
    no default:
    /// A module.
    Module {
        /// Where it is.
        paddr: u64,
        /// Bytes.
        size: u64,
        /// Where its command line is, or zero.
        cmdline_paddr: u64,
        /// Zero.
        reserved: u64,
    }
}

args! {
    no default:
    /// A range of guest-physical addresses.
    MemoryMapEntry {
        /// Where it starts.
        addr: u64,
        /// Bytes.
        size: u64,
        /// See [`memory`].
        kind: u32,
        /// Zero.
        reserved: u32,
    }
}

/// Flags of a domain (`SIF_*`).
pub mod flag {
    /// It may control others.
    pub const PRIVILEGED: u32 = 1;
    /// It is the first.
    pub const INITDOMAIN: u32 = 2;
}
