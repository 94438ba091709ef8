// SPDX-License-Identifier: GPL-2.0

//! A word of the kernel's memory that the hypervisor, or another CPU, changes at the same time.
//!
//! These are the compiler's atomics and not the kernel's: the latter are functions in C, called for
//! each access, and a run queue's lock is held here.

use core::sync::atomic::{
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicU8,
    Ordering::{
        Acquire,
        Release,
        SeqCst, //
    }, //
};

use xen_shared::SharedWord;

/// Defines words: name, the compiler's atomic, and the value.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident($atomic:ident): $value:ident;)*) => {$(
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name($atomic);

        impl $name {
            /// A word with this value.
            pub const fn new(value: $value) -> Self {
                Self($atomic::new(value))
            }

            /// The word at an address.
            ///
            /// # Safety
            ///
            /// The address is aligned, and valid for reads and writes for as long as `'a`. All
            /// accesses to it by this kernel are atomic ones of this size.
            #[inline]
            pub unsafe fn at<'a>(address: *mut u8) -> &'a Self {
                // SAFETY: By the requirements of this function.
                unsafe { &*address.cast::<Self>() }
            }
        }

        // A locked instruction is a full barrier on x86, and `SeqCst` one for the compiler.
        impl SharedWord for $name {
            type Value = $value;

            #[inline]
            fn load(&self) -> $value {
                self.0.load(Acquire)
            }

            #[inline]
            fn store(&self, value: $value) {
                self.0.store(value, Release);
            }

            #[inline]
            fn compare_exchange(&self, old: $value, new: $value) -> Result<$value, $value> {
                self.0.compare_exchange(old, new, SeqCst, Acquire)
            }

            #[inline]
            fn fetch_or(&self, bits: $value) -> $value {
                self.0.fetch_or(bits, SeqCst)
            }

            #[inline]
            fn fetch_clear(&self, bits: $value) -> $value {
                self.0.fetch_and(!bits, SeqCst)
            }

            #[inline]
            fn swap(&self, value: $value) -> $value {
                self.0.swap(value, SeqCst)
            }
        }
    )*};
}

words! {
    /// A byte. Whatever bits the other side writes are a value of it, as of the others.
    Word8(AtomicU8): u8;
    /// A word of 16 bits.
    Word16(AtomicU16): u16;
    /// A word of 32 bits.
    Word32(AtomicU32): u32;
    /// A word of 64 bits.
    Word64(AtomicU64): u64;
}
