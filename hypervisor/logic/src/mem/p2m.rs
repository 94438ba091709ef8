// SPDX-License-Identifier: GPL-2.0

//! A domain's p2m: the table from gfn to mfn, which the processor walks as nested page tables (AMD64 manual, volume 2,
//! 15.25). Entries are read and written through a trait, so that the tables lie in a map in tests and in machine frames
//! in the hypervisor.
//!
//! An entry may also stand for memory that is populated on demand: it is not present, so the first access exits.
//!
//! The p2m does not know about ownership: the caller of [`P2m::map`] holds a reference to the frame, or the domain owns
//! it. After a change of a present entry, the TLBs of the CPUs that run the domain have to be flushed before the frame
//! gets another user; [`P2m::take_needs_flush`] tells whether that is due.

mod log_dirty;
mod on_demand;

use super::addr::{Gfn, Mfn};
use on_demand::{is_on_demand, on_demand};

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
/// The processor walks nested tables as a user.
const USER: u64 = 1 << 2;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLE: u64 = 1 << 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bits 52 to 54 of a leaf, which the processor leaves to software: its [`P2mType`].
const TYPE_SHIFT: u32 = 52;
const TYPE_MASK: u64 = 7 << TYPE_SHIFT;
/// Entries of a table.
const ENTRIES: u64 = 512;
/// Levels of tables, for 48 bits of guest-physical address.
const LEVELS: u8 = 4;
/// The first gfn that the tables do not reach.
pub const GFN_LIMIT: u64 = 1 << (9 * LEVELS as u32);

/// The type of a p2m entry, named as in Xen (`p2m_type_t`, arch/x86/include/asm/p2m.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum P2mType {
    /// The domain's own memory.
    RamRw,
    /// The domain's own memory, read-only.
    RamRo,
    /// The domain's own memory, which it may write to. The first write is to be noticed, so the processor is told that
    /// it is read-only.
    RamLogdirty,
    /// A device's registers.
    MmioDirect,
    /// A grant of another domain.
    GrantMapRw,
    /// A grant of another domain, read-only.
    GrantMapRo,
    /// A frame of another domain that this one controls, or a resource of the hypervisor (`p2m_map_foreign`).
    MapForeignRw,
    /// A foreign frame, read-only.
    MapForeignRo,
}

impl P2mType {
    const ALL: [P2mType; 8] = [
        P2mType::RamRw,
        P2mType::RamRo,
        P2mType::RamLogdirty,
        P2mType::MmioDirect,
        P2mType::GrantMapRw,
        P2mType::GrantMapRo,
        P2mType::MapForeignRw,
        P2mType::MapForeignRo,
    ];

    /// Whether the processor lets the domain write to the frame.
    pub fn writable(self) -> bool {
        matches!(
            self,
            P2mType::RamRw | P2mType::MmioDirect | P2mType::GrantMapRw | P2mType::MapForeignRw
        )
    }

    /// Whether the processor lets the domain execute what is in the frame. A domain does not execute what another one can
    /// write.
    pub fn executable(self) -> bool {
        self.is_ram() || self == P2mType::MmioDirect
    }

    /// Whether the frame is the domain's own memory.
    pub fn is_ram(self) -> bool {
        matches!(self, P2mType::RamRw | P2mType::RamRo | P2mType::RamLogdirty)
    }

    /// Whether the frame is memory of the domain that it may write to.
    pub fn is_writable_ram(self) -> bool {
        matches!(self, P2mType::RamRw | P2mType::RamLogdirty)
    }

    fn bits(self) -> u64 {
        let number = Self::ALL.iter().position(|&p2mt| p2mt == self).unwrap_or(0) as u64;
        let mut bits = PRESENT | USER | ACCESSED | DIRTY | number << TYPE_SHIFT;
        if self.writable() {
            bits |= WRITE;
        }
        if !self.executable() {
            bits |= NO_EXECUTE;
        }
        if self == P2mType::MmioDirect {
            // Registers must not be read from a cache.
            bits |= CACHE_DISABLE | WRITE_THROUGH;
        }
        bits
    }

    fn of(entry: u64) -> Self {
        let number = (entry & TYPE_MASK) >> TYPE_SHIFT;
        // Entries are written by `bits` alone.
        *Self::ALL.get(number as usize).unwrap_or(&P2mType::RamRo)
    }
}

