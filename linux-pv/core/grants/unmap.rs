// SPDX-License-Identifier: GPL-2.0

//! Unmapping what other domains have granted: at once, or when nobody else in this kernel uses the
//! pages any more.

use core::mem::{
    align_of,
    offset_of,
    size_of,
    MaybeUninit, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint, //
    }, //
};

use core_bindings::{
    self as bindings,
    gntab_unmap_queue_data,
    gnttab_unmap_grant_ref, //
};

use xen_abi::{
    command::grant_table::UnmapGrantRef,
    grant_table::op, //
};

use xen_core::declared_in_c;

use crate::map::{
    list,
    make,
    result_of, //
};

declared_in_c! {
    gnttab_unmap_refs: unsafe extern "C" fn(
        *mut gnttab_unmap_grant_ref,
        *mut gnttab_unmap_grant_ref,
        *mut *mut k::page,
        c_uint,
    ) -> c_int;
    gnttab_unmap_refs_async: unsafe extern "C" fn(*mut gntab_unmap_queue_data);
    gnttab_unmap_refs_sync: unsafe extern "C" fn(*mut gntab_unmap_queue_data) -> c_int;
}

const _: () = {
    assert!(size_of::<gnttab_unmap_grant_ref>() == size_of::<op::UnmapGrantRef>());
    assert!(align_of::<gnttab_unmap_grant_ref>() == align_of::<op::UnmapGrantRef>());
};

/// Milliseconds until it is looked again whether pages are in use; as many more each time.
const DELAY: u32 = 5;

/// Unmaps grants from pages. If the hypercall as such fails, the pages stay as they are, and an
/// error number is returned.
///
/// # Safety
///
/// So many elements and pages are at the addresses; at `kernel_unmaps` too, or it is null. Nobody
/// uses the mappings any more.
#[no_mangle]
pub unsafe extern "C" fn gnttab_unmap_refs(
    unmaps: *mut gnttab_unmap_grant_ref,
    kernel_unmaps: *mut gnttab_unmap_grant_ref,
    pages: *mut *mut k::page,
    count: c_uint,
) -> c_int {
    // SAFETY: By the requirements of this function. The layouts are the same.
    let progress = unsafe {
        let elements = list(unmaps.cast::<op::UnmapGrantRef>(), count);
        make::<UnmapGrantRef>(elements)
    };
    if let Err(error) = result_of(&progress) {
        return error.to_raw();
    }
    // SAFETY: By the requirements of this function.
    unsafe {
        for page in list(pages, count) {
            bindings::xen_core_clear_page_foreign(*page);
        }
        bindings::xen_core_clear_foreign_p2m(unmaps, kernel_unmaps, pages, count)
    }
}

/// Unmaps if nobody else uses the pages, or looks again later.
///
/// # Safety
///
/// As [`gnttab_unmap_refs_async`], but the item's work is initialised.
unsafe fn unmap_or_wait(item: *mut gntab_unmap_queue_data) {
    // SAFETY: By the requirement of this function the item is valid, and nobody else changes it.
    // When it is done, the item is not touched any more.
    unsafe {
        let (pages, count) = ((*item).pages, (*item).count);
        let is_used = |page: &*mut k::page| bindings::xen_core_page_count(*page) > 1;
        if list(pages, count).iter().any(is_used) {
            let delay = DELAY.saturating_mul((*item).age.saturating_add(1));
            let work = &raw mut (*item).gnttab_work;
            bindings::xen_core_schedule_delayed_work(work, k::__msecs_to_jiffies(delay));
            return;
        }
        let result = gnttab_unmap_refs((*item).unmap_ops, (*item).kunmap_ops, pages, count);
        if let Some(done) = (*item).done {
            done(result, item);
        }
    }
}

/// `work_func_t`: looks again.
///
/// # Safety
///
/// The work is that of an item that waits.
unsafe extern "C" fn look_again(work: *mut k::work_struct) {
    const OFFSET: usize =
        offset_of!(gntab_unmap_queue_data, gnttab_work) + offset_of!(k::delayed_work, work);
    // SAFETY: By the requirement of this function.
    unsafe {
        let item = work.byte_sub(OFFSET).cast::<gntab_unmap_queue_data>();
        (*item).age = (*item).age.saturating_add(1);
        unmap_or_wait(item);
    }
}

/// Unmaps grants when nobody else uses the pages, perhaps at once, and calls the item's function.
///
/// # Safety
///
/// The item is valid, and left alone until its function is called. What it names is as for
/// [`gnttab_unmap_refs`].
#[no_mangle]
pub unsafe extern "C" fn gnttab_unmap_refs_async(item: *mut gntab_unmap_queue_data) {
    // SAFETY: By the requirement of this function.
    unsafe {
        bindings::xen_core_init_delayed_work(&raw mut (*item).gnttab_work, Some(look_again));
        (*item).age = 0;
        unmap_or_wait(item);
    }
}

/// Who waits for an item.
struct Waiter {
    completion: MaybeUninit<k::completion>,
    result: c_int,
}

/// `gnttab_unmap_refs_done`.
///
/// # Safety
///
/// The item's data is a [`Waiter`] that waits.
unsafe extern "C" fn wake(result: c_int, item: *mut gntab_unmap_queue_data) {
    // SAFETY: By the requirement of this function.
    unsafe {
        let waiter = (*item).data.cast::<Waiter>();
        (*waiter).result = result;
        k::complete((&raw mut (*waiter).completion).cast());
    }
}

/// Unmaps grants when nobody else uses the pages, and waits for that. Sleeps.
///
/// # Safety
///
/// As [`gnttab_unmap_refs_async`]; `data` and `done` are set here.
#[no_mangle]
pub unsafe extern "C" fn gnttab_unmap_refs_sync(item: *mut gntab_unmap_queue_data) -> c_int {
    let mut waiter = Waiter {
        completion: MaybeUninit::uninit(),
        result: 0,
    };
    let waiter = &raw mut waiter;
    // SAFETY: By the requirement of this function the item is left alone. The waiter stays until it
    // is woken.
    unsafe {
        let completion = (&raw mut (*waiter).completion).cast();
        k::init_completion(completion);
        (*item).data = waiter.cast();
        (*item).done = Some(wake);
        gnttab_unmap_refs_async(item);
        k::wait_for_completion(completion);
        (*waiter).result
    }
}
