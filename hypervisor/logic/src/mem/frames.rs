//! The frame table: every machine frame has one owner record, and changes hands only by consuming a value that
//! stands for it.
//!
//! - [`HypFrames`] stands for frames that belong to the hypervisor. It comes from the allocator, and goes back to
//!   it ([`FrameTable::free`]) or to a domain ([`FrameTable::give`]). It can be neither copied nor made up.
//! - [`Hold`] stands for one use of a domain's frame by somebody else: a grant's mapping, a page of events, a vCPU's
//!   info page. While there is one, the frame is not given to anybody else, even if its domain lets go of it.
//!
//! The table itself lies in memory that the caller provides, zeroed: an all-zero record says "not memory", so
//! starting costs nothing for holes and device memory.

use super::addr::Mfn;
use super::buddy::{Buddy, MAX_ORDER};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut, Range};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A domain's number.
pub type DomId = u16;

/// What a record says of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Not memory: a hole or a device.
    Mmio,
    /// Nobody's: the allocator has it.
    Free,
    /// The hypervisor's.
    Hypervisor,
    /// A domain's.
    Domain(DomId),
    /// It was that domain's, which let go of it while others held it. The last of them frees it.
    Released(DomId),
}

/// Raw kinds of a record. Zero, which none of them is, means that the frame is not memory.
pub(super) mod kind {
    /// First frame of a free block.
    pub const FREE: u8 = 1;
    pub const HYPERVISOR: u8 = 2;
    pub const DOMAIN: u8 = 3;
    pub const RELEASED: u8 = 4;
    /// Inside a free block. Where memory has never been used, that record is still zero.
    pub const FREE_TAIL: u8 = 5;
}

/// Record of one frame. Zeroed memory is a valid record of a frame that is not memory.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Record {
    /// Holds, of a domain's frame; the next block, of a free one.
    pub(super) a: u32,
    /// Holds that may write, of a domain's frame; the previous block, of a free one.
    pub(super) b: u32,
    pub(super) domain: DomId,
    pub(super) kind: u8,
    /// Of the first frame of a block: its order.
    pub(super) order: u8,
    pub(super) reserved: u32,
}

/// Frames of the hypervisor: `1 << order` of them from `mfn` on.
///
/// Dropping the value leaks the frames, which is safe and a bug.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "frames that are dropped are lost"]
pub struct HypFrames {
    mfn: Mfn,
    order: u8,
}

impl HypFrames {
    /// The first frame.
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// Binary logarithm of the number of frames.
    pub fn order(&self) -> u8 {
        self.order
    }

    /// The number of frames.
    pub fn count(&self) -> u64 {
        1 << self.order
    }
}

/// One use of a domain's frame.
///
/// Dropping the value keeps the frame forever, which is safe and a bug.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a hold that is dropped is never let go of"]
pub struct Hold {
    mfn: Mfn,
    writable: bool,
}

impl Hold {
    /// The frame.
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// Whether the holder may write.
    pub fn writable(&self) -> bool {
        self.writable
    }
}

/// Why a frame is not given, taken or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Its record names another owner.
    NotOwner,
    /// Others use it.
    Held,
    /// It is used as often as can be counted.
    TooManyHolds,
}

/// What becomes of a frame its domain let go of.
#[derive(Debug, PartialEq, Eq)]
pub enum Released {
    /// It is the hypervisor's now.
    Now(HypFrames),
    /// Others hold it: the last of them gets it.
    Later,
}

/// Where the records are.
pub enum Records {
    /// In memory that is set apart for them, as on the machine.
    Apart(&'static mut [Record]),
    /// On the heap, as in tests.
    Heap(Vec<Record>),
}

impl From<&'static mut [Record]> for Records {
    fn from(records: &'static mut [Record]) -> Self {
        // Links between records have 32 bits: 16 TiB.
        let reach = records.len().min(u32::MAX as usize);
        Self::Apart(&mut records[..reach])
    }
}

impl From<Vec<Record>> for Records {
    fn from(records: Vec<Record>) -> Self {
        Self::Heap(records)
    }
}

impl Deref for Records {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        match self {
            Self::Apart(records) => records,
            Self::Heap(records) => records,
        }
    }
}

impl DerefMut for Records {
    fn deref_mut(&mut self) -> &mut [Record] {
        match self {
            Self::Apart(records) => records,
            Self::Heap(records) => records,
        }
    }
}

/// The table.
pub struct FrameTable {
    records: Records,
    buddy: Buddy,
    /// Device memory that no domain gets: the hypervisor's own devices.
    withheld: Vec<Range<u64>>,
    /// The ranges that are memory.
    known: Vec<Range<u64>>,
    /// Frames of each domain, those that it let go of not among them.
    domains: BTreeMap<DomId, u64>,
    total: u64,
}

