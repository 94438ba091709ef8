// SPDX-License-Identifier: GPL-2.0

//! What the kernel calls at boot: parameters of the command line that it reads early
//! (`early_param`), and initcalls.

use core::ffi::CStr;

use kernel::ffi::{
    c_char,
    c_int, //
};

/// The function of a parameter. It gets what stands behind the `=`, or null.
pub type Setup = unsafe extern "C" fn(*mut c_char) -> c_int;

/// `struct obs_kernel_param` (`linux/init.h`). [`early_param!`](crate::early_param) makes one.
#[repr(C)]
pub struct EarlyParam {
    name: *const c_char,
    setup: Option<Setup>,
    early: c_int,
}

// SAFETY: Only read, at boot; the name is a constant.
unsafe impl Sync for EarlyParam {}

impl EarlyParam {
    /// Of a name and its function.
    pub const fn new(name: &'static CStr, setup: Setup) -> Self {
        Self {
            name: name.to_bytes_with_nul().as_ptr(),
            setup: Some(setup),
            early: 1,
        }
    }
}

/// Defines a parameter: its name as a C string, and a [`Setup`] function.
#[macro_export]
macro_rules! early_param {
    ($name:literal, $setup:path) => {
        const _: () = {
            #[used]
            #[link_section = ".init.setup"]
            static PARAM: $crate::boot::EarlyParam = $crate::boot::EarlyParam::new($name, $setup);
        };
    };
}

/// An initcall: 0, or a negative error number. [`initcall!`](crate::initcall) says when it is
/// called. It belongs into `.init.text`.
pub type Initcall = extern "C" fn() -> c_int;

/// Has an [`Initcall`] called at a level, of those that `linux/init.h` has. Within a level the
/// order is that of the objects in the image.
///
/// The function is named as in C's macros, by its distance from the entry in the level's list.
#[macro_export]
macro_rules! initcall {
    (early, $function:path) => {
        $crate::initcall!(@ ".initcallearly.init", $function);
    };
    (core, $function:path) => {
        $crate::initcall!(@ ".initcall1.init", $function);
    };
    (core_sync, $function:path) => {
        $crate::initcall!(@ ".initcall1s.init", $function);
    };
    (arch, $function:path) => {
        $crate::initcall!(@ ".initcall3.init", $function);
    };
    (device, $function:path) => {
        $crate::initcall!(@ ".initcall6.init", $function);
    };
    (console, $function:path) => {
        $crate::initcall!(@ ".con_initcall.init", $function);
    };
    (@ $list:literal, $function:path) => {
        const _: $crate::boot::Initcall = $function;

        core::arch::global_asm!(
            concat!(".section \"", $list, "\", \"a\""),
            ".long {function} - .",
            ".previous",
            function = sym $function,
        );
    };
}
