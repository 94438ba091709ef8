// SPDX-License-Identifier: GPL-2.0

//! Mapping a resource of a domain that has no frame numbers (`MMAP_RESOURCE`): a device model's
//! request pages, grant tables.

use core::mem::offset_of;

use kernel::prelude::*;
use kernel_ext::{
    user,
    vma::AddressSpace, //
};
use xen::{
    hypercall,
    vma::foreign, //
};
use xen_abi::{
    linux::privcmd as abi,
    memory::AcquireResource, //
};

use crate::file::File;

/// Most frames of a request: their numbers have to be contiguous in memory.
const MAX_FRAMES: usize = 1 << 19;

/// Maps frames of the resource, or returns the number of its frames.
pub(crate) fn map(file: &File, argument: usize) -> Result {
    let args: abi::MmapResource = user::read(argument)?;
    file.allows(args.dom)?;
    if (args.addr == 0) != (args.num == 0) {
        return Err(EINVAL);
    }
    let resource = AcquireResource {
        domid: args.dom,
        kind: args.kind as u16,
        id: args.id,
        frame: args.idx.into(),
        ..Default::default()
    };
    if args.num == 0 {
        let size = u64::from(hypercall::resource_size(&resource)?);
        let at = argument.checked_add(offset_of!(abi::MmapResource, num));
        return user::write(at.ok_or(EFAULT)?, &size);
    }
    let address = args.addr as usize;
    let space = AddressSpace::lock()?;
    let area = foreign::Area::find(&space, address).ok_or(EINVAL)?;
    let count = usize::try_from(args.num)
        .ok()
        .filter(|count| *count <= MAX_FRAMES)
        .ok_or(ENOMEM)?;
    let mut frames = KVec::from_elem(0, count, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
    area.map_resource(address, &resource, &mut frames)?;
    file.count_frames(count);
    Ok(())
}
