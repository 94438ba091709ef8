// SPDX-License-Identifier: GPL-2.0

//! How structures that are passed to a call are written down: the module that uses `args!` imports zerocopy's derives.

/// A structure with C's layout and no padding that is not spelled out. It begins as zeroes by [`Default`], which structures
/// with long arrays cannot have: they say `no default:` first.
macro_rules! args {
    (no default: $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        // One of the structures is itself called `Copy`.
        #[derive(
            Clone, core::marker::Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
    ($(#[$doc:meta])* $name:ident { $($fields:tt)* }) => {
        args! {
            no default:
            #[derive(Default)]
            $(#[$doc])*
            $name { $($fields)* }
        }
    };
}
