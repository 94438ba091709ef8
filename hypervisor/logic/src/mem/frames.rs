// SPDX-License-Identifier: GPL-2.0

//! The frame table: every machine frame has one owner, and it changes only by consuming a value that stands for the
//! frame.
//!
//! - [`HypFrames`] stands for frames that belong to the hypervisor. The allocator makes it, and it goes back to the
//!   allocator ([`FrameTable::free`]) or to a domain ([`FrameTable::assign_pages`]). It can be neither copied nor made
//!   up.
//! - [`PageRef`] stands for one reference to a domain's frame that is not the domain's own: a grant mapping, a page of
//!   event words, a vCPU's info page. While a reference exists, the frame is not allocated again, even if its domain
//!   has released it.
//!
//! The array of [`PageInfo`]s lies in memory that the caller provides, zeroed. An all-zero element means "not memory",
//! so holes and device memory cost no time at boot.

use super::addr::Mfn;
use super::buddy::{Buddy, MAX_ORDER};
use super::page_info::kind;
pub use super::page_info::{PageInfo, PageInfos};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

/// A domain's number.
pub type DomId = u16;

/// Who owns a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody, and it is not memory: a hole or a device.
    Mmio,
    /// Nobody: the allocator has it.
    Free,
    /// The hypervisor.
    Hypervisor,
    /// A domain.
    Domain(DomId),
    /// A domain that has released it while others hold references. The last `put_page` frees it.
    Released(DomId),
}

/// `1 << order` frames of the hypervisor, the first of which is `mfn`.
///
/// Dropping the value leaks the frames, which is safe and a bug.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "frames that are dropped are lost"]
pub struct HypFrames {
    mfn: Mfn,
    order: u8,
}

impl HypFrames {
    /// Number of the first frame.
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// Binary logarithm of the number of frames.
    pub fn order(&self) -> u8 {
        self.order
    }

    /// How many frames there are.
    pub fn count(&self) -> u64 {
        1 << self.order
    }

    /// Each of them by itself.
    pub fn into_single_frames(self) -> impl Iterator<Item = HypFrames> {
        let first = self.mfn.0;
        (first..first + self.count()).map(|mfn| HypFrames {
            mfn: Mfn(mfn),
            order: 0,
        })
    }
}

/// One reference to a domain's frame, taken by [`FrameTable::get_page`] and dropped by [`FrameTable::put_page`].
///
/// Dropping the value keeps the frame for ever, which is safe and a bug.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a reference that is not put keeps its frame for ever"]
pub struct PageRef {
    mfn: Mfn,
    writable: bool,
}

impl PageRef {
    /// Number of the frame.
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// Whether the holder may write to the frame.
    pub fn writable(&self) -> bool {
        self.writable
    }
}

/// Why an operation on a frame fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Another domain owns it, or none does.
    NotOwner,
    /// The reference count would overflow.
    TooManyRefs,
}

/// Result of [`FrameTable::release`].
#[derive(Debug, PartialEq, Eq)]
pub enum Released {
    /// There were no references: the frame belongs to the hypervisor now.
    Now(HypFrames),
    /// There are references: the last `put_page` returns the frame.
    WithLastRef,
}

/// The frame table.
pub struct FrameTable {
    pages: PageInfos,
    buddy: Buddy,
    /// Device memory that no domain may map: the hypervisor's own devices.
    denied_iomem: Vec<Range<u64>>,
    /// The ranges that are memory.
    ram: Vec<Range<u64>>,
    /// Frames that are charged to each domain, see [`FrameTable::tot_pages`].
    tot_pages: BTreeMap<DomId, u64>,
    /// Free frames that are kept for a domain to be built (`outstanding_pages` in Xen), and their sum.
    claims: BTreeMap<DomId, u64>,
    outstanding_claims: u64,
    total: u64,
}

