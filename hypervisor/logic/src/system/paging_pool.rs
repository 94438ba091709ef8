// SPDX-License-Identifier: GPL-2.0

//! The paging pool of a domain: pages kept for its nested page tables (`XEN_DOMCTL_set_paging_mempool_size`). A domain
//! that spreads its memory over many tables uses its own pool up, and not the machine's memory.

use core::cmp::Ordering;

use crate::error::{Errno, Result};
use crate::mem::{FrameTable, HypFrames, MachineMemory, Mfn, p2m};
use alloc::vec::Vec;

/// The size of a new domain's pool in pages, as in Xen.
pub const DEFAULT_PAGES: u64 = 256;

/// A page of a pool.
struct PoolPage {
    page: HypFrames,
    /// Number of entries that are not zero, if it is a table.
    entries: u16,
}

/// The pages for a domain's nested page tables.
pub struct PagingPool {
    /// All pages, by rising frame number.
    pages: Vec<PoolPage>,
    /// Pages that are no table. There is room for all pages, so freeing a table allocates nothing.
    free: Vec<Mfn>,
    /// Tables that were freed, but which a CPU may still have in its TLB.
    unflushed: Vec<Mfn>,
    /// Takes pages from free memory when none is left.
    grows: bool,
}

impl PagingPool {
    /// An empty pool. One that `grows` takes pages from free memory when it needs them, which only dom0 may: it has
    /// power over the machine anyway, and maps more than its own memory.
    pub fn new(grows: bool) -> Self {
        Self {
            pages: Vec::new(),
            free: Vec::new(),
            unflushed: Vec::new(),
            grows,
        }
    }

    /// Its size in pages.
    pub fn len(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Whether it has no pages.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Changes its size by up to `batch` pages towards a number of pages. Returns whether it has that size now.
    ///
    /// # Errors
    ///
    /// [`Errno::ENOMEM`] without free memory, or if more pages are tables.
    pub fn resize(&mut self, frames: &mut FrameTable, pages: u64, batch: u64) -> Result<bool> {
        for _ in 0..batch {
            match self.len().cmp(&pages) {
                Ordering::Equal => return Ok(true),
                Ordering::Less => self.add_page(frames)?,
                Ordering::Greater => {
                    let mfn = self.free.pop().ok_or(Errno::ENOMEM)?;
                    let index = self.find(mfn).ok_or(Errno::ENOMEM)?;
                    frames.free(self.pages.remove(index).page);
                }
            }
        }
        Ok(self.len() == pages)
    }

    fn add_page(&mut self, frames: &mut FrameTable) -> Result<()> {
        let room = self.pages.len() + 1;
        let reserve = |list: &mut Vec<Mfn>| list.try_reserve(room - list.len());
        let reserved = self
            .pages
            .try_reserve(1)
            .and_then(|()| reserve(&mut self.free))
            .and_then(|()| reserve(&mut self.unflushed));
        reserved.map_err(|_| Errno::ENOMEM)?;
        let page = frames.alloc(0, None).ok_or(Errno::ENOMEM)?;
        let mfn = page.mfn();
        let at = self.pages.partition_point(|other| other.page.mfn() < mfn);
        self.pages.insert(at, PoolPage { page, entries: 0 });
        self.free.push(mfn);
        Ok(())
    }

    fn find(&self, mfn: Mfn) -> Option<usize> {
        let found = self
            .pages
            .binary_search_by_key(&mfn, |page| page.page.mfn());
        found.ok()
    }

    /// The TLBs of the CPUs that run the domain were flushed, so tables that were freed before can be used again.
    pub fn flushed(&mut self) {
        self.free.append(&mut self.unflushed);
    }

    /// Gives all pages back. There are no tables any more.
    pub fn release(self, frames: &mut FrameTable) {
        for page in self.pages {
            frames.free(page.page);
        }
    }
}

/// A domain's p2m tables, in pages of its pool.
pub struct P2mTables<'a, P> {
    /// Where a pool that grows takes pages from.
    pub frames: &'a mut FrameTable,
    /// The memory that they lie in.
    pub memory: &'a P,
    /// The pool.
    pub pool: &'a mut PagingPool,
}

impl<P: MachineMemory> p2m::P2mMemory for P2mTables<'_, P> {
    fn alloc(&mut self) -> Option<Mfn> {
        if self.pool.free.is_empty() && self.pool.grows {
            self.pool.add_page(self.frames).ok()?;
        }
        let mfn = self.pool.free.pop()?;
        self.memory.clear_frame(mfn.address());
        Some(mfn)
    }

    fn free(&mut self, table: Mfn) {
        if let Some(index) = self.pool.find(table) {
            self.pool.pages[index].entries = 0;
            self.pool.unflushed.push(table);
        }
    }

    fn is_empty(&self, table: Mfn) -> bool {
        let index = self.pool.find(table);
        index.is_some_and(|index| self.pool.pages[index].entries == 0)
    }

    fn load(&self, table: Mfn, index: u64) -> u64 {
        self.memory.load_u64(table.address() + index * 8)
    }

    fn store(&mut self, table: Mfn, index: u64, entry: u64) {
        let old = self.load(table, index);
        if (old == 0) != (entry == 0) {
            if let Some(index) = self.pool.find(table) {
                let entries = &mut self.pool.pages[index].entries;
                *entries = if entry != 0 {
                    *entries + 1
                } else {
                    entries.saturating_sub(1)
                };
            }
        }
        self.memory.store_u64(table.address() + index * 8, entry);
    }
}
