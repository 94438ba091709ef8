// SPDX-License-Identifier: GPL-2.0

//! Raw bindings to the kernel for built-in objects, and to the C shims in this folder.
//!
//! Only for crate `xen_core`, `core/pci` and `core/acpi`. bindgen generates them from
//! `bindings_helper.h`, as selected by `bindgen_parameters`. Types that the kernel's own bindings
//! have (`device`, `page`, …) are those.

#![allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks
)]
#![cfg_attr(not(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES), allow(unknown_lints))]
#![allow(unnecessary_transmutes)]

use kernel::{
    bindings::*,
    ffi, //
};

include!(concat!(
    env!("XEN_RS_OUT"),
    "/core/bindings/core_bindings_generated.rs"
));