impl FrameTable {
    /// A table of the machine frames 0 to `pages.len()`, none of which is memory yet. All of `pages` is
    /// [`PageInfo::default`] or zeroed.
    pub fn new(pages: impl Into<PageInfos>) -> Self {
        Self {
            pages: pages.into(),
            buddy: Buddy::new(),
            denied_iomem: Vec::new(),
            ram: Vec::new(),
            tot_pages: BTreeMap::new(),
            claims: BTreeMap::new(),
            outstanding_claims: 0,
            total: 0,
        }
    }

    /// Adds memory to the free frames and returns how many frames were added. Frame 0 is never allocated; frames beyond
    /// the table's end and those that were added before are left out.
    pub fn add_free(&mut self, frames: Range<u64>) -> u64 {
        let mut added = 0;
        for range in self.add_ram(frames.start.max(1)..frames.end) {
            let mut next = range.start;
            while next < range.end {
                let fits = (range.end - next).ilog2();
                let order = fits.min(next.trailing_zeros()).min(u32::from(MAX_ORDER)) as u8;
                self.buddy.free(&mut self.pages, next, order);
                added += 1 << order;
                next += 1 << order;
            }
        }
        self.total += added;
        added
    }

    /// Adds memory that stays the hypervisor's for ever: its image, its heap. To be called before the memory around it
    /// is added as free.
    pub fn add_hypervisor(&mut self, frames: Range<u64>) {
        for range in self.add_ram(frames) {
            self.total += range.end - range.start;
            self.pages[range.start as usize..range.end as usize].fill(PageInfo::of_hypervisor());
        }
    }

    /// Adds a range to the known memory and returns those parts of it that were not known before.
    fn add_ram(&mut self, frames: Range<u64>) -> Vec<Range<u64>> {
        let mut new: Vec<_> = core::iter::once(frames.start..frames.end.min(self.end())).collect();
        for known in &self.ram {
            let cut = |range: Range<u64>| {
                let before = range.start..range.end.min(known.start);
                let after = range.start.max(known.end)..range.end;
                [before, after]
            };
            new = new
                .into_iter()
                .flat_map(cut)
                .filter(|r| !r.is_empty())
                .collect();
        }
        new.retain(|r| !r.is_empty());
        self.ram.extend(new.iter().cloned());
        new
    }

    /// Makes device memory the hypervisor's own: no domain may map it.
    pub fn deny_iomem(&mut self, frames: Range<u64>) {
        self.denied_iomem.push(frames);
    }

    /// Who owns a frame. Any number is allowed.
    pub fn owner(&self, mfn: Mfn) -> Owner {
        let Some(page) = usize::try_from(mfn.0).ok().and_then(|i| self.pages.get(i)) else {
            return self.owner_of_device(mfn);
        };
        match page.kind {
            kind::FREE | kind::FREE_TAIL => Owner::Free,
            kind::HYPERVISOR => Owner::Hypervisor,
            kind::DOMAIN => Owner::Domain(page.domain),
            kind::RELEASED => Owner::Released(page.domain),
            // It may lie inside a free block whose frames have never been touched.
            _ if self.buddy.block_of(&self.pages, mfn.0).is_some() => Owner::Free,
            _ => self.owner_of_device(mfn),
        }
    }

    fn owner_of_device(&self, mfn: Mfn) -> Owner {
        if self.denied_iomem.iter().any(|range| range.contains(&mfn.0)) {
            Owner::Hypervisor
        } else {
            Owner::Mmio
        }
    }

    /// Whether none of these frames is memory or a device of the hypervisor.
    pub fn is_mmio(&self, frames: Range<u64>) -> bool {
        let apart = |other: &Range<u64>| other.end <= frames.start || frames.end <= other.start;
        self.ram.iter().chain(&self.denied_iomem).all(apart)
    }

    /// Allocates `1 << order` free frames, aligned to their number, for the hypervisor's own use. If `below` is given,
    /// they lie wholly below that frame. The frames are not cleared.
    pub fn alloc(&mut self, order: u8, below: Option<u64>) -> Option<HypFrames> {
        self.alloc_unclaimed(order, below, 0)
    }

