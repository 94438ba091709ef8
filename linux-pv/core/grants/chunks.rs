// SPDX-License-Identifier: GPL-2.0

//! Pages as sequences of what one grant is for: on x86 a page is one grant.

use kernel::{
    bindings as k,
    ffi::{
        c_uint,
        c_void, //
    }, //
};

use core_bindings::{
    self as bindings,
    xen_grant_fn_t, //
};

use xen_abi::PAGE_SIZE;
use xen_core::declared_in_c;

use crate::map::list;

declared_in_c! {
    gnttab_foreach_grant_in_range:
        unsafe extern "C" fn(*mut k::page, c_uint, c_uint, xen_grant_fn_t, *mut c_void);
    gnttab_foreach_grant:
        unsafe extern "C" fn(*mut *mut k::page, c_uint, xen_grant_fn_t, *mut c_void);
}

const _: () = assert!(kernel::page::PAGE_SIZE == PAGE_SIZE);

/// Bytes of a page.
const BYTES: c_uint = PAGE_SIZE as c_uint;

/// Calls a function for the part of a page from `offset` on, of at most `len` bytes, if there is
/// any: with the frame, offset and length.
///
/// # Safety
///
/// The page is valid, and the function may be called with that and `data`.
#[no_mangle]
pub unsafe extern "C" fn gnttab_foreach_grant_in_range(
    page: *mut k::page,
    offset: c_uint,
    len: c_uint,
    function: xen_grant_fn_t,
    data: *mut c_void,
) {
    let len = len.min(BYTES.saturating_sub(offset));
    if let (Some(function), 1..) = (function, len) {
        // SAFETY: By the requirement of this function.
        unsafe { function(bindings::xen_core_page_to_gfn(page), offset, len, data) };
    }
}

/// Calls a function for so many pages as a whole.
///
/// # Safety
///
/// So many pages are in the list and valid. The function may be called with them and `data`.
#[no_mangle]
pub unsafe extern "C" fn gnttab_foreach_grant(
    pages: *mut *mut k::page,
    count: c_uint,
    function: xen_grant_fn_t,
    data: *mut c_void,
) {
    // SAFETY: By the requirement of this function.
    unsafe {
        for page in list(pages, count) {
            gnttab_foreach_grant_in_range(*page, 0, BYTES, function, data);
        }
    }
}
