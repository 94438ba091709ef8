// SPDX-License-Identifier: GPL-2.0

//! Hypercalls that a process asks for.
//!
//! They may take long, and the hypervisor accesses the process's memory in them.

use core::ffi::c_void;

use kernel::{
    error::to_result,
    prelude::*, //
};

use kernel_ext::{
    chardev::Opener,
    user::Pinned, //
};

use xen_abi::{
    hvm::dm_op::DmOpBuf,
    memory::{
        op,
        AcquireResource, //
    },
};

use xen_bindings as bindings;
use xen_devfile::eventfds::MAX_BRIEF;

use crate::domain::DomId;

/// The right to have any hypercall made, of a process that has opened `/dev/xen/privcmd`.
///
/// A process that may have any hypercall made has as much power over this kernel as one that may
/// write to its memory (`/dev/mem`). That is why only root may open the device file, and why the
/// right is only to be had from an [`Opener`].
///
/// # Invariants
///
/// This was made when a process opened a device file that is root's.
pub struct Privcmd(());

impl Privcmd {
    /// The right of a process that opens a device file.
    pub fn new(_opener: &Opener) -> Self {
        // INVARIANT: An `Opener` is only made then.
        Self(())
    }

    /// Makes a hypercall, and returns what the hypervisor does. May sleep.
    #[inline]
    pub fn call(&self, number: u32, arguments: &[u64; 5]) -> isize {
        // SAFETY:
        // - The shim passes the arguments on, and reads no more than there are.
        // - By the type invariant the process has as much power over this kernel as the hypercall.
        unsafe { bindings::xen_rs_privcmd_call(number, arguments.as_ptr()) }
    }
}

/// Makes a device model's hypercall on buffers in the program's memory, and returns what the
/// hypervisor does. May sleep.
pub fn dm_op(domain: DomId, buffers: &Pinned) -> Result<isize> {
    let mut bufs = KVec::with_capacity(buffers.buffers().len(), GFP_KERNEL)?;
    for (address, size) in buffers.buffers() {
        let (h, size) = (*address as u64, *size as u64);
        bufs.push(DmOpBuf { h, size }, GFP_KERNEL)?;
    }
    let count = u32::try_from(bufs.len())?;
    let bufs: *mut c_void = bufs.as_mut_ptr().cast();
    // SAFETY: There are as many buffers as stated. The hypervisor copies to and from them as the
    // program itself could, and they are pinned so that it finds them.
    let result = unsafe { bindings::xen_rs_dm_op(domain.get(), count, bufs) };
    Ok(result as isize)
}

/// A device model's hypercall that is kept, to be made any number of times: the program's only
/// buffer, copied once.
pub struct StoredDmOp {
    domain: DomId,
    buffer: KVVec<u8>,
}

impl StoredDmOp {
    /// On this domain.
    pub fn new(domain: DomId, buffer: KVVec<u8>) -> Self {
        Self { domain, buffer }
    }

    /// The buffer.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Makes the hypercall and returns what the hypervisor does. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: each call passes a copy of the buffer, since the hypervisor writes results and the
    /// progress of a continuation there.
    pub fn call(&self) -> Result<isize> {
        let mut copy = KVVec::with_capacity(self.buffer.len(), GFP_KERNEL)?;
        copy.extend_from_slice(&self.buffer, GFP_KERNEL)?;
        let mut buf = Self::list(&mut copy);
        // SAFETY: `buf` is a list of one buffer, `copy`, which is not referenced during the call
        // and may be written.
        let result = unsafe { bindings::xen_rs_dm_op(self.domain.get(), 1, (&raw mut buf).cast()) };
        Ok(result as isize)
    }

    /// Makes the hypercall in any context, for an operation that
    /// [is brief](xen_devfile::eventfds::is_brief). The buffer is kernel memory that is always
    /// mapped, so the call does not sleep, and it does not let the kernel preempt the task.
    pub fn call_brief(&self) -> isize {
        let mut copy = [0; MAX_BRIEF];
        let len = self.buffer.len().min(copy.len());
        let copy = copy.get_mut(..len).unwrap_or_default();
        copy.copy_from_slice(self.buffer.get(..len).unwrap_or_default());
        let mut buf = Self::list(copy);
        // SAFETY: `buf` is a list of one buffer, `copy`, which is not referenced during the call
        // and may be written. It is on the stack, which is always mapped.
        let result =
            unsafe { bindings::xen_rs_dm_op_brief(self.domain.get(), 1, (&raw mut buf).cast()) };
        result as isize
    }

    fn list(buffer: &mut [u8]) -> DmOpBuf {
        DmOpBuf {
            h: buffer.as_mut_ptr() as u64,
            size: buffer.len() as u64,
        }
    }
}

/// How many frames a domain's resource has; only `domid`, `kind` and `id` of the argument count.
/// May sleep.
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

/// Acquires as many frames of a domain's resource as there is room for in `frames`, which tell
/// where the frames are to appear (auto-translated domains) or what they are (PV domains). Returns
/// the flags. May sleep.
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
    // SAFETY: The structure is that of the command, and its list of frames as long as it says:
    // empty, or that of `acquire_resource`, whose requirements cover what the hypervisor does with
    // it.
    to_result(unsafe { bindings::xen_rs_memory_op(op::ACQUIRE_RESOURCE, args) })
}

/// The GSI of a PCI device, named by segment, bus, device and function in one number.
pub fn gsi_of_pci(sbdf: u32) -> Result<u32> {
    // SAFETY: The shim looks the device up, whatever the number.
    let gsi = unsafe { bindings::xen_rs_gsi_of_pci(sbdf) };
    to_result(gsi)?;
    Ok(gsi as u32)
}
