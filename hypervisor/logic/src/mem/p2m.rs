//! Where a domain sees which machine frame: its nested page tables (AMD64 manual, volume 2, 15.25), written entry by
//! entry through a trait, so that they lie in a map in tests and in machine frames in the hypervisor.
//!
//! The tables say nothing about ownership: who calls [`P2m::map`] holds the frame or gave it to the domain.
//! A change of a present entry needs the CPUs that run the domain to forget their translations before the frame goes
//! to somebody else; [`P2m::take_stale`] says whether that is due.

use super::addr::{Gfn, Mfn};

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
/// Nested tables are walked as a user.
const USER: u64 = 1 << 2;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLE: u64 = 1 << 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bits 52 to 54, which the processor leaves to software: the kind of a leaf.
const KIND_SHIFT: u32 = 52;
const KIND_MASK: u64 = 7 << KIND_SHIFT;
/// Entries of a table.
const ENTRIES: u64 = 512;
/// Levels of tables, for 48 bits of guest-physical address.
const LEVELS: u8 = 4;
/// Frames that the tables reach: a number beyond is never mapped.
pub const GFN_LIMIT: u64 = 1 << (9 * LEVELS as u32);

/// What a frame is to the domain that sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its memory.
    Ram,
    /// Its memory, which it may only read.
    RamReadOnly,
    /// A device.
    Mmio,
    /// A grant of another domain's frame.
    Grant,
    /// The same, to be read only.
    GrantReadOnly,
    /// A frame of a domain that it builds or watches, or of the hypervisor that it shares.
    Foreign,
    /// The same, to be read only.
    ForeignReadOnly,
}

impl Kind {
    const ALL: [Kind; 7] = [
        Kind::Ram,
        Kind::RamReadOnly,
        Kind::Mmio,
        Kind::Grant,
        Kind::GrantReadOnly,
        Kind::Foreign,
        Kind::ForeignReadOnly,
    ];

    /// Whether the domain may write.
    pub fn writable(self) -> bool {
        matches!(self, Kind::Ram | Kind::Mmio | Kind::Grant | Kind::Foreign)
    }

    /// Whether it is memory of the domain itself.
    pub fn is_ram(self) -> bool {
        matches!(self, Kind::Ram | Kind::RamReadOnly)
    }

    fn bits(self) -> u64 {
        let number = Self::ALL.iter().position(|&kind| kind == self).unwrap_or(0) as u64;
        let mut bits = PRESENT | USER | ACCESSED | DIRTY | number << KIND_SHIFT;
        if self.writable() {
            bits |= WRITE;
        }
        match self {
            // What a device returns must not come from a cache.
            Kind::Mmio => bits |= CACHE_DISABLE | WRITE_THROUGH,
            // A domain does not run what it did not bring itself.
            Kind::Grant | Kind::GrantReadOnly | Kind::Foreign | Kind::ForeignReadOnly => {
                bits |= NO_EXECUTE
            }
            Kind::Ram | Kind::RamReadOnly => {}
        }
        bits
    }

    fn of(entry: u64) -> Self {
        let number = (entry & KIND_MASK) >> KIND_SHIFT;
        // Entries are written by `bits` alone.
        *Self::ALL.get(number as usize).unwrap_or(&Kind::RamReadOnly)
    }
}

/// Where the domain sees a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The frame itself, also inside a large leaf.
    pub mfn: Mfn,
    /// What it is.
    pub kind: Kind,
    /// Binary logarithm of the frames of the leaf it lies in: 0, 9 or 18.
    pub order: u8,
}

/// Why something is not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// No memory for another table.
    NoMemory,
    /// The tables do not reach that far.
    OutOfReach,
}

/// Memory of page tables.
pub trait TableMemory {
    /// Takes a frame for a table, all zero.
    fn alloc(&mut self) -> Option<Mfn>;
    /// Gives one back.
    fn free(&mut self, table: Mfn);
    /// Reads an entry.
    fn load(&self, table: Mfn, index: u64) -> u64;
    /// Writes an entry, in one piece.
    fn store(&mut self, table: Mfn, index: u64, entry: u64);
}

/// A domain's tables.
#[derive(Debug)]
pub struct P2m {
    root: Mfn,
    stale: bool,
}

/// Bits of a frame number below a level's leaves: 0, 9, 18, 27.
fn shift(level: u8) -> u32 {
    9 * u32::from(level)
}

fn index(gfn: u64, level: u8) -> u64 {
    (gfn >> shift(level)) % ENTRIES
}

fn is_leaf(entry: u64, level: u8) -> bool {
    level == 0 || entry & LARGE != 0
}

fn leaf(mfn: u64, kind: Kind, level: u8) -> u64 {
    let large = if level > 0 { LARGE } else { 0 };
    (Mfn(mfn).address() & ADDRESS) | kind.bits() | large
}

fn table(at: Mfn) -> u64 {
    at.address() | PRESENT | WRITE | USER | ACCESSED
}

impl P2m {
    /// Empty tables.
    pub fn new(memory: &mut impl TableMemory) -> Option<Self> {
        Some(Self {
            root: memory.alloc()?,
            stale: false,
        })
    }

    /// The frame of the topmost table, for the VMCB's nested CR3.
    pub fn root(&self) -> Mfn {
        self.root
    }

    /// Whether translations have to be forgotten by all CPUs that run the domain, and says that they will be.
    pub fn take_stale(&mut self) -> bool {
        core::mem::take(&mut self.stale)
    }

