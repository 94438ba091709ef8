// SPDX-License-Identifier: GPL-2.0

//! `memory_op`.

use paravane::error::{Errno, Result};
use paravane::mem::p2m::Kind;
use paravane::mem::{Gfn, GuestMemory, Mfn};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Call;
use crate::arch::phys::NestedTables;

/// `xen_add_to_physmap`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct AddToPhysmap {
    domain: u16,
    size: u16,
    space: u32,
    index: u64,
    gpfn: u64,
}

/// `XENMAPSPACE_shared_info`.
const SPACE_SHARED_INFO: u32 = 0;

/// Carries out a command; the bits above the sixth are where a long one went on.
pub fn call(call: &mut Call, command: u32, argument: u64) -> Result<u64> {
    match command & 0x3f {
        7 => {
            let wanted: AddToPhysmap = call.memory.get(argument)?;
            if wanted.domain != xen_abi::xen::domid::SELF && wanted.domain != 0 {
                return Err(Errno::ESRCH);
            }
            match (wanted.space, wanted.index) {
                (SPACE_SHARED_INFO, 0) => {
                    let frame = Mfn::of(call.domain.shared_info.start());
                    let mut p2m = call.domain.p2m.lock();
                    let mapped =
                        p2m.map(&mut NestedTables, Gfn(wanted.gpfn), frame, 1, Kind::Foreign);
                    drop(p2m);
                    mapped.map_err(|_| Errno::ENOMEM)?;
                    call.domain.flush();
                    Ok(0)
                }
                _ => Err(Errno::ENOSYS),
            }
        }
        _ => Err(Errno::ENOSYS),
    }
}