    /// As [`FrameTable::alloc`], for a domain, which may have a claim of its own.
    pub fn alloc_for(&mut self, domain: DomId, order: u8, below: Option<u64>) -> Option<HypFrames> {
        self.alloc_unclaimed(order, below, self.claim_of(domain))
    }

    fn alloc_unclaimed(&mut self, order: u8, below: Option<u64>, own: u64) -> Option<HypFrames> {
        if self.free_count() < self.outstanding_claims - own + (1 << order) {
            return None;
        }
        let below = below.unwrap_or(u64::MAX);
        let start = self.buddy.alloc(&mut self.pages, order, below)?;
        Some(self.take_over(start, order))
    }

    /// Allocates the `1 << order` frames from `mfn` on, if all of them are free and `mfn` is aligned to their number.
    pub fn alloc_at(&mut self, mfn: Mfn, order: u8) -> Option<HypFrames> {
        self.buddy.alloc_at(&mut self.pages, mfn.0, order)?;
        Some(self.take_over(mfn.0, order))
    }

    /// Makes frames that have no owner the hypervisor's.
    fn take_over(&mut self, start: u64, order: u8) -> HypFrames {
        self.pages[start as usize..][..1 << order].fill(PageInfo::of_hypervisor());
        HypFrames {
            mfn: Mfn(start),
            order,
        }
    }

    /// Gives frames back to the allocator. They are not cleared here but when they are allocated for a guest.
    pub fn free(&mut self, frames: HypFrames) {
        let HypFrames { mfn, order } = frames;
        let inside = PageInfo {
            kind: kind::FREE_TAIL,
            ..PageInfo::default()
        };
        self.pages[mfn.0 as usize..][..1 << order].fill(inside);
        self.buddy.free(&mut self.pages, mfn.0, order);
    }

    /// Free frames that are claimed for domains.
    pub fn outstanding_claims(&self) -> u64 {
        self.outstanding_claims
    }

    /// Free frames that are claimed for a domain.
    pub fn claim_of(&self, domain: DomId) -> u64 {
        self.claims.get(&domain).copied().unwrap_or(0)
    }

    /// Claims free frames for a domain, in place of what was claimed for it before. False if there are not as many that
    /// nobody has claimed; nothing is changed then.
    pub fn set_claim(&mut self, domain: DomId, pages: u64) -> bool {
        let others = self.outstanding_claims - self.claim_of(domain);
        if pages > self.free_count().saturating_sub(others) {
            return false;
        }
        self.outstanding_claims = others + pages;
        match pages {
            0 => self.claims.remove(&domain),
            _ => self.claims.insert(domain, pages),
        };
        true
    }

    /// Charges frames to a domain. They fulfil a part of its claim.
    fn charge(&mut self, domain: DomId, pages: u64) {
        *self.tot_pages.entry(domain).or_default() += pages;
        let claim = self.claim_of(domain);
        if claim > 0 {
            self.set_claim(domain, claim.saturating_sub(pages));
        }
    }

    /// Makes a domain the owner of frames.
    pub fn assign_pages(&mut self, frames: HypFrames, domain: DomId) {
        self.pages[frames.mfn.0 as usize..][..1 << frames.order].fill(PageInfo::of_domain(domain));
        self.charge(domain, frames.count());
    }

    /// Keeps frames of the hypervisor in a list of which `next` is the first extent so far, and charges them to a domain.
    /// They are the first extent then.
    pub(super) fn keep_in_list(
        &mut self,
        frames: HypFrames,
        next: Option<Mfn>,
        domain: DomId,
    ) -> Mfn {
        // Frame 0 is never allocated, so its number stands for the end.
        self.pages[frames.mfn.0 as usize].refs_or_next = next.map_or(0, |next| next.0 as u32);
        self.charge(domain, frames.count());
        frames.mfn
    }

