// SPDX-License-Identifier: GPL-2.0

//! The module that code is part of.

/// `this_module!()` is the [`ThisModule`](kernel::ThisModule) of the driver that says so, a constant. Where the kernel's `module!`
/// keeps it differs between series; the symbol behind it does not.
#[macro_export]
macro_rules! this_module {
    () => {{
        #[cfg(MODULE)]
        let module = (&raw const ::kernel::bindings::__this_module).cast_mut();
        #[cfg(not(MODULE))]
        let module = ::core::ptr::null_mut();
        // SAFETY: It is the module that this code is part of, or null as it is built in.
        unsafe { ::kernel::ThisModule::from_ptr(module) }
    }};
}
