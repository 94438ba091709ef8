// SPDX-License-Identifier: GPL-2.0

//! Hypercalls that a user program asks for.
//!
//! They may take long, and the hypervisor accesses the program's memory in them. What they do is between
//! the program and the hypervisor: a program that may have any hypercall made has as much power over this
//! kernel as one that may write to its memory, which is why the node for it is root's alone.

use core::ffi::c_void;
use kernel::error::to_result;
use kernel::prelude::*;
use xen_abi::hvm::dm_op::DmOpBuf;
use xen_abi::memory::{op, AcquireResource};
use xen_bindings as bindings;

use crate::domain::DomId;
use crate::user::Pinned;

/// Makes a hypercall for the program, and returns what the hypervisor does. May sleep.
///
/// Whether the program may do that is the caller's to know: see the module's documentation.
pub fn for_program(number: u32, arguments: &[u64; 5]) -> isize {
    // SAFETY: The shim passes the arguments on; what becomes of them, as stated above, is no less than
    // what whoever was allowed to ask for this may do anyway.
    unsafe { bindings::xen_rs_privcmd_call(number, arguments.as_ptr()) }
}

/// Makes a device model's hypercall on buffers in the program's memory, and returns what the hypervisor
/// does. May sleep.
pub fn dm_op(domain: DomId, buffers: &Pinned) -> Result<isize> {
    let mut bufs = KVec::with_capacity(buffers.buffers().len(), GFP_KERNEL)?;
    for (address, size) in buffers.buffers() {
        let (h, size) = (*address as u64, *size as u64);
        bufs.push(DmOpBuf { h, size }, GFP_KERNEL)?;
    }
    let count = u32::try_from(bufs.len())?;
    let bufs: *mut c_void = bufs.as_mut_ptr().cast();
    // SAFETY: There are as many buffers as stated. The hypervisor copies to and from them as the program
    // itself could, and they are pinned so that it finds them.
    let result = unsafe { bindings::xen_rs_dm_op(domain.get(), count, bufs) };
    Ok(result as isize)
}

/// How many frames a domain's resource has; only `domid`, `kind` and `id` of the argument count. May
/// sleep.
pub fn resource_size(resource: &AcquireResource) -> Result<u32> {
    let mut args = AcquireResource {
        nr_frames: 0,
        flags: 0,
        frame: 0,
        frame_list: 0,
        ..*resource
    };
    acquire(&mut args)?;
    Ok(args.nr_frames)
}

/// Acquires as many frames of a domain's resource as there is room for in `frames`, which tell where the
/// frames are to appear (auto-translated domains) or what they are (PV domains). Returns the flags. May
/// sleep.
///
/// # Safety
///
/// In an auto-translated domain, nothing is at the frames listed.
pub(crate) unsafe fn acquire_resource(
    resource: &AcquireResource,
    frames: &mut [u64],
) -> Result<u32> {
    let mut args = AcquireResource {
        nr_frames: u32::try_from(frames.len())?,
        flags: 0,
        frame_list: frames.as_mut_ptr() as u64,
        ..*resource
    };
    acquire(&mut args)?;
    Ok(args.flags)
}

fn acquire(args: &mut AcquireResource) -> Result {
    let args: *mut c_void = core::ptr::from_mut(args).cast();
    // SAFETY: The structure is that of the command, and its list of frames as long as it says: empty, or
    // as `acquire_resource` has it, whose caller vouches for what the hypervisor does with it.
    to_result(unsafe { bindings::xen_rs_memory_op(op::ACQUIRE_RESOURCE, args) })
}

/// The GSI of a PCI device, named by segment, bus, device and function in one number.
pub fn gsi_of_pci(sbdf: u32) -> Result<u32> {
    // SAFETY: The shim looks the device up, whatever the number.
    let gsi = unsafe { bindings::xen_rs_gsi_of_pci(sbdf) };
    to_result(gsi)?;
    Ok(gsi as u32)
}
