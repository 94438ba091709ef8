// SPDX-License-Identifier: GPL-2.0

//! Parameters of the command line that the kernel reads early (`early_param`).

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