impl FrameTable {
    /// A table of the machine frames from zero on, none of which is memory yet. `records` are zeroed, or left as
    /// [`Record::default`].
    pub fn new(records: impl Into<Records>) -> Self {
        Self {
            records: records.into(),
            buddy: Buddy::new(),
            withheld: Vec::new(),
            known: Vec::new(),
            domains: BTreeMap::new(),
            total: 0,
        }
    }

    /// Says that these frames are memory and free. Frame 0 is never handed out; frames that the table does not
    /// reach or that are already known are left out. Returns how many were added.
    pub fn add_free(&mut self, frames: Range<u64>) -> u64 {
        let mut added = 0;
        for range in self.learn(frames.start.max(1)..frames.end) {
            let mut next = range.start;
            while next < range.end {
                let fits = (range.end - next).ilog2();
                let order = fits.min(next.trailing_zeros()).min(u32::from(MAX_ORDER)) as u8;
                self.buddy.put(&mut self.records, next, order);
                added += 1 << order;
                next += 1 << order;
            }
        }
        self.total += added;
        added
    }

    /// Says that these frames are memory of the hypervisor's own that never is handed out: its image, its heap. Said
    /// before the memory around them is said to be free.
    pub fn add_hypervisor(&mut self, frames: Range<u64>) {
        for range in self.learn(frames) {
            self.total += range.end - range.start;
            let of_hypervisor = Record {
                kind: kind::HYPERVISOR,
                ..Record::default()
            };
            self.records[range.start as usize..range.end as usize].fill(of_hypervisor);
        }
    }

    /// The parts of a range that are news, which are known from now on.
    fn learn(&mut self, frames: Range<u64>) -> Vec<Range<u64>> {
        let mut news: Vec<_> = core::iter::once(frames.start..frames.end.min(self.end())).collect();
        for known in &self.known {
            let cut = |range: Range<u64>| {
                let before = range.start..range.end.min(known.start);
                let after = range.start.max(known.end)..range.end;
                [before, after]
            };
            news = news
                .into_iter()
                .flat_map(cut)
                .filter(|r| !r.is_empty())
                .collect();
        }
        news.retain(|r| !r.is_empty());
        self.known.extend(news.iter().cloned());
        news
    }

    /// Says that this device memory is the hypervisor's own: no domain may map it.
    pub fn withhold(&mut self, frames: Range<u64>) {
        self.withheld.push(frames);
    }

    /// Who owns a frame. Any number may be asked for.
    pub fn owner(&self, mfn: Mfn) -> Owner {
        let Some(record) = usize::try_from(mfn.0)
            .ok()
            .and_then(|i| self.records.get(i))
        else {
            return self.owner_of_device(mfn);
        };
        match record.kind {
            kind::FREE | kind::FREE_TAIL => Owner::Free,
            kind::HYPERVISOR => Owner::Hypervisor,
            kind::DOMAIN => Owner::Domain(record.domain),
            kind::RELEASED => Owner::Released(record.domain),
            // It may lie inside a free block whose frames have never been touched.
            _ if self.buddy.block_of(&self.records, mfn.0).is_some() => Owner::Free,
            _ => self.owner_of_device(mfn),
        }
    }

    fn owner_of_device(&self, mfn: Mfn) -> Owner {
        if self.withheld.iter().any(|range| range.contains(&mfn.0)) {
            Owner::Hypervisor
        } else {
            Owner::Mmio
        }
    }

    /// Whether none of these frames is memory, nor a device of the hypervisor's.
    pub fn is_mmio(&self, frames: Range<u64>) -> bool {
        let apart = |other: &Range<u64>| other.end <= frames.start || frames.end <= other.start;
        self.known.iter().chain(&self.withheld).all(apart)
    }

    /// Takes `1 << order` free frames, aligned to their number, that lie wholly below the frame `below` if one is
    /// named.
    pub fn alloc(&mut self, order: u8, below: Option<u64>) -> Option<HypFrames> {
        let start = self
            .buddy
            .take(&mut self.records, order, below.unwrap_or(u64::MAX))?;
        Some(self.taken(start, order))
    }

    /// Takes these very frames, if all of them are free: `1 << order` from `mfn` on, which is aligned to their
    /// number.
    pub fn alloc_at(&mut self, mfn: Mfn, order: u8) -> Option<HypFrames> {
        self.buddy.take_at(&mut self.records, mfn.0, order)?;
        Some(self.taken(mfn.0, order))
    }

