// SPDX-License-Identifier: GPL-2.0

//! Initialisation, suspend and resume.
//!
//! A PV domain and a PVH one have their table early at boot, an HVM domain when the driver of the
//! platform device has found a place for it.

use core::{
    mem::{
        self,
        size_of, //
    },
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    },
};

use kernel::{
    ffi::c_int,
    prelude::*, //
};

use xen_core::{
    declared_in_c,
    domain,
    error::{
        self,
        Error,
        Result, //
    }, //
};

use xen_grant::Version;

use crate::{
    deferred,
    entries,
    frames::{
        self,
        Mapping, //
    },
    slots,
    state::{
        self,
        Shortage, //
    },
    translated, //
};

declared_in_c! {
    gnttab_init: unsafe extern "C" fn() -> c_int;
}

#[cfg(CONFIG_HIBERNATE_CALLBACKS)]
declared_in_c! {
    gnttab_suspend: unsafe extern "C" fn() -> c_int;
    gnttab_resume: unsafe extern "C" fn() -> c_int;
}

/// The parameter `grant_table.version`: 1 or 2, or anything else for the one that is needed.
#[no_mangle]
#[allow(non_upper_case_globals)]
static xen_core_grant_version: AtomicU32 = AtomicU32::new(0);

/// Sets the version if the hypervisor has it, otherwise version 1. Returns which it is.
fn request(version: Version) -> Version {
    // SAFETY: Called on Xen only.
    let is_set = unsafe { frames::set_version(version) };
    let version = if is_set { version } else { Version::V1 };
    pr_info!("Grant tables using version {} layout\n", version.number());
    version
}

/// Sets the table up. Called again it does nothing.
#[no_mangle]
pub extern "C" fn gnttab_init() -> c_int {
    error::to_status(set_up())
}

fn set_up() -> Result {
    if state::with(|state| state.frames != 0) {
        return Ok(());
    }
    let wanted = match Version::new(xen_core_grant_version.load(Relaxed)) {
        Some(version) => version,
        None if frames::needs_version_2() => Version::V2,
        None => Version::V1,
    };
    let version = request(wanted);
    let max = frames::max();
    if max == 0 {
        return Err(Error::ENOSYS);
    }
    let pages = version.list_pages(max, size_of::<u32>());
    slots::make_list(pages)?;
    let mapping = Mapping::new(version, max)?;
    let grown = state::with(|state| {
        state.mapping = mapping;
        let grown = state.grow(version, 1);
        grown.map_err(|shortage| (shortage, mem::replace(&mut state.mapping, Mapping::None)))
    });
    match grown {
        Ok(()) => {
            pr_info!("Grant table initialized\n");
            Ok(())
        }
        Err((shortage, mapping)) => {
            mapping.give_back();
            Err(match shortage {
                Shortage::Failed(error) => error,
                Shortage::Limit { .. } => Error::ENOSYS,
            })
        }
    }
}

/// Called when the domain is suspended, while no other code runs.
#[cfg(CONFIG_HIBERNATE_CALLBACKS)]
#[no_mangle]
pub extern "C" fn gnttab_suspend() -> c_int {
    state::with(|state| state.mapping.unmap());
    0
}

/// Called when the domain goes on, while no other code runs: perhaps with a new table, which is
/// empty. Drivers grant anew then.
///
/// Without a table nothing is granted from then on, and drivers find their devices dead. In C they
/// write where no table is mapped.
///
/// The version stays, if this hypervisor has it. Otherwise it is 1, in which each reference of
/// version 2 has an entry too.
#[cfg(CONFIG_HIBERNATE_CALLBACKS)]
#[no_mangle]
pub extern "C" fn gnttab_resume() -> c_int {
    // SAFETY: By the kernel's promise no other code runs.
    let result = state::with(|state| resume(state).inspect_err(|_| unsafe { state.lose() }));
    match result {
        Ok(()) => 0,
        Err(error) => {
            let error = error.to_raw();
            pr_err!("there is no grant table after the domain was suspended: error {error}\n");
            error
        }
    }
}

#[cfg(CONFIG_HIBERNATE_CALLBACKS)]
fn resume(state: &mut state::State) -> Result {
    let version = request(entries::version());
    let size = state.references.size();
    let frames = version.frames_for(size);
    if frames > frames::max() {
        return Err(Error::ENOSYS);
    }
    let place = state.mapping.map(version, 0, frames)?;
    state.frames = frames;
    // SAFETY: All frames are mapped there, and no other code runs.
    unsafe { entries::publish(version, place, size) };
    Ok(())
}

/// An `early_initcall`: before anything uses grants.
#[link_section = ".init.text"]
extern "C" fn init_locks() -> c_int {
    // SAFETY: Called once, before other functions.
    unsafe {
        state::init();
        translated::init();
        deferred::init();
    }
    0
}

xen_core::initcall!(early, init_locks);

/// Whether this is a PVH domain.
#[cfg(CONFIG_XEN_PVH)]
fn is_pvh() -> bool {
    // SAFETY: Written once, early at boot.
    unsafe { (&raw const core_bindings::xen_pvh).read() }
}

/// Whether this is a PVH domain, which needs `CONFIG_XEN_PVH`.
#[cfg(not(CONFIG_XEN_PVH))]
fn is_pvh() -> bool {
    false
}

/// A `core_initcall`, before the next: a place for the table of a PVH domain.
#[cfg(CONFIG_XEN_PVH)]
#[link_section = ".init.text"]
extern "C" fn prepare_pvh() -> c_int {
    if !is_pvh() {
        return Error::ENODEV.to_raw();
    }
    error::to_status(translated::prepare_pages())
}

#[cfg(CONFIG_XEN_PVH)]
xen_core::initcall!(core, prepare_pvh);

/// A `core_initcall_sync`: the table, but in an HVM domain.
#[link_section = ".init.text"]
extern "C" fn init_early() -> c_int {
    if !domain::is_xen() {
        return Error::ENODEV.to_raw();
    }
    if domain::is_hvm() && !is_pvh() {
        return 0;
    }
    gnttab_init()
}

xen_core::initcall!(core_sync, init_early);
