// SPDX-License-Identifier: GPL-2.0

//! Raw bindings to the kernel's Xen driver API and to the C shims beside this file.
//!
//! Only for crates `kernel_ext` and `xen`, whose safe API is for drivers. bindgen generates the
//! bindings from `bindings_helper.h`, as selected by `bindgen_parameters`. Types that the kernel's
//! own bindings have (`device`, `page`, `work_struct`, …) are those.

#![allow(
    clippy::all,
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
    "/bindings/xen_bindings_generated.rs"
));
