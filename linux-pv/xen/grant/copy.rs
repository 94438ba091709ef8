// SPDX-License-Identifier: GPL-2.0

//! Having the hypervisor copy between grants and a program's memory.

use core::{
    mem,
    ptr, //
};

use kernel::{
    bindings as k,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

use xen_abi::{
    grant_table::{
        op::copy_flag,
        status, //
    },
    xen::domid, //
};

use xen_bindings as bindings;

use xen_devfile::copy::{
    Piece,
    Side, //
};

use crate::page::Gfn;

/// Pieces that are copied in one go.
const BATCH: usize = 16;

/// Pinned pages of the current process.
///
/// # Invariants
///
/// The first `count` of `pages` are pinned, for writing if `writable`.
struct Pins {
    pages: [*mut k::page; BATCH],
    count: usize,
    writable: bool,
}

// SAFETY: Any task may unpin pages.
unsafe impl Send for Pins {}

impl Pins {
    fn new(writable: bool) -> Self {
        // INVARIANT: There are none.
        Self {
            pages: [ptr::null_mut(); BATCH],
            count: 0,
            writable,
        }
    }

    /// Pins the page of an address and returns the frame it is in. May sleep.
    fn pin(&mut self, address: usize) -> Result<usize> {
        let place = self.pages.get_mut(self.count).ok_or(ENOSPC)?;
        let flags = if self.writable { k::FOLL_WRITE } else { 0 };
        let at = address & !(PAGE_SIZE - 1);
        // SAFETY: `place` is valid for writes of one pointer.
        let pinned = unsafe { k::pin_user_pages_fast(at, 1, flags, place) };
        to_result(pinned)?;
        if pinned != 1 {
            return Err(EFAULT);
        }
        // INVARIANT: It is pinned.
        self.count += 1;
        // SAFETY: The page is valid.
        Ok(unsafe { Gfn::of(*place) }.0)
    }

    /// Unpins all pages; writable ones become dirty.
    fn unpin(&mut self) {
        if self.count > 0 {
            // INVARIANT: No page counts as pinned any more.
            let count = mem::take(&mut self.count);
            // SAFETY: By the type invariant the first `count` pages are pinned.
            unsafe {
                k::unpin_user_pages_dirty_lock(self.pages.as_mut_ptr(), count, self.writable)
            };
        }
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        self.unpin();
    }
}

/// Copies to be made, up to a few at a time. What was not [run](Self::run) is not made.
pub struct CopyBatch {
    operations: [bindings::gnttab_copy; BATCH],
    tags: [usize; BATCH],
    count: usize,
    sources: Pins,
    dests: Pins,
}

type Pointer = bindings::gnttab_copy_gnttab_copy_ptr;
type Place = bindings::gnttab_copy_gnttab_copy_ptr__bindgen_ty_1;

const NOWHERE: Pointer = Pointer {
    u: Place { gmfn: 0 },
    domid: domid::SELF,
    offset: 0,
};
/// Where there is no operation yet.
const NONE: bindings::gnttab_copy = bindings::gnttab_copy {
    source: NOWHERE,
    dest: NOWHERE,
    len: 0,
    flags: 0,
    status: status::GENERAL_ERROR,
};

impl CopyBatch {
    /// An empty one.
    pub fn new() -> Result<KBox<Self>> {
        let batch = Self {
            operations: [NONE; BATCH],
            tags: [0; BATCH],
            count: 0,
            sources: Pins::new(false),
            dests: Pins::new(true),
        };
        Ok(KBox::new(batch, GFP_KERNEL_ACCOUNT)?)
    }

    /// Whether it has to be run before more can be added.
    pub fn is_full(&self) -> bool {
        self.count >= BATCH
    }

    /// Adds a copy, of which [`run`](Self::run) tells by `tag`. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the program has no such memory, `ENOSPC` if the batch is full.
    pub fn add(&mut self, piece: &Piece, tag: usize) -> Result {
        let (source, from_grant) = place(piece.source, &mut self.sources)?;
        let (dest, to_grant) = place(piece.dest, &mut self.dests)?;
        let operation = bindings::gnttab_copy {
            source,
            dest,
            len: piece.len,
            flags: if from_grant {
                copy_flag::SOURCE_GREF
            } else {
                0
            } | if to_grant { copy_flag::DEST_GREF } else { 0 },
            status: status::GENERAL_ERROR,
        };
        *self.operations.get_mut(self.count).ok_or(ENOSPC)? = operation;
        *self.tags.get_mut(self.count).ok_or(ENOSPC)? = tag;
        self.count += 1;
        Ok(())
    }

    /// Makes the copies, and tells of each that failed its tag and the hypervisor's status. May
    /// sleep.
    pub fn run(&mut self, mut failed: impl FnMut(usize, i16) -> Result) -> Result {
        let count = self.count;
        let operations = self.operations.get_mut(..count).unwrap_or_default();
        if !operations.is_empty() {
            // SAFETY: There are as many. Each is between a grant, which is the other domain's to
            // lose, and another or a pinned page of the program's, which may be written to if it
            // is.
            unsafe { bindings::gnttab_batch_copy(operations.as_mut_ptr(), count as u32) };
        }
        let mut result = Ok(());
        for (operation, tag) in operations.iter().zip(&self.tags) {
            if operation.status != status::OKAY && result.is_ok() {
                result = failed(*tag, operation.status);
            }
        }
        self.clear();
        result
    }

    /// Forgets copies that were not made. May sleep.
    pub fn clear(&mut self) {
        self.count = 0;
        self.sources.unpin();
        self.dests.unpin();
    }
}

/// What the hypervisor is told of a side, and whether it is a grant.
fn place(side: Side, pins: &mut Pins) -> Result<(Pointer, bool)> {
    Ok(match side {
        Side::Grant {
            domain,
            reference,
            offset,
        } => {
            let pointer = Pointer {
                u: Place { ref_: reference },
                domid: domain,
                offset,
            };
            (pointer, true)
        }
        Side::Memory { address } => {
            let pointer = Pointer {
                u: Place {
                    gmfn: pins.pin(address as usize)?,
                },
                domid: domid::SELF,
                offset: (address as usize % PAGE_SIZE) as u16,
            };
            (pointer, false)
        }
    })
}
