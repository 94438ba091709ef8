// SPDX-License-Identifier: GPL-2.0

//! Static calls (`linux/static_call.h`): calls whose target is patched into the code.

use core::{
    ffi::c_void,
    mem::{
        size_of,
        transmute_copy, //
    },
};

use kernel::bindings as kernel_bindings;

use core_bindings as bindings;

/// A static call that C has defined (`DEFINE_STATIC_CALL`), for functions of type `F`.
///
/// # Invariants
///
/// `key` and `trampoline` are those of one static call, whose functions have type `F`.
pub struct StaticCall<F> {
    key: *mut kernel_bindings::static_call_key,
    trampoline: F,
}

impl<F: Copy> StaticCall<F> {
    /// The static call `NAME`, of its symbols `__SCK__NAME` and `__SCT__NAME`.
    ///
    /// # Safety
    ///
    /// Both belong to the same static call, and `F` is a type of function pointers: that of the
    /// trampoline's declaration.
    pub const unsafe fn new(key: *mut kernel_bindings::static_call_key, trampoline: F) -> Self {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // INVARIANT: By the requirements of this function.
        Self { key, trampoline }
    }

    /// Makes all its callers call `function`. May sleep, or is called at boot while only one CPU
    /// runs.
    pub fn update(&self, function: F) {
        // SAFETY: By the type invariant `F` is a function pointer.
        let function: *mut c_void = unsafe { transmute_copy(&function) };
        // SAFETY: Likewise.
        let trampoline: *mut c_void = unsafe { transmute_copy(&self.trampoline) };
        // SAFETY: By the type invariant key and trampoline belong together, and callers expect a
        // function of this type. `F` is a function, which the image keeps.
        unsafe { bindings::__static_call_update(self.key, trampoline, function) };
    }
}
