// SPDX-License-Identifier: GPL-2.0

//! How structures of 32-bit code are written down and converted, field by field.

/// A field that may be narrower in 32-bit code.
pub(super) trait Field<N>: Sized {
    /// The value of a field of 32-bit code.
    fn widen(narrow: N) -> Self;

    /// The value for 32-bit code. `None` if it is too large.
    fn narrow(self) -> Option<N>;
}

/// As wide in both.
impl<T> Field<T> for T {
    fn widen(narrow: T) -> T {
        narrow
    }

    fn narrow(self) -> Option<T> {
        Some(self)
    }
}

/// `unsigned long`, frame numbers and handles.
impl Field<u32> for u64 {
    fn widen(narrow: u32) -> u64 {
        narrow.into()
    }

    fn narrow(self) -> Option<u32> {
        u32::try_from(self).ok()
    }
}

/// Defines a structure of 32-bit code, with padding as it is there, and no field's alignment above four bytes.
macro_rules! compat_struct {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        // One of the structures is itself called `Copy`.
        #[derive(
            Clone, core::marker::Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
        )]
        #[repr(C, packed(4))]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

/// Converts a structure of the 64-bit ABI from and to that of 32-bit code, by the fields that are no padding.
macro_rules! converted {
    ($($native:ty => $compat:ident { $($field:ident,)* })*) => {
        $(impl crate::compat::convert::Field<$compat> for $native {
            fn widen(narrow: $compat) -> Self {
                let mut wide = <$native as zerocopy::FromZeros>::new_zeroed();
                $(wide.$field = crate::compat::convert::Field::widen(narrow.$field);)*
                wide
            }

            fn narrow(self) -> Option<$compat> {
                let mut narrow = <$compat as zerocopy::FromZeros>::new_zeroed();
                $(narrow.$field = crate::compat::convert::Field::narrow(self.$field)?;)*
                Some(narrow)
            }
        }

        impl crate::compat::Argument for $native {
            type Compat = $compat;

            fn from_compat(compat: $compat) -> Self {
                crate::compat::convert::Field::widen(compat)
            }

            fn to_compat(&self) -> Option<$compat> {
                crate::compat::convert::Field::narrow(*self)
            }
        })*
    };
}

pub(super) use {compat_struct, converted};
