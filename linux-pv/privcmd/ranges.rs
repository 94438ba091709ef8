// SPDX-License-Identifier: GPL-2.0

//! Mapping ranges of a domain's frames (`MMAP`), in PV domains: the oldest request that maps.

use kernel::prelude::*;
use kernel_ext::{
    chardev::error,
    user,
    vma::AddressSpace, //
};
use xen::{
    domain::{
        self,
        DomId, //
    },
    vma::foreign, //
};
use xen_abi::{
    errno,
    linux::privcmd as abi, //
};
use xen_devfile::mapping::{
    Ranges,
    Span, //
};

use crate::file::File;

/// Maps the ranges one after the other, from the beginning of a new area on. If one fails, those
/// before it stay mapped.
pub(crate) fn map(file: &File, argument: usize) -> Result {
    if !domain::is_pv() {
        return Err(error(errno::ENOSYS));
    }
    let args: abi::Mmap = user::read(argument)?;
    file.allows(args.dom)?;
    let entries: KVVec<abi::MmapEntry> = user::read_array(args.entry as usize, args.num as usize)?;
    let Some(first) = entries.first() else {
        return Ok(());
    };
    let space = AddressSpace::lock()?;
    let area = foreign::Area::find(&space, first.va as usize).ok_or(EINVAL)?;
    if first.va as usize != area.start() || area.is_used() {
        return Err(EINVAL);
    }
    area.prepare()?;
    let whole = Span::new(area.start() as u64, area.pages() as u64).ok_or(EINVAL)?;
    let mut ranges = Ranges::of(whole);
    for entry in &entries {
        let span = ranges.next(entry.va, entry.npages).ok_or(EINVAL)?;
        let pages = span.pages() as usize;
        area.map_range(
            span.start() as usize,
            entry.mfn,
            pages,
            DomId::new(args.dom),
        )?;
        file.count_frames(pages);
    }
    Ok(())
}
