// SPDX-License-Identifier: GPL-2.0

//! The ABI of 32-bit code (Xen's "compat" ABI): addresses, `unsigned long` and frame numbers have 32 bits, and 64-bit
//! integers are aligned to four bytes.
//!
//! A hypervisor works on the structures of the 64-bit ABI. [`Argument`] says of each how 32-bit code lays it out: most
//! are the same in both ([`SAME_LAYOUT`]), the others stand in the modules here, with the names that they have in the
//! modules beside them. The headers test compares all of them with Xen's headers as a 32-bit compiler reads them.

mod convert;
pub mod grant_table;
pub mod memory;
pub mod sched;
pub mod vcpu;
pub mod xen;

use crate::{event_channel, grant_table as grants, hvm, physdev, sched as scheduling};
use crate::{vcpu as vcpus, version};
use zerocopy::{FromBytes, Immutable, IntoBytes};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Whose calls and structures they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Abi {
    /// Those of 64-bit code.
    #[default]
    Bits64,
    /// Those of 32-bit code, and of 16-bit code.
    Bits32,
}

impl Abi {
    /// What code of this ABI sees of a register.
    pub const fn register(self, value: u64) -> u64 {
        match self {
            Abi::Bits64 => value,
            Abi::Bits32 => value as u32 as u64,
        }
    }
}

/// A structure in a guest's memory, as 64-bit code and as 32-bit code lay it out.
///
/// `u64` is none, on purpose: it may be [`Uint64`] or [`Ulong`].
pub trait Argument: FromBytes + IntoBytes + Immutable {
    /// As 32-bit code lays it out.
    type Compat: FromBytes + IntoBytes + Immutable;

    /// What 32-bit code means by it.
    fn from_compat(compat: Self::Compat) -> Self;

    /// For 32-bit code. `None` if a number is too large for its field there.
    fn to_compat(&self) -> Option<Self::Compat>;
}

/// Bytes of a structure in an ABI.
pub const fn size_in<A: Argument>(abi: Abi) -> usize {
    match abi {
        Abi::Bits64 => size_of::<A>(),
        Abi::Bits32 => size_of::<A::Compat>(),
    }
}

/// A 64-bit integer in both ABIs (`uint64_t`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Uint64(pub u64);

/// An integer as wide as an address: `unsigned long`, a frame number, a handle.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Ulong(pub u64);

impl Argument for Ulong {
    type Compat = u32;

    fn from_compat(compat: u32) -> Self {
        Self(compat.into())
    }

    fn to_compat(&self) -> Option<u32> {
        u32::try_from(self.0).ok()
    }
}

/// Says of types that they are the same in both ABIs.
#[macro_export]
macro_rules! same_in_both_abis {
    ($($type:ty,)*) => {
        $(impl $crate::compat::Argument for $type {
            type Compat = Self;

            fn from_compat(compat: Self) -> Self {
                compat
            }

            fn to_compat(&self) -> Option<Self> {
                Some(*self)
            }
        })*
    };
}

same_in_both_abis! {
    u8,
    u16,
    u32,
    i32,
    Uint64,
    [u8; 16],
}

/// The same for structures, which are listed for the headers test.
macro_rules! same_layout {
    ($($module:ident($path:literal) { $($name:ident,)* })*) => {
        $(same_in_both_abis! { $($module::$name,)* })*

        /// Paths of the structures that are laid out alike in both ABIs.
        pub const SAME_LAYOUT: &[&str] = &[$($(concat!($path, "::", stringify!($name)),)*)*];
    };
}

use grants::op as grant_op;
use hvm::{hvm_op, vcpu as hvm_vcpu};

same_layout! {
    event_channel("event_channel") {
        AllocUnbound,
        BindInterdomain,
        BindVirq,
        BindPirq,
        BindIpi,
        Port,
        Status,
        BindVcpu,
        Reset,
        InitControl,
        ExpandArray,
        SetPriority,
    }
    grant_op("grant_table::op") {
        MapGrantRef,
        UnmapGrantRef,
        QuerySize,
        SetVersion,
        GetVersion,
        SwapGrantRef,
    }
    hvm_op("hvm::hvm_op") {
        Param,
        EvtchnUpcallVector,
        PagetableDying,
        GetMemType,
    }
    hvm_vcpu("hvm::vcpu") {
        X86_32,
        X86_64,
        Context,
    }
    physdev("physdev") {
        SetupGsi,
        PciMmcfgReserved,
        PciDevice,
        PciDeviceAdd,
    }
    scheduling("sched") {
        RemoteShutdown,
    }
    vcpus("vcpu") {
        RegisterVcpuInfo,
        TimeInfo,
    }
    version("version") {
        CompileInfo,
        FeatureInfo,
        Varbuf,
    }
}
