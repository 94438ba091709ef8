// SPDX-License-Identifier: GPL-2.0

//! The module that code is part of.

mod own;

use kernel::bindings;

pub use own::{
    OwnModule,
    OwnModulePutter, //
};

/// A type whose code is part of a known module, which C keeps loaded as long as it may call it.
/// Implemented by [`in_module!`](crate::in_module).
///
/// # Safety
///
/// `MODULE` is the module that the crate which defines the type is part of, or null if that is built in.
pub unsafe trait InModule {
    /// The module.
    const MODULE: *mut bindings::module;
}

/// Implements [`InModule`] for types of the crate that says so: `in_module!(File);`
// The symbol is used directly: where the kernel's `module!` keeps a `ThisModule` differs between series.
#[macro_export]
macro_rules! in_module {
    ($($type:ty),+ $(,)?) => {$(
        // SAFETY: The trait is not this crate's, so the type is, and the symbol is that of the module
        // which this crate is part of.
        unsafe impl $crate::module::InModule for $type {
            #[cfg(MODULE)]
            const MODULE: *mut ::kernel::bindings::module =
                (&raw const ::kernel::bindings::__this_module).cast_mut();
            #[cfg(not(MODULE))]
            const MODULE: *mut ::kernel::bindings::module = ::core::ptr::null_mut();
        }
    )+};
}
