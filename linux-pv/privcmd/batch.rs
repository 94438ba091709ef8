// SPDX-License-Identifier: GPL-2.0

//! Mapping a list of a domain's frames (`MMAPBATCH`, `MMAPBATCH_V2`).
//!
//! The list is copied as a whole, then mapped with the address space locked, then the result of
//! each frame is written: the process's memory cannot be accessed while the lock is held.

use kernel::prelude::*;
use kernel_ext::{
    user,
    vma::AddressSpace, //
};
use xen::{
    domain::DomId,
    vma::foreign, //
};
use xen_abi::linux::privcmd as abi;
use xen_devfile::{
    batch::{
        marked,
        settle,
        Summary,
        CHUNK, //
    },
    mapping::{
        claim,
        Claim,
        Span, //
    },
};

use crate::file::File;

/// Bytes of a frame's number.
const FRAME: usize = size_of::<u64>();
/// Bytes of an error.
const ERROR: usize = size_of::<i32>();

/// The request of both versions.
struct Batch {
    domain: u16,
    address: usize,
    list: usize,
    count: usize,
}

/// The first version: errors are marked in the list itself.
pub(crate) fn map_v1(file: &File, argument: usize) -> Result {
    let args: abi::MmapBatch = user::read(argument)?;
    let batch = Batch {
        domain: args.dom,
        address: args.addr as usize,
        list: args.arr as usize,
        count: args.num as usize,
    };
    if !user::access_ok(batch.list, batch.count * FRAME) {
        return Err(EFAULT);
    }
    let mut frames = batch.read_list(file)?;
    let (summary, errors) = batch.map(file, &mut frames)?;
    if summary != Summary::Complete {
        for (index, (frame, error)) in frames.iter().zip(&errors).enumerate() {
            if let Some(marked) = marked(*frame, *error) {
                user::write(batch.list + index * FRAME, &marked)?;
            }
        }
    }
    result(summary)
}

/// The second version: errors go to a list of their own.
pub(crate) fn map_v2(file: &File, argument: usize) -> Result {
    let args: abi::MmapBatchV2 = user::read(argument)?;
    let batch = Batch {
        domain: args.dom,
        address: args.addr as usize,
        list: args.arr as usize,
        count: args.num as usize,
    };
    let results = args.err as usize;
    if !user::access_ok(results, batch.count * ERROR) {
        return Err(EFAULT);
    }
    let mut frames = batch.read_list(file)?;
    user::clear(results, batch.count * ERROR)?;
    let (summary, errors) = batch.map(file, &mut frames)?;
    if summary != Summary::Complete {
        user::write_slice(results, &errors)?;
    }
    result(summary)
}

/// It is no failure of the request that some frames are not mapped, unless one is paged out: the
/// process asks again then.
fn result(summary: Summary) -> Result {
    match summary {
        Summary::Complete | Summary::Partial => Ok(()),
        Summary::PagedOut => Err(ENOENT),
    }
}

impl Batch {
    fn read_list(&self, file: &File) -> Result<KVVec<u64>> {
        file.allows(self.domain)?;
        if self.count == 0 {
            return Err(EINVAL);
        }
        user::read_array(self.list, self.count)
    }

    /// Maps the frames, and returns the result of each.
    fn map(&self, file: &File, frames: &mut [u64]) -> Result<(Summary, KVVec<i32>)> {
        let flags = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
        let mut errors = KVVec::from_elem(0, frames.len(), flags)?;
        let space = AddressSpace::lock()?;
        let area = foreign::Area::find(&space, self.address).ok_or(EINVAL)?;
        let whole = Span::new(area.start() as u64, area.pages() as u64).ok_or(EINVAL)?;
        let wanted = Span::new(self.address as u64, frames.len() as u64).ok_or(EINVAL)?;
        match claim(whole, area.is_used(), self.address as u64, wanted) {
            Some(Claim::Whole) => area.prepare()?,
            Some(Claim::Holes) if !area.is_mapped(self.address, frames.len())? => (),
            Some(Claim::Holes) | None => return Err(EINVAL),
        }
        let domain = DomId::new(self.domain);
        let mut summary = Summary::default();
        let mut at = wanted.start() as usize;
        for (frames, errors) in frames.chunks_mut(CHUNK).zip(errors.chunks_mut(CHUNK)) {
            let returned = area.map(at, frames, errors, domain)?;
            settle(errors, returned);
            summary.add(frames.len(), returned);
            at += frames.len() * xen::page::PAGE_SIZE;
        }
        file.count_frames(frames.len());
        Ok((summary, errors))
    }
}