/// What a gfn maps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct P2mEntry {
    /// The machine frame at that gfn, also inside a superpage.
    pub mfn: Mfn,
    /// The entry's type.
    pub p2mt: P2mType,
    /// Binary logarithm of the number of frames that the leaf maps: 0, 9 or 18.
    pub order: u8,
}

/// Why a mapping cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// There is no memory for another table.
    NoMemory,
    /// A gfn is not below [`GFN_LIMIT`].
    OutOfReach,
}

/// The memory that p2m tables lie in.
pub trait P2mMemory {
    /// Allocates a zeroed frame for a table.
    fn alloc(&mut self) -> Option<Mfn>;
    /// Frees a table's frame, which may be used again once the TLBs were flushed.
    fn free(&mut self, table: Mfn);
    /// Whether all entries of a table are zero: none is present or populated on demand.
    fn is_empty(&self, table: Mfn) -> bool;
    /// Reads an entry.
    fn load(&self, table: Mfn, index: u64) -> u64;
    /// Writes an entry, atomically: a processor may walk the table meanwhile.
    fn store(&mut self, table: Mfn, index: u64, entry: u64);
}

/// The p2m of one domain.
#[derive(Debug)]
pub struct P2m {
    root: Mfn,
    needs_flush: bool,
}

/// Binary logarithm of the number of frames that an entry of a level maps: 0, 9, 18, 27.
fn shift(level: u8) -> u32 {
    9 * u32::from(level)
}

fn index(gfn: u64, level: u8) -> u64 {
    (gfn >> shift(level)) % ENTRIES
}

fn is_leaf(entry: u64, level: u8) -> bool {
    level == 0 || entry & LARGE != 0
}

fn leaf(mfn: u64, p2mt: P2mType, level: u8) -> u64 {
    let large = if level > 0 { LARGE } else { 0 };
    (Mfn(mfn).address() & ADDRESS) | p2mt.bits() | large
}

fn table(at: Mfn) -> u64 {
    at.address() | PRESENT | WRITE | USER | ACCESSED
}

impl P2m {
    /// An empty p2m; `None` without memory for its topmost table.
    pub fn new(memory: &mut impl P2mMemory) -> Option<Self> {
        Some(Self {
            root: memory.alloc()?,
            needs_flush: false,
        })
    }

    /// The frame of the topmost table, for the VMCB's `N_CR3`.
    pub fn root(&self) -> Mfn {
        self.root
    }

    /// Whether a present entry was changed since the last call: the caller flushes the TLBs of all CPUs that run the
    /// domain.
    pub fn take_needs_flush(&mut self) -> bool {
        core::mem::take(&mut self.needs_flush)
    }

    /// What a gfn maps to.
    pub fn lookup(&self, memory: &impl P2mMemory, gfn: Gfn) -> Option<P2mEntry> {
        if gfn.0 >= GFN_LIMIT {
            return None;
        }
        let (entry, level) = self.find(memory, gfn.0);
        if entry & PRESENT == 0 {
            return None;
        }
        let inside = gfn.0 & ((1 << shift(level)) - 1);
        let mut found = p2m_entry(entry, level);
        found.mfn = Mfn(found.mfn.0 | inside);
        Some(found)
    }

    /// Maps `count` frames from `gfn` on, in the largest leaves that fit, and replaces what was mapped there.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfReach`], or [`MapError::NoMemory`] for tables; in the latter case a part may be mapped.
    pub fn map(
        &mut self,
        memory: &mut impl P2mMemory,
        gfn: Gfn,
        mfn: Mfn,
        count: u64,
        p2mt: P2mType,
    ) -> Result<(), MapError> {
        let end = gfn.0.checked_add(count).filter(|&end| end <= GFN_LIMIT);
        end.ok_or(MapError::OutOfReach)?;
        let mut done = 0;
        while done < count {
            let (g, m, left) = (gfn.0 + done, mfn.0 + done, count - done);
            let fits =
                |level: &u8| (g | m) % (1 << shift(*level)) == 0 && left >= 1 << shift(*level);
            let level = [2, 1].into_iter().find(fits).unwrap_or(0);
            let set = self.set(memory, g, level, Some(leaf(m, p2mt, level)));
            if set.is_err() {
                self.prune(memory, g, level);
            }
            set?;
            done += 1 << shift(level);
        }
        Ok(())
    }

