// SPDX-License-Identifier: GPL-2.0

//! To grant a frame, and to end that. Any context but an NMI.

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_ulong, //
    },
    prelude::*, //
};

use core_bindings as bindings;

use xen_core::{
    declared_in_c,
    error::Error, //
};

use xen_grant::{
    guest::{
        self,
        Access, //
    },
    references::{
        BadReference,
        RefState, //
    },
};

use crate::{
    deferred,
    entries::Entries,
    report::{
        self,
        Seldom, //
    },
    slots::KernelSlots,
    state, //
};

declared_in_c! {
    gnttab_grant_foreign_access_ref: unsafe extern "C" fn(u32, u16, c_ulong, c_int);
    gnttab_grant_foreign_access: unsafe extern "C" fn(u16, c_ulong, c_int) -> c_int;
    gnttab_end_foreign_access_ref: unsafe extern "C" fn(u32) -> c_int;
    gnttab_try_end_foreign_access: unsafe extern "C" fn(u32) -> c_int;
    gnttab_end_foreign_access: unsafe extern "C" fn(u32, *mut k::page);
}

/// Grants a frame by a reference of the caller's. If that is not possible, it grants nothing, and
/// the other domain finds that out.
#[no_mangle]
pub extern "C" fn gnttab_grant_foreign_access_ref(
    reference: u32,
    domain: u16,
    frame: c_ulong,
    readonly: c_int,
) {
    let access = match readonly {
        0 => Access::ReadWrite,
        _ => Access::ReadOnly,
    };
    let granted = guest::grant(&Entries::get(), reference, domain, frame as u64, access);
    if let Err(error) = granted {
        not_granted(reference, frame, error);
    }
}

#[cold]
#[inline(never)]
fn not_granted(reference: u32, frame: c_ulong, error: guest::GrantError) {
    static SELDOM: Seldom = Seldom::new();

    if SELDOM.is_due() {
        pr_err!(
            "frame {frame:#x} is not granted by reference {reference:#x}: {}\n",
            format_args!("{error}")
        );
    }
}

/// Grants a frame by a new reference, and returns that, or `-ENOSPC`.
#[no_mangle]
pub extern "C" fn gnttab_grant_foreign_access(
    domain: u16,
    frame: c_ulong,
    readonly: c_int,
) -> c_int {
    match state::with(|state| state.take(|references| references.alloc())) {
        Ok(reference) => {
            gnttab_grant_foreign_access_ref(reference, domain, frame, readonly);
            reference as c_int
        }
        Err(shortage) => {
            shortage.say();
            Error::ENOSPC.to_raw()
        }
    }
}

/// Ends a grant, whose reference stays the caller's. Returns 0 if the other domain uses the page.
#[no_mangle]
pub extern "C" fn gnttab_end_foreign_access_ref(reference: u32) -> c_int {
    match guest::revoke(&Entries::get(), reference) {
        Ok(()) => 1,
        Err(_) => {
            still_in_use(reference);
            0
        }
    }
}

#[cold]
#[inline(never)]
fn still_in_use(reference: u32) {
    pr_warn!("WARNING: g.e. {reference:#x} still in use!\n");
}

/// What came of ending a grant and freeing its reference.
enum Ended {
    Yes,
    InUse,
    NotOurs,
}

/// Ends a grant and frees its reference, if the other domain does not use the page.
fn end(reference: u32) -> Ended {
    // Another owner's grant must not be ended.
    let state = xen_grant::references::state(&KernelSlots, reference);
    if state != RefState::InUse {
        report::mistake("ended", BadReference { reference, state });
        return Ended::NotOurs;
    }
    if guest::revoke(&Entries::get(), reference).is_err() {
        return Ended::InUse;
    }
    match state::with(|state| state.references.free(reference)) {
        Ok(()) => Ended::Yes,
        Err(bad) => {
            report::mistake("freed", bad);
            Ended::NotOurs
        }
    }
}

/// Ends a grant and frees its reference. Returns 0 if that is not possible (yet).
#[no_mangle]
pub extern "C" fn gnttab_try_end_foreign_access(reference: u32) -> c_int {
    match end(reference) {
        Ended::Yes => 1,
        Ended::InUse | Ended::NotOurs => 0,
    }
}

/// Ends a grant, frees its reference and puts its page, if there is one: now, or when the other
/// domain does not use it any more.
///
/// A page whose reference is not the caller's stays allocated: somebody may still use it, or it was
/// put before.
///
/// # Safety
///
/// The caller gives up a reference to the page, which must have been granted by this reference.
#[no_mangle]
pub unsafe extern "C" fn gnttab_end_foreign_access(reference: u32, page: *mut k::page) {
    match end(reference) {
        Ended::Yes if !page.is_null() => {
            // SAFETY: By the requirement of this function; the grant has ended.
            unsafe { bindings::xen_core_put_page(page) };
        }
        Ended::Yes | Ended::NotOurs => {}
        // SAFETY: By the requirement of this function.
        Ended::InUse => unsafe { deferred::defer(reference, page) },
    }
}
