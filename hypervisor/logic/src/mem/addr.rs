//! Frame numbers: a guest's and the machine's are different types, so that one is never taken for the other.

use core::fmt;

/// Bits of an address that are the offset in a frame.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes of a frame.
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

            /// Address of the frame's first byte. A number of more than 52 bits, which no frame has, is cut.
            pub const fn address(self) -> u64 {
                self.0 << PAGE_SHIFT
            }

            /// The frame `count` frames on, if there is such a number.
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
    /// Number of a machine frame.
    Mfn
}

frame_number! {
    /// Number of a frame in a guest's physical address space.
    Gfn
}