    /// Unmaps one gfn and returns what it mapped to. A superpage around it is split first.
    ///
    /// # Errors
    ///
    /// [`MapError::NoMemory`] if splitting needs a table that cannot be allocated; nothing is unmapped then.
    pub fn unmap(
        &mut self,
        memory: &mut impl P2mMemory,
        gfn: Gfn,
    ) -> Result<Option<P2mEntry>, MapError> {
        let entry = self.lookup(memory, gfn);
        if entry.is_some() {
            self.set(memory, gfn.0, 0, None)?;
            self.prune(memory, gfn.0, 0);
        }
        Ok(entry)
    }

    /// Frees those tables on the way to a gfn's entry of a level that are empty.
    fn prune(&mut self, memory: &mut impl P2mMemory, gfn: u64, level: u8) {
        for empty in level..LEVELS - 1 {
            // From the topmost table to the one above.
            let mut at = self.root;
            for above in (empty + 1..LEVELS).rev() {
                let entry = memory.load(at, index(gfn, above));
                if entry & PRESENT == 0 || is_leaf(entry, above) {
                    break;
                }
                let below = Mfn::of(entry & ADDRESS);
                if above == empty + 1 && memory.is_empty(below) {
                    memory.store(at, index(gfn, above), 0);
                    // A processor may have the table in its paging-structure cache.
                    self.needs_flush = true;
                    memory.free(below);
                }
                at = below;
            }
        }
    }

    /// Sets or clears the leaf of a level: splits a superpage above it, and frees the tables below it.
    fn set(
        &mut self,
        memory: &mut impl P2mMemory,
        gfn: u64,
        level: u8,
        new: Option<u64>,
    ) -> Result<(), MapError> {
        let mut at = self.root;
        for above in (level + 1..LEVELS).rev() {
            let entry = memory.load(at, index(gfn, above));
            at = if entry == 0 {
                let fresh = memory.alloc().ok_or(MapError::NoMemory)?;
                memory.store(at, index(gfn, above), table(fresh));
                fresh
            } else if is_on_demand(entry) {
                let fresh = memory.alloc().ok_or(MapError::NoMemory)?;
                (0..ENTRIES).for_each(|index| memory.store(fresh, index, on_demand(above - 1)));
                memory.store(at, index(gfn, above), table(fresh));
                fresh
            } else if is_leaf(entry, above) {
                let fresh = split_superpage(memory, entry, above)?;
                // All translations stay as they were, so this alone needs no flush.
                memory.store(at, index(gfn, above), table(fresh));
                fresh
            } else {
                Mfn::of(entry & ADDRESS)
            };
        }
        let old = memory.load(at, index(gfn, level));
        memory.store(at, index(gfn, level), new.unwrap_or(0));
        if old & PRESENT != 0 {
            self.needs_flush = true;
            if !is_leaf(old, level) {
                free_tables(memory, Mfn::of(old & ADDRESS), level - 1);
            }
        }
        Ok(())
    }

    /// The first leaf that maps a gfn from `from` on, with the first gfn of it that is not below `from`.
    pub fn next_leaf(&self, memory: &impl P2mMemory, from: Gfn) -> Option<(Gfn, P2mEntry)> {
        let mut gfn = from.0;
        while gfn < GFN_LIMIT {
            let (entry, level) = self.find(memory, gfn);
            if entry & PRESENT != 0 {
                let inside = gfn & ((1 << shift(level)) - 1);
                let mut found = p2m_entry(entry, level);
                found.mfn = Mfn(found.mfn.0 + inside);
                return Some((Gfn(gfn), found));
            }
            // Behind what the entry stands for.
            gfn = ((gfn >> shift(level)) + 1) << shift(level);
        }
        None
    }

    /// The entry that decides about a gfn below [`GFN_LIMIT`]: a leaf, or one that is not present. And its level.
    fn find(&self, memory: &impl P2mMemory, gfn: u64) -> (u64, u8) {
        let (_, entry, level) = self.find_at(memory, gfn);
        (entry, level)
    }

