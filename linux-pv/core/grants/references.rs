// SPDX-License-Identifier: GPL-2.0

//! Giving references out and taking them back: single ones, private lists of a driver's, and
//! sequences. Any context but an NMI.

use kernel::ffi::{
    c_int,
    c_uint,
    c_void, //
};

use core_bindings::gnttab_free_callback;

use xen_core::{
    declared_in_c,
    error::Error, //
};

use xen_grant::references::{
    self,
    PrivateList,
    RefState, //
};

use crate::{
    report,
    slots::KernelSlots,
    state::{
        self,
        Shortage,
        State, //
    }, //
};

/// The function of who waits for references.
type Callback = unsafe extern "C" fn(*mut c_void);

declared_in_c! {
    gnttab_alloc_grant_references: unsafe extern "C" fn(u16, *mut u32) -> c_int;
    gnttab_alloc_grant_reference_seq: unsafe extern "C" fn(c_uint, *mut u32) -> c_int;
    gnttab_free_grant_reference: unsafe extern "C" fn(u32);
    gnttab_free_grant_references: unsafe extern "C" fn(u32);
    gnttab_free_grant_reference_seq: unsafe extern "C" fn(u32, c_uint);
    gnttab_empty_grant_references: unsafe extern "C" fn(*const u32) -> c_int;
    gnttab_claim_grant_reference: unsafe extern "C" fn(*mut u32) -> c_int;
    gnttab_release_grant_reference: unsafe extern "C" fn(*mut u32, u32);
    gnttab_request_free_callback:
        unsafe extern "C" fn(*mut gnttab_free_callback, Option<Callback>, *mut c_void, u16);
    gnttab_cancel_free_callback: unsafe extern "C" fn(*mut gnttab_free_callback);
}

/// Takes references, writes the first one's number, and returns 0 or `-ENOSPC`.
///
/// # Safety
///
/// `first` is valid for writes.
unsafe fn give(first: *mut u32, take: impl FnOnce(&mut State) -> Result<u32, Shortage>) -> c_int {
    match state::with(take) {
        Ok(number) => {
            // SAFETY: By the requirement of this function.
            unsafe { first.write(number) };
            0
        }
        Err(shortage) => {
            shortage.say();
            Error::ENOSPC.to_raw()
        }
    }
}

/// Gives out so many references as a private list, whose head is written.
///
/// # Safety
///
/// `head` is valid for writes.
#[no_mangle]
pub unsafe extern "C" fn gnttab_alloc_grant_references(count: u16, head: *mut u32) -> c_int {
    // SAFETY: By the requirement of this function.
    unsafe {
        give(head, |state| {
            let list = state.take(|references| references.alloc_list(count.into()));
            list.map(PrivateList::into_head)
        })
    }
}

/// Gives out so many references with consecutive numbers, the first of which is written.
///
/// # Safety
///
/// `first` is valid for writes.
#[no_mangle]
pub unsafe extern "C" fn gnttab_alloc_grant_reference_seq(count: c_uint, first: *mut u32) -> c_int {
    // SAFETY: By the requirement of this function.
    unsafe {
        give(first, |state| match count {
            1 => state.take(|references| references.alloc()),
            _ => state.take(|references| references.alloc_consecutive(count)),
        })
    }
}

/// Takes a reference back, whose grant has ended.
#[no_mangle]
pub extern "C" fn gnttab_free_grant_reference(reference: u32) {
    gnttab_free_grant_reference_seq(reference, 1);
}

/// Takes references with consecutive numbers back. The toolstack's are left alone.
#[no_mangle]
pub extern "C" fn gnttab_free_grant_reference_seq(first: u32, count: c_uint) {
    let result = state::with(|state| {
        let mut result = Ok(());
        // The first one is given out first again.
        for reference in (first..first.saturating_add(count)).rev() {
            if state.references.state(reference) == RefState::Reserved {
                continue;
            }
            result = result.and(state.references.free(reference));
        }
        result
    });
    if let Err(bad) = result {
        report::mistake("freed", bad);
    }
}

/// Takes the references of a private list back, or a single one that is in no list.
#[no_mangle]
pub extern "C" fn gnttab_free_grant_references(head: u32) {
    let result = state::with(|state| match state.references.state(head) {
        RefState::InUse => state.references.free(head),
        _ => {
            let list = PrivateList::from_head(head);
            state.references.free_list(list).map(|_| ())
        }
    });
    if let Err(bad) = result {
        report::mistake("freed with its list", bad);
    }
}

/// Whether a private list is empty.
///
/// # Safety
///
/// `head` is valid.
#[no_mangle]
pub unsafe extern "C" fn gnttab_empty_grant_references(head: *const u32) -> c_int {
    // SAFETY: By the requirement of this function.
    PrivateList::from_head(unsafe { head.read() })
        .is_empty()
        .into()
}

/// Takes a reference off a private list, and returns it, or `-ENOSPC` if it is empty.
///
/// # Safety
///
/// `head` is valid, and nobody else uses it or its list.
#[no_mangle]
pub unsafe extern "C" fn gnttab_claim_grant_reference(head: *mut u32) -> c_int {
    // SAFETY: By the requirement of this function.
    let mut list = PrivateList::from_head(unsafe { head.read() });
    let claimed = references::claim(&KernelSlots, &mut list);
    // SAFETY: By the requirement of this function.
    unsafe { head.write(list.into_head()) };
    match claimed {
        Ok(Some(reference)) => reference as c_int,
        Ok(None) => Error::ENOSPC.to_raw(),
        Err(bad) => {
            report::mistake("taken off a list", bad);
            Error::ENOSPC.to_raw()
        }
    }
}

/// Puts a reference whose grant has ended onto a private list.
///
/// # Safety
///
/// `head` is valid, and nobody else uses it or its list.
#[no_mangle]
pub unsafe extern "C" fn gnttab_release_grant_reference(head: *mut u32, reference: u32) {
    // SAFETY: By the requirement of this function.
    let mut list = PrivateList::from_head(unsafe { head.read() });
    let released = references::release(&KernelSlots, &mut list, reference);
    // SAFETY: By the requirement of this function.
    unsafe { head.write(list.into_head()) };
    if let Err(bad) = released {
        report::mistake("put into a list", bad);
    }
}

/// Has a function called once when so many references are free, perhaps at once, with the lock
/// held. It must not call functions of this file.
///
/// # Safety
///
/// The structure is valid until the function was called, or [`gnttab_cancel_free_callback`].
#[no_mangle]
pub unsafe extern "C" fn gnttab_request_free_callback(
    callback: *mut gnttab_free_callback,
    function: Option<Callback>,
    argument: *mut c_void,
    count: u16,
) {
    state::with(|state| {
        if state.is_waiting(callback) {
            return;
        }
        // SAFETY: By the requirement of this function; it is in no list.
        unsafe {
            (*callback).fn_ = function;
            (*callback).arg = argument;
            (*callback).count = count;
            state.wait(callback);
        }
    });
}

/// Makes sure that the function of a structure is not called any more.
///
/// # Safety
///
/// The structure was in the list, or is zeroed.
#[no_mangle]
pub unsafe extern "C" fn gnttab_cancel_free_callback(callback: *mut gnttab_free_callback) {
    state::with(|state| state.forget(callback));
}
