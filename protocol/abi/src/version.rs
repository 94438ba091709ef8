// SPDX-License-Identifier: GPL-2.0

//! The `xen_version` hypercall, `version.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`XENVER_*`).
pub mod op {
    /// Returns the version, the major number in the upper half.
    pub const VERSION: u32 = 0;
    /// Writes the rest of the version, 16 bytes.
    pub const EXTRAVERSION: u32 = 1;
    /// Writes [`CompileInfo`](super::CompileInfo).
    pub const COMPILE_INFO: u32 = 2;
    /// Writes the kinds of guests, 1024 bytes.
    pub const CAPABILITIES: u32 = 3;
    /// Writes the source's version, 64 bytes.
    pub const CHANGESET: u32 = 4;
    /// Writes the start of the hypervisor's addresses, 8 bytes (PV).
    pub const PLATFORM_PARAMETERS: u32 = 5;
    /// Takes [`FeatureInfo`](super::FeatureInfo).
    pub const GET_FEATURES: u32 = 6;
    /// Returns the size of a page.
    pub const PAGESIZE: u32 = 7;
    /// Writes the domain's UUID, 16 bytes.
    pub const GUEST_HANDLE: u32 = 8;
    /// Writes the hypervisor's command line, 1024 bytes.
    pub const COMMANDLINE: u32 = 9;
    /// Takes a [`Varbuf`](super::Varbuf).
    pub const BUILD_ID: u32 = 10;
    /// Takes a [`Varbuf`](super::Varbuf).
    pub const EXTRAVERSION2: u32 = 11;
    /// Takes a [`Varbuf`](super::Varbuf).
    pub const CAPABILITIES2: u32 = 12;
    /// Takes a [`Varbuf`](super::Varbuf).
    pub const CHANGESET2: u32 = 13;
    /// Takes a [`Varbuf`](super::Varbuf).
    pub const COMMANDLINE2: u32 = 14;
}

/// Bytes of what [`op::EXTRAVERSION`] writes.
pub const EXTRAVERSION_LEN: usize = 16;

/// Bytes of what [`op::CAPABILITIES`] writes.
pub const CAPABILITIES_LEN: usize = 1024;

/// Bytes of what [`op::CHANGESET`] writes.
pub const CHANGESET_LEN: usize = 64;

/// Bytes of what [`op::COMMANDLINE`] writes.
pub const COMMANDLINE_LEN: usize = 1024;

args! {
    no default:
    /// How the hypervisor was built; strings that end with a zero.
    CompileInfo {
        /// The compiler.
        compiler: [u8; 64],
        /// Who built it.
        compile_by: [u8; 16],
        /// Where.
        compile_domain: [u8; 32],
        /// When.
        compile_date: [u8; 32],
    }
}

args! {
    no default:
    /// Argument of [`op::GET_FEATURES`].
    FeatureInfo {
        /// In: which 32 features.
        submap_idx: u32,
        /// Out: see [`crate::features`].
        submap: u32,
    }
}

args! {
    no default:
    /// Argument of the commands that write as much as there is, which follows.
    Varbuf {
        /// In: bytes of the buffer.
        len: u32,
    }
}