    /// Takes the first extent of such a list, which has this order. Returns it and the next one's first frame.
    pub(super) fn take_from_list(
        &mut self,
        first: Mfn,
        order: u8,
        domain: DomId,
    ) -> (HypFrames, Option<Mfn>) {
        let page = &mut self.pages[first.0 as usize];
        let next = core::mem::take(&mut page.refs_or_next);
        let frames = HypFrames { mfn: first, order };
        self.uncount_pages(domain, frames.count());
        (frames, (next != 0).then_some(Mfn(next.into())))
    }

    /// Ends a domain's ownership of a frame, which the caller has removed from the domain's p2m. If there are
    /// references, the last [`FrameTable::put_page`] returns the frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::NotOwner`] if the domain does not own the frame.
    pub fn release(
        &mut self,
        mfn: Mfn,
        domain: DomId,
    ) -> core::result::Result<Released, FrameError> {
        if self.owner(mfn) != Owner::Domain(domain) {
            return Err(FrameError::NotOwner);
        }
        let page = &mut self.pages[mfn.0 as usize];
        if page.refs_or_next > 0 {
            page.kind = kind::RELEASED;
            return Ok(Released::WithLastRef);
        }
        self.uncount_pages(domain, 1);
        Ok(Released::Now(self.take_over(mfn.0, 0)))
    }

    fn uncount_pages(&mut self, domain: DomId, pages: u64) {
        if let Some(count) = self.tot_pages.get_mut(&domain) {
            *count -= pages;
            if *count == 0 {
                self.tot_pages.remove(&domain);
            }
        }
    }

    /// Takes a reference to a domain's frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::NotOwner`] if the domain does not own the frame, [`FrameError::TooManyRefs`] if the count is full.
    pub fn get_page(
        &mut self,
        mfn: Mfn,
        domain: DomId,
        writable: bool,
    ) -> core::result::Result<PageRef, FrameError> {
        if self.owner(mfn) != Owner::Domain(domain) {
            return Err(FrameError::NotOwner);
        }
        let page = &mut self.pages[mfn.0 as usize];
        page.refs_or_next = page
            .refs_or_next
            .checked_add(1)
            .ok_or(FrameError::TooManyRefs)?;
        page.writers_or_prev += u32::from(writable);
        Ok(PageRef { mfn, writable })
    }

    /// Drops a reference. Returns the frame if its domain has released it and this was the last reference.
    pub fn put_page(&mut self, page_ref: PageRef) -> Option<HypFrames> {
        let PageRef { mfn, writable } = page_ref;
        let page = &mut self.pages[mfn.0 as usize];
        page.refs_or_next -= 1;
        page.writers_or_prev -= u32::from(writable);
        let domain = page.domain;
        let last = page.refs_or_next == 0 && page.kind == kind::RELEASED;
        last.then(|| {
            self.uncount_pages(domain, 1);
            self.take_over(mfn.0, 0)
        })
    }

    /// Reference counts of a domain's frame: all references, and those that may write.
    pub fn page_refs(&self, mfn: Mfn) -> (u32, u32) {
        match self.owner(mfn) {
            Owner::Domain(_) | Owner::Released(_) => {
                let page = &self.pages[mfn.0 as usize];
                (page.refs_or_next, page.writers_or_prev)
            }
            _ => (0, 0),
        }
    }

    /// Number of frames that are free.
    pub fn free_count(&self) -> u64 {
        self.buddy.free_count()
    }

    /// Number of frames that are memory.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Number of frames that are charged to a domain: those that it owns, those that are kept for it to be populated on
    /// demand, and those that it has released while others hold references, as in Xen. Otherwise a domain would get more memory by having others keep what it gives back.
    pub fn tot_pages(&self, domain: DomId) -> u64 {
        self.tot_pages.get(&domain).copied().unwrap_or(0)
    }

    /// Number of the last frame in the table, plus one.
    pub fn end(&self) -> u64 {
        self.pages.len() as u64
    }

    /// The free blocks, in no order. A builder uses them to allocate at addresses that it chooses.
    pub fn free_blocks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.buddy.blocks(&self.pages)
    }
}

#[cfg(test)]
mod tests;