    /// As [`P2m::find`], and the table that it is in.
    fn find_at(&self, memory: &impl P2mMemory, gfn: u64) -> (Mfn, u64, u8) {
        let mut at = self.root;
        let mut level = LEVELS - 1;
        loop {
            let entry = memory.load(at, index(gfn, level));
            if entry & PRESENT == 0 || is_leaf(entry, level) {
                return (at, entry, level);
            }
            at = Mfn::of(entry & ADDRESS);
            level -= 1;
        }
    }

    /// Calls `each` for every leaf in rising order, with its first gfn and what it maps to.
    pub fn for_each(&self, memory: &impl P2mMemory, mut each: impl FnMut(Gfn, P2mEntry)) {
        visit(memory, self.root, LEVELS - 1, 0, &mut each);
    }

    /// Frees up to `tables` tables below the topmost one, and calls `each` for every leaf in them with its first gfn and
    /// what it mapped to. Returns whether all are freed; otherwise the next call continues. No CPU runs the domain any
    /// more.
    pub fn teardown(
        &mut self,
        memory: &mut impl P2mMemory,
        mut tables: u32,
        each: &mut impl FnMut(Gfn, P2mEntry),
    ) -> bool {
        teardown(memory, self.root, LEVELS - 1, 0, &mut tables, each)
    }

    /// Frees all tables. No CPU runs the domain any more.
    pub fn destroy(self, memory: &mut impl P2mMemory) {
        free_tables(memory, self.root, LEVELS - 1);
    }
}

/// Allocates a table that maps the same frames as a superpage of a level.
fn split_superpage(memory: &mut impl P2mMemory, entry: u64, level: u8) -> Result<Mfn, MapError> {
    let fresh = memory.alloc().ok_or(MapError::NoMemory)?;
    let first = (entry & ADDRESS) >> 12;
    for index in 0..ENTRIES {
        let mfn = first + (index << shift(level - 1));
        memory.store(fresh, index, leaf(mfn, P2mType::of(entry), level - 1));
    }
    Ok(fresh)
}

/// Frees a table of a level and those below it. There are four levels, so the recursion is bounded.
fn free_tables(memory: &mut impl P2mMemory, at: Mfn, level: u8) {
    if level > 0 {
        for index in 0..ENTRIES {
            let entry = memory.load(at, index);
            if entry & PRESENT != 0 && !is_leaf(entry, level) {
                free_tables(memory, Mfn::of(entry & ADDRESS), level - 1);
            }
        }
    }
    memory.free(at);
}

/// Empties a table of a level and frees those below it, `budget` of them at most. Returns whether it is empty.
fn teardown(
    memory: &mut impl P2mMemory,
    at: Mfn,
    level: u8,
    base: u64,
    budget: &mut u32,
    each: &mut impl FnMut(Gfn, P2mEntry),
) -> bool {
    for index in 0..ENTRIES {
        let entry = memory.load(at, index);
        let gfn = base + (index << shift(level));
        if entry & PRESENT == 0 {
            continue;
        }
        if is_leaf(entry, level) {
            each(Gfn(gfn), p2m_entry(entry, level));
        } else {
            let below = Mfn::of(entry & ADDRESS);
            if *budget == 0 || !teardown(memory, below, level - 1, gfn, budget, each) {
                return false;
            }
            *budget = budget.saturating_sub(1);
            memory.free(below);
        }
        memory.store(at, index, 0);
    }
    true
}

/// What a leaf of a level maps to.
fn p2m_entry(entry: u64, level: u8) -> P2mEntry {
    P2mEntry {
        mfn: Mfn::of(entry & ADDRESS),
        p2mt: P2mType::of(entry),
        order: shift(level) as u8,
    }
}

fn visit(
    memory: &impl P2mMemory,
    at: Mfn,
    level: u8,
    base: u64,
    each: &mut impl FnMut(Gfn, P2mEntry),
) {
    for index in 0..ENTRIES {
        let entry = memory.load(at, index);
        let gfn = base + (index << shift(level));
        if entry & PRESENT == 0 {
            continue;
        }
        if is_leaf(entry, level) {
            each(Gfn(gfn), p2m_entry(entry, level));
        } else {
            visit(memory, Mfn::of(entry & ADDRESS), level - 1, gfn, each);
        }
    }
}

#[cfg(test)]
mod tests;
