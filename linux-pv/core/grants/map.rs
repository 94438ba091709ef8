// SPDX-License-Identifier: GPL-2.0

//! Mapping and copying what other domains have granted. The hypervisor reports on each element of
//! a list; what it has not got to is reported as failed.
//!
//! A page that the other domain has swapped out is tried again for up to 32 seconds
//! (`GNTST_eagain`), so these may sleep.

use core::{
    mem::{
        align_of,
        size_of, //
    },
    slice,
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*, //
};

use core_bindings::{
    self as bindings,
    gnttab_copy,
    gnttab_map_grant_ref, //
};

use xen_abi::{
    command::{
        grant_table::{
            Copy,
            MapGrantRef, //
        },
        ListCommand, //
    },
    grant_table::{
        op,
        status, //
    },
};

use xen_core::{
    declared_in_c,
    error::Result,
    hypercall_instruction::call3, //
};

use xen_hypercall::{
    call_list,
    ListProgress, //
};

use crate::report::Seldom;

declared_in_c! {
    gnttab_batch_map: unsafe extern "C" fn(*mut gnttab_map_grant_ref, c_uint);
    gnttab_batch_copy: unsafe extern "C" fn(*mut gnttab_copy, c_uint);
    gnttab_map_refs: unsafe extern "C" fn(
        *mut gnttab_map_grant_ref,
        *mut gnttab_map_grant_ref,
        *mut *mut k::page,
        c_uint,
    ) -> c_int;
}

const _: () = {
    assert!(size_of::<gnttab_map_grant_ref>() == size_of::<op::MapGrantRef>());
    assert!(align_of::<gnttab_map_grant_ref>() == align_of::<op::MapGrantRef>());
    assert!(size_of::<gnttab_copy>() == size_of::<op::Copy>());
    assert!(align_of::<gnttab_copy>() == align_of::<op::Copy>());
};

/// How often an element is tried again; before the n-th time n milliseconds pass.
const MAX_TRIES: u32 = 255;

/// Makes a call with a list.
///
/// # Safety
///
/// The kernel runs on Xen. The caller answers for the memory that the elements name.
pub(crate) unsafe fn make<C: ListCommand>(list: &mut [C::Argument]) -> ListProgress {
    call_list::<C>(list, |list| {
        let (at, count) = (list.as_mut_ptr() as u64, list.len() as u64);
        // SAFETY: The list has so many structures of the command. The rest is the caller's.
        unsafe { call3(C::HYPERCALL, [C::NUMBER.into(), at, count]) }
    })
}

/// Whether a call as such has succeeded.
pub(crate) fn result_of(progress: &ListProgress) -> Result {
    progress.error.map_or(Ok(()), |error| Err(error.into()))
}

/// The list that a C function got; empty if there is none.
///
/// # Safety
///
/// So many elements are at the address, which nobody else uses. `T` has the layout of C's
/// structure.
pub(crate) unsafe fn list<'a, T>(first: *mut T, count: c_uint) -> &'a mut [T] {
    match count {
        0 => &mut [],
        // SAFETY: By the requirement of this function.
        _ => unsafe { slice::from_raw_parts_mut(first, count as usize) },
    }
}

/// Tries elements again whose page was swapped out.
///
/// # Safety
///
/// As [`make`]. May sleep.
unsafe fn try_again<C: ListCommand>(list: &mut [C::Argument], caller: &str) {
    for element in list {
        if C::status(element) != status::EAGAIN {
            continue;
        }
        for delay in 1..=MAX_TRIES {
            // SAFETY: Sleeps.
            unsafe { k::msleep(delay) };
            // SAFETY: By the requirement of this function.
            let _ = unsafe { make::<C>(slice::from_mut(element)) };
            if C::status(element) != status::EAGAIN {
                break;
            }
        }
        if C::status(element) == status::EAGAIN {
            pr_err!("{caller}: eagain grant\n");
            C::set_status(element, status::BAD_PAGE);
        }
    }
}

/// Maps grants. Each element says whether it was.
///
/// # Safety
///
/// So many elements are at the address. The caller owns the memory that they name. May sleep.
#[no_mangle]
pub unsafe extern "C" fn gnttab_batch_map(batch: *mut gnttab_map_grant_ref, count: c_uint) {
    // SAFETY: By the requirements of this function. The layouts are the same.
    unsafe {
        let list = list(batch.cast::<op::MapGrantRef>(), count);
        let _ = make::<MapGrantRef>(list);
        try_again::<MapGrantRef>(list, "gnttab_batch_map");
    }
}

/// Copies between pages, granted or this domain's. Each element says whether it was done.
///
/// # Safety
///
/// So many elements are at the address. The caller owns the memory that they name. May sleep.
#[no_mangle]
pub unsafe extern "C" fn gnttab_batch_copy(batch: *mut gnttab_copy, count: c_uint) {
    // SAFETY: By the requirements of this function. The layouts are the same.
    unsafe {
        let list = list(batch.cast::<op::Copy>(), count);
        let _ = make::<Copy>(list);
        try_again::<Copy>(list, "gnttab_batch_copy");
    }
}

/// Notes in a page whose grant is mapped there (`struct xen_page_foreign`).
///
/// # Safety
///
/// The page is the caller's, and has room for that ([`gnttab_pages_set_private`]).
///
/// [`gnttab_pages_set_private`]: crate::pages::gnttab_pages_set_private
unsafe fn note_foreign(page: *mut k::page, map: &op::MapGrantRef) {
    let foreign = u64::from(map.dom) | u64::from(map.gref) << 32;
    // SAFETY: By the requirement of this function.
    unsafe {
        bindings::xen_core_set_page_private(page, foreign as usize);
        bindings::xen_core_set_page_foreign(page);
    }
}

/// Maps grants at pages. Each element says whether it was mapped, also if the result is an error
/// number: that of the hypercall as such, or of a kernel's mapping.
///
/// # Safety
///
/// So many elements and pages are at the addresses; at `kernel_maps` too, or it is null. The pages
/// are the caller's, from [`gnttab_alloc_pages`]. May sleep.
///
/// [`gnttab_alloc_pages`]: crate::pages::gnttab_alloc_pages
#[no_mangle]
pub unsafe extern "C" fn gnttab_map_refs(
    maps: *mut gnttab_map_grant_ref,
    kernel_maps: *mut gnttab_map_grant_ref,
    pages: *mut *mut k::page,
    count: c_uint,
) -> c_int {
    static SELDOM: Seldom = Seldom::new();

    // SAFETY: By the requirements of this function. The layouts are the same.
    let (elements, page_list) = unsafe {
        (
            list(maps.cast::<op::MapGrantRef>(), count),
            list(pages, count),
        )
    };
    // SAFETY: By the requirements of this function.
    let progress = unsafe {
        let progress = make::<MapGrantRef>(elements);
        try_again::<MapGrantRef>(elements, "gnttab_map_refs");
        progress
    };
    for (element, page) in elements.iter().zip(page_list.iter()) {
        match element.status {
            // SAFETY: By the requirement of this function.
            status::OKAY => unsafe { note_foreign(*page, element) },
            status::NO_DEVICE_SPACE if SELDOM.is_due() => {
                pr_warn!("maptrack limit reached, can't map all guest pages\n");
            }
            _ => {}
        }
    }
    // SAFETY: By the requirements of this function.
    let result = unsafe { bindings::xen_core_set_foreign_p2m(maps, kernel_maps, pages, count) };
    match result_of(&progress) {
        Ok(()) => result,
        Err(error) => error.to_raw(),
    }
}
