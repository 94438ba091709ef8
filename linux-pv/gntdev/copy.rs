// SPDX-License-Identifier: GPL-2.0

//! Copying between grants and the process's memory by the hypervisor (`GRANT_COPY`).

use core::mem::offset_of;

use kernel::prelude::*;
use kernel_ext::user;
use xen::grant::CopyBatch;
use xen_abi::{
    grant_table::status,
    linux::gntdev as abi, //
};
use xen_devfile::copy::pieces;

use crate::file::File;

/// Copies one segment after the other. The process finds in each its status: success, or why the
/// first piece that failed did.
///
/// # Errors
///
/// Only if a segment is invalid or cannot be read; then some may have been copied and others not.
pub(crate) fn copy(file: &File, argument: usize) -> Result {
    let args: abi::GrantCopy = user::read(argument)?;
    let mut batch = file.take_batch()?;
    let result = copy_all(file, &args, &mut batch);
    file.keep_batch(batch);
    result
}

fn copy_all(file: &File, args: &abi::GrantCopy, batch: &mut CopyBatch) -> Result {
    // The last segment that failed. Pieces come in order, so a piece that fails after it is of a
    // later segment, or of the same, whose status is written already.
    let mut last_failed = None;
    let mut report = |segment: usize, why: i16| {
        if last_failed == Some(segment) {
            return Ok(());
        }
        last_failed = Some(segment);
        user::write(status_of(segment)?, &why)
    };
    for index in 0..args.count as usize {
        let at = index
            .checked_mul(size_of::<abi::CopySegment>())
            .and_then(|offset| (args.segments as usize).checked_add(offset))
            .ok_or(EFAULT)?;
        let segment: abi::CopySegment = user::read(at)?;
        let pieces = pieces(&segment).ok_or(EINVAL)?;
        user::write(status_of(at)?, &status::OKAY)?;
        for piece in pieces {
            if batch.is_full() {
                batch.run(&mut report)?;
            }
            batch.add(&piece, at)?;
        }
        file.count_copied(segment.len.into());
    }
    batch.run(&mut report)
}

/// The address of a segment's status.
fn status_of(segment: usize) -> Result<usize> {
    segment
        .checked_add(offset_of!(abi::CopySegment, status))
        .ok_or(EFAULT)
}
