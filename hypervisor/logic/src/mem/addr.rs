// SPDX-License-Identifier: GPL-2.0

//! Frame numbers. A guest's (gfn) and the machine's (mfn) are different types, so that one cannot be used as the other.

use core::fmt;

/// Number of low bits of an address that are its offset in a page.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes of a page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

macro_rules! frame_number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The frame an address lies in.
            pub const fn of(address: u64) -> Self {
                Self(address >> PAGE_SHIFT)
            }

            /// Address of the frame's first byte. Bits of the number from 52 on, which no frame has, are lost.
            pub const fn address(self) -> u64 {
                self.0 << PAGE_SHIFT
            }

            /// The number plus `count`; `None` on overflow.
            pub const fn checked_add(self, count: u64) -> Option<Self> {
                match self.0.checked_add(count) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), " {:#x}"), self.0)
            }
        }
    };
}

frame_number! {
    /// Machine frame number.
    Mfn
}

frame_number! {
    /// Guest frame number: of a frame in a domain's physical address space.
    Gfn
}
