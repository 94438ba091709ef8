// SPDX-License-Identifier: GPL-2.0

//! Having the hypervisor copy between grants and a program's memory.

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use xen_abi::grant_table::op::copy_flag;
use xen_abi::grant_table::status;
use xen_abi::xen::domid;
use xen_bindings as bindings;
use xen_nodes::copy::{Piece, Side};

use crate::page::Gfn;

/// Pieces that are copied in one go.
const BATCH: usize = 16;

/// A page of the program's that stays where it is while this lives.
///
/// # Invariants
///
/// `page` was pinned, for writing if `writable`, and not unpinned.
struct PinnedPage {
    page: *mut k::page,
    writable: bool,
}

impl PinnedPage {
    fn new(address: usize, writable: bool) -> Result<Self> {
        let mut page = core::ptr::null_mut();
        let flags = if writable { k::FOLL_WRITE } else { 0 };
        let at = address & !(PAGE_SIZE - 1);
        // SAFETY: There is room for one page.
        let pinned = unsafe { k::pin_user_pages_fast(at, 1, flags, &mut page) };
        to_result(pinned)?;
        if pinned != 1 {
            return Err(EFAULT);
        }
        // INVARIANT: It is pinned.
        Ok(Self { page, writable })
    }
}

impl Drop for PinnedPage {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { k::unpin_user_pages_dirty_lock(&mut self.page, 1, self.writable) };
    }
}

/// Copies to be made, up to a few at a time. What was not [run](Self::run) is not made.
pub struct CopyBatch {
    operations: KVec<bindings::gnttab_copy>,
    pinned: KVec<PinnedPage>,
    tags: KVec<usize>,
}

type Pointer = bindings::gnttab_copy_gnttab_copy_ptr;
type Place = bindings::gnttab_copy_gnttab_copy_ptr__bindgen_ty_1;

impl CopyBatch {
    /// An empty one.
    pub fn new() -> Result<Self> {
        Ok(Self {
            operations: KVec::with_capacity(BATCH, GFP_KERNEL)?,
            pinned: KVec::with_capacity(2 * BATCH, GFP_KERNEL)?,
            tags: KVec::with_capacity(BATCH, GFP_KERNEL)?,
        })
    }

    /// Whether it has to be run before more can be added.
    pub fn is_full(&self) -> bool {
        self.operations.len() >= BATCH
    }

    /// Adds a copy, of which [`run`](Self::run) tells by `tag`. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the program has no such memory.
    pub fn add(&mut self, piece: &Piece, tag: usize) -> Result {
        let mut flags = 0;
        let source = self.place(piece.source, false, copy_flag::SOURCE_GREF, &mut flags)?;
        let dest = self.place(piece.dest, true, copy_flag::DEST_GREF, &mut flags)?;
        let operation = bindings::gnttab_copy {
            source,
            dest,
            len: piece.len,
            flags,
            status: status::GENERAL_ERROR,
        };
        self.operations.push(operation, GFP_KERNEL)?;
        self.tags.push(tag, GFP_KERNEL)?;
        Ok(())
    }

    fn place(&mut self, side: Side, writable: bool, flag: u16, flags: &mut u16) -> Result<Pointer> {
        Ok(match side {
            Side::Grant {
                domain,
                reference,
                offset,
            } => {
                *flags |= flag;
                Pointer {
                    u: Place { ref_: reference },
                    domid: domain,
                    offset,
                }
            }
            Side::Memory { address } => {
                let page = PinnedPage::new(address as usize, writable)?;
                // SAFETY: The page is valid.
                let gmfn = unsafe { Gfn::of(page.page) }.0;
                self.pinned.push(page, GFP_KERNEL)?;
                Pointer {
                    u: Place { gmfn },
                    domid: domid::SELF,
                    offset: (address as usize % PAGE_SIZE) as u16,
                }
            }
        })
    }

    /// Makes the copies, and tells of each that failed its tag and the hypervisor's status. May sleep.
    pub fn run(&mut self, mut failed: impl FnMut(usize, i16) -> Result) -> Result {
        if !self.operations.is_empty() {
            let (operations, count) = (self.operations.as_mut_ptr(), self.operations.len());
            // SAFETY: There are as many. Each is between a grant, which is the other domain's to lose, and
            // another or a pinned page of the program's, which may be written to if it is.
            unsafe { bindings::gnttab_batch_copy(operations, count as u32) };
        }
        self.pinned.clear();
        let mut result = Ok(());
        for (operation, tag) in self.operations.iter().zip(&self.tags) {
            if operation.status != status::OKAY && result.is_ok() {
                result = failed(*tag, operation.status);
            }
        }
        self.operations.clear();
        self.tags.clear();
        result
    }
}
