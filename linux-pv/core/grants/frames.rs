// SPDX-License-Identifier: GPL-2.0

//! What the hypervisor is asked for: the version of the table, how large it may be, and its frames.
//!
//! An answer that is refused or makes no sense is an error, and stops nothing.

use core::{
    ptr,
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    }, //
};

use kernel::prelude::*;

use core_bindings as bindings;

use xen_abi::{
    command::{
        grant_table::{
            GetStatusFrames,
            QuerySize,
            SetVersion,
            SetupTable, //
        },
        Command, //
    },
    grant_table::{
        op,
        status, //
    },
    xen::domid, //
};

use xen_core::{
    declared_in_c, domain,
    error::{
        Error,
        Result, //
    },
    hypercall_instruction::{
        call3,
        Xen, //
    },
};

use xen_grant::{
    references::MAX_REFERENCES,
    Version, //
};

use xen_hypercall::{
    call,
    Errno, //
};

use crate::{
    entries::Place,
    pv::PvTable,
    translated::Translated, //
};

/// Frames of a table whose limit the hypervisor does not tell, as old ones did not.
const LEGACY_MAX: u32 = 4;

declared_in_c! {
    gnttab_max_grant_frames: unsafe extern "C" fn() -> core::ffi::c_uint;
}

/// How many frames of entries the hypervisor allows at the moment.
pub(crate) fn max_now() -> u32 {
    let Some(xen) = Xen::get() else {
        return LEGACY_MAX;
    };
    let mut query = op::QuerySize {
        dom: domid::SELF,
        ..Default::default()
    };
    match call::<QuerySize>(&xen, &mut query) {
        Ok(_) if query.status == status::OKAY => {
            query.max_nr_frames.min(MAX_REFERENCES / PER_FRAME)
        }
        _ => LEGACY_MAX,
    }
}

/// Most references in a frame.
const PER_FRAME: u32 = Version::V1.entries_per_frame();

/// How many frames of entries the table may have: what the hypervisor allows, but no more than it
/// allowed first, for which there is room.
pub(crate) fn max() -> u32 {
    /// What was allowed first, 0 before.
    static FIRST: AtomicU32 = AtomicU32::new(0);

    let now = max_now();
    match FIRST.load(Relaxed) {
        0 => {
            FIRST.store(now, Relaxed);
            now
        }
        first => now.min(first),
    }
}

/// How many frames of entries the table may have.
#[no_mangle]
pub extern "C" fn gnttab_max_grant_frames() -> core::ffi::c_uint {
    max()
}

/// Makes a call with one structure.
///
/// # Safety
///
/// The kernel runs on Xen. The hypervisor may write what the structure names.
unsafe fn call_one<C: Command>(argument: &mut C::Argument) -> Result {
    let arguments = [u64::from(C::NUMBER), ptr::from_mut(argument) as u64, 1];
    // SAFETY: The structure is that of the command. The rest is the caller's.
    match Errno::check(unsafe { call3(C::HYPERCALL, arguments) })? {
        0 => Ok(()),
        // Whatever else it is, the command has not been done.
        _ => Err(Error::EIO),
    }
}

/// Sets the version of the table, of which no entry is in use or which has that version. Returns
/// whether it has it now.
///
/// # Safety
///
/// The kernel runs on Xen.
pub(crate) unsafe fn set_version(version: Version) -> bool {
    let mut set = op::SetVersion {
        version: version.number(),
    };
    // SAFETY: By the requirement of this function. The command touches no memory but the table.
    let result = unsafe { call_one::<SetVersion>(&mut set) };
    result.is_ok() && set.version == version.number()
}

/// Asks a PV domain's hypervisor for the first `list.len()` frames of entries, to which it makes
/// the table grow.
///
/// # Safety
///
/// This is a PV domain.
pub(crate) unsafe fn entries_of_pv(list: &mut [u64]) -> Result {
    let mut setup = op::SetupTable {
        dom: domid::SELF,
        nr_frames: list.len() as u32,
        frame_list: list.as_mut_ptr() as u64,
        ..Default::default()
    };
    // SAFETY: By the requirement of this function. The list has so many elements.
    unsafe { call_one::<SetupTable>(&mut setup) }?;
    check(setup.status)
}

/// Likewise for frames of status words.
///
/// # Safety
///
/// This is a PV domain.
pub(crate) unsafe fn status_of_pv(list: &mut [u64]) -> Result {
    let mut get = op::GetStatusFrames {
        dom: domid::SELF,
        nr_frames: list.len() as u32,
        frame_list: list.as_mut_ptr() as u64,
        ..Default::default()
    };
    // SAFETY: By the requirement of this function. The list has so many elements.
    unsafe { call_one::<GetStatusFrames>(&mut get) }?;
    check(get.status)
}

fn check(status: i16) -> Result {
    match status {
        status::OKAY => Ok(()),
        _ => {
            pr_warn!("the hypervisor refuses the grant table: status {status}\n");
            Err(Error::EIO)
        }
    }
}

/// Where the table is, by the kind of domain.
pub(crate) enum Mapping {
    /// Nowhere yet.
    None,
    /// In a PV domain.
    Pv(PvTable),
    /// In other domains.
    Translated(Translated),
}

impl Mapping {
    /// Room for a table of at most so many frames of entries. May sleep.
    pub(crate) fn new(version: Version, max: u32) -> Result<Self> {
        Ok(match domain::is_pv() {
            true => Self::Pv(PvTable::new(version, max)?),
            false => Self::Translated(Translated::new(version, max)?),
        })
    }

    /// Maps the frames of entries from `from` to `to`, with the status words of all up to there.
    /// Those before are mapped. Any context.
    pub(crate) fn map(&mut self, version: Version, from: u32, to: u32) -> Result<Place> {
        match self {
            Self::None => Err(Error::ENODEV),
            Self::Pv(table) => table.map(version, from, to),
            Self::Translated(table) => table.map(version, from, to),
        }
    }

    /// Undoes [`new`](Self::new), for a table that was not set up.
    pub(crate) fn give_back(self) {
        if let Self::Translated(table) = self {
            table.give_back();
        }
    }

    /// Unmaps all before the domain is suspended. In other domains than PV ones the memory stays.
    pub(crate) fn unmap(&mut self) {
        if let Self::Pv(table) = self {
            table.unmap();
        }
    }
}

/// Whether frames of this domain may have numbers that entries of version 1 have no room for.
pub(crate) fn needs_version_2() -> bool {
    if !domain::is_pv() {
        // SAFETY: A variable that is written early at boot.
        return unsafe { (&raw const bindings::max_possible_pfn).read() } >> 32 != 0;
    }
    // SAFETY: Reads leaves of CPUID. That of the machine's address width is 5 behind the first
    // (asm/xen/cpuid.h).
    let width = unsafe {
        let base = bindings::xen_core_xen_cpuid_base();
        match core::arch::x86_64::__cpuid(base).eax {
            last if base == 0 || last < base.wrapping_add(5) => return false,
            _ => core::arch::x86_64::__cpuid(base.wrapping_add(5)).ebx & 0xff,
        }
    };
    width > 32 + 12
}
