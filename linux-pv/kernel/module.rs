// SPDX-License-Identifier: GPL-2.0

//! The module that code belongs to.

mod own;

use kernel::bindings;

pub use own::{
    OwnModule,
    OwnModulePutter, //
};

/// A type whose callbacks belong to a known module, which the kernel keeps loaded while it may call
/// them. Implemented by [`in_module!`](crate::in_module).
///
/// # Safety
///
/// `MODULE` is the module of the crate that defines the type, or null if the crate is built in.
pub unsafe trait InModule {
    /// The module.
    const MODULE: *mut bindings::module;
}

/// Implements [`InModule`] for types of the calling crate: `in_module!(File);`
// The symbol is used directly, since the kernel's `module!` defines a `ThisModule` in different
// places in different series.
#[macro_export]
macro_rules! in_module {
    ($($type:ty),+ $(,)?) => {$(
        // SAFETY: The trait is of another crate, so by the orphan rule the type is of the calling
        // crate, and the symbol is that of its module.
        unsafe impl $crate::module::InModule for $type {
            #[cfg(MODULE)]
            const MODULE: *mut ::kernel::bindings::module =
                (&raw const ::kernel::bindings::__this_module).cast_mut();
            #[cfg(not(MODULE))]
            const MODULE: *mut ::kernel::bindings::module = ::core::ptr::null_mut();
        }
    )+};
}