    /// What the domain sees at a frame.
    pub fn lookup(&self, memory: &impl TableMemory, gfn: Gfn) -> Option<Seen> {
        if gfn.0 >= GFN_LIMIT {
            return None;
        }
        let mut at = self.root;
        for level in (0..LEVELS).rev() {
            let entry = memory.load(at, index(gfn.0, level));
            if entry & PRESENT == 0 {
                return None;
            }
            if is_leaf(entry, level) {
                let inside = gfn.0 & ((1 << shift(level)) - 1);
                return Some(Seen {
                    mfn: Mfn((entry & ADDRESS) >> 12 | inside),
                    kind: Kind::of(entry),
                    order: shift(level) as u8,
                });
            }
            at = Mfn::of(entry & ADDRESS);
        }
        None
    }

    /// Lets the domain see `count` frames from `gfn` on, in leaves as large as fit. What was there before is
    /// replaced. If there is no memory for tables, part of it may be mapped.
    pub fn map(
        &mut self,
        memory: &mut impl TableMemory,
        gfn: Gfn,
        mfn: Mfn,
        count: u64,
        kind: Kind,
    ) -> Result<(), MapError> {
        let end = gfn.0.checked_add(count).filter(|&end| end <= GFN_LIMIT);
        end.ok_or(MapError::OutOfReach)?;
        let mut done = 0;
        while done < count {
            let (g, m, left) = (gfn.0 + done, mfn.0 + done, count - done);
            let fits =
                |level: &u8| (g | m) % (1 << shift(*level)) == 0 && left >= 1 << shift(*level);
            let level = [2, 1].into_iter().find(fits).unwrap_or(0);
            self.set(memory, g, level, Some(leaf(m, kind, level)))?;
            done += 1 << shift(level);
        }
        Ok(())
    }

    /// Lets the domain no longer see a frame. Returns what it saw. A larger leaf around it is split first, which may
    /// need memory.
    pub fn unmap(
        &mut self,
        memory: &mut impl TableMemory,
        gfn: Gfn,
    ) -> Result<Option<Seen>, MapError> {
        let seen = self.lookup(memory, gfn);
        if seen.is_some() {
            self.set(memory, gfn.0, 0, None)?;
        }
        Ok(seen)
    }

    /// Sets or clears the leaf of a level, splitting what is larger and freeing the tables of what is smaller.
    fn set(
        &mut self,
        memory: &mut impl TableMemory,
        gfn: u64,
        level: u8,
        new: Option<u64>,
    ) -> Result<(), MapError> {
        let mut at = self.root;
        for above in (level + 1..LEVELS).rev() {
            let entry = memory.load(at, index(gfn, above));
            at = if entry & PRESENT == 0 {
                let fresh = memory.alloc().ok_or(MapError::NoMemory)?;
                memory.store(at, index(gfn, above), table(fresh));
                fresh
            } else if is_leaf(entry, above) {
                let fresh = split(memory, entry, above)?;
                // The same translations as before, in smaller pieces: nothing is stale yet.
                memory.store(at, index(gfn, above), table(fresh));
                fresh
            } else {
                Mfn::of(entry & ADDRESS)
            };
        }
        let old = memory.load(at, index(gfn, level));
        memory.store(at, index(gfn, level), new.unwrap_or(0));
        if old & PRESENT != 0 {
            self.stale = true;
            if !is_leaf(old, level) {
                free_tables(memory, Mfn::of(old & ADDRESS), level - 1);
            }
        }
        Ok(())
    }

    /// Calls `each` for every leaf, in order of frames: the first frame and what is seen there.
    pub fn for_each(&self, memory: &impl TableMemory, mut each: impl FnMut(Gfn, Seen)) {
        visit(memory, self.root, LEVELS - 1, 0, &mut each);
    }

    /// Gives all tables back. Nothing runs the domain any more.
    pub fn destroy(self, memory: &mut impl TableMemory) {
        free_tables(memory, self.root, LEVELS - 1);
    }
}

/// Makes a table of what a large leaf of a level maps.
fn split(memory: &mut impl TableMemory, entry: u64, level: u8) -> Result<Mfn, MapError> {
    let fresh = memory.alloc().ok_or(MapError::NoMemory)?;
    let first = (entry & ADDRESS) >> 12;
    for index in 0..ENTRIES {
        let mfn = first + (index << shift(level - 1));
        memory.store(fresh, index, leaf(mfn, Kind::of(entry), level - 1));
    }
    Ok(fresh)
}

/// Gives back a table of a level and those below it. There are four levels at most, so it may call itself.
fn free_tables(memory: &mut impl TableMemory, at: Mfn, level: u8) {
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

fn visit(
    memory: &impl TableMemory,
    at: Mfn,
    level: u8,
    base: u64,
    each: &mut impl FnMut(Gfn, Seen),
) {
    for index in 0..ENTRIES {
        let entry = memory.load(at, index);
        let gfn = base + (index << shift(level));
        if entry & PRESENT == 0 {
            continue;
        }
        if is_leaf(entry, level) {
            let seen = Seen {
                mfn: Mfn::of(entry & ADDRESS),
                kind: Kind::of(entry),
                order: shift(level) as u8,
            };
            each(Gfn(gfn), seen);
        } else {
            visit(memory, Mfn::of(entry & ADDRESS), level - 1, gfn, each);
        }
    }
}

#[cfg(test)]
mod tests;