    fn taken(&mut self, start: u64, order: u8) -> HypFrames {
        let of_hypervisor = Record {
            kind: kind::HYPERVISOR,
            ..Record::default()
        };
        self.records[start as usize..][..1 << order].fill(of_hypervisor);
        HypFrames {
            mfn: Mfn(start),
            order,
        }
    }

    /// Gives frames back to the allocator. They are not cleared: who allocates for a guest clears.
    pub fn free(&mut self, frames: HypFrames) {
        let HypFrames { mfn, order } = frames;
        let inside = Record {
            kind: kind::FREE_TAIL,
            ..Record::default()
        };
        self.records[mfn.0 as usize..][..1 << order].fill(inside);
        self.buddy.put(&mut self.records, mfn.0, order);
    }

    /// Cuts frames into two halves. A single frame comes back as it was.
    pub fn split(
        &mut self,
        frames: HypFrames,
    ) -> core::result::Result<(HypFrames, HypFrames), HypFrames> {
        let HypFrames { mfn, order } = frames;
        match order.checked_sub(1) {
            None => Err(HypFrames { mfn, order }),
            Some(order) => Ok((
                HypFrames { mfn, order },
                HypFrames {
                    mfn: Mfn(mfn.0 + (1 << order)),
                    order,
                },
            )),
        }
    }

    /// Gives frames to a domain.
    pub fn give(&mut self, frames: HypFrames, domain: DomId) {
        let of_domain = Record {
            kind: kind::DOMAIN,
            domain,
            ..Record::default()
        };
        self.records[frames.mfn.0 as usize..][..1 << frames.order].fill(of_domain);
        *self.domains.entry(domain).or_default() += frames.count();
    }

    /// Takes a frame from its domain for good. The caller has removed it from the domain's p2m. If others hold it,
    /// the last of them gets it.
    pub fn take(&mut self, mfn: Mfn, domain: DomId) -> core::result::Result<Released, FrameError> {
        if self.owner(mfn) != Owner::Domain(domain) {
            return Err(FrameError::NotOwner);
        }
        self.uncount(domain);
        let record = &mut self.records[mfn.0 as usize];
        if record.a > 0 {
            record.kind = kind::RELEASED;
            return Ok(Released::Later);
        }
        Ok(Released::Now(self.taken(mfn.0, 0)))
    }

    fn uncount(&mut self, domain: DomId) {
        if let Some(count) = self.domains.get_mut(&domain) {
            *count -= 1;
            if *count == 0 {
                self.domains.remove(&domain);
            }
        }
    }

    /// Starts a use of a domain's frame.
    pub fn hold(
        &mut self,
        mfn: Mfn,
        domain: DomId,
        writable: bool,
    ) -> core::result::Result<Hold, FrameError> {
        if self.owner(mfn) != Owner::Domain(domain) {
            return Err(FrameError::NotOwner);
        }
        let record = &mut self.records[mfn.0 as usize];
        record.a = record.a.checked_add(1).ok_or(FrameError::TooManyHolds)?;
        record.b += u32::from(writable);
        Ok(Hold { mfn, writable })
    }

    /// Ends a use. If the frame's domain has let go of it and this was the last use, the frame comes back.
    pub fn let_go(&mut self, hold: Hold) -> Option<HypFrames> {
        let Hold { mfn, writable } = hold;
        let record = &mut self.records[mfn.0 as usize];
        record.a -= 1;
        record.b -= u32::from(writable);
        let last = record.a == 0 && record.kind == kind::RELEASED;
        last.then(|| self.taken(mfn.0, 0))
    }

    /// How often a domain's frame is held: in all, and by those that may write.
    pub fn holds(&self, mfn: Mfn) -> (u32, u32) {
        match self.owner(mfn) {
            Owner::Domain(_) | Owner::Released(_) => {
                let record = &self.records[mfn.0 as usize];
                (record.a, record.b)
            }
            _ => (0, 0),
        }
    }

    /// Number of frames that are free.
    pub fn free_count(&self) -> u64 {
        self.buddy.free()
    }

    /// Number of frames that are memory.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Number of a domain's frames.
    pub fn count_of(&self, domain: DomId) -> u64 {
        self.domains.get(&domain).copied().unwrap_or(0)
    }

    /// The highest frame the table reaches, plus one.
    pub fn end(&self) -> u64 {
        self.records.len() as u64
    }

    /// The free blocks, in no order. A builder uses them to take memory where the domain is to see it.
    pub fn free_blocks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.buddy.blocks(&self.records)
    }
}

#[cfg(test)]
mod tests;
