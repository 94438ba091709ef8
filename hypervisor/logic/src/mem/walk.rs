// SPDX-License-Identifier: GPL-2.0

//! Walks of a guest's own page tables: from a virtual address to a guest-physical one, as the processor does it in each
//! of its paging modes (AMD64 Architecture Programmer's Manual, volume 2, chapter 5).
//!
//! Hypercalls come from the guest's kernel, so their accesses are a supervisor's. SMAP does not apply to hypercall
//! buffers, as in Xen, because those of a toolstack are user memory. It applies to emulated instructions.

use crate::control::{ControlRegs, cr0, cr4, efer};

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
/// Bits 12 to 51: the address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Reserved bits of an entry of PAE's topmost table, which has no permissions (5.2.3). Bit 5 is another one, but QEMU sets
/// it, as if it were an accessed bit.
const POINTER_RESERVED: u64 = 0xfff0_0000_0000_01c6;
/// Bits 13 to 20 of an entry for a page of 4 MiB: bits 32 to 39 of its address (PSE-36, 5.2.2).
const LARGE_HIGH: u64 = 0x1f_e000;
/// The reserved bit of such an entry.
const LARGE_RESERVED: u64 = 1 << 21;

/// The paging mode of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagingMode {
    /// Paging is disabled: linear addresses are physical.
    Unpaged,
    /// Two levels of 32-bit entries.
    Legacy {
        /// CR4.PSE: an entry of the topmost table may map 4 MiB.
        large_pages: bool,
    },
    /// Three levels of 64-bit entries for 32-bit addresses; the topmost table has four.
    Pae,
    /// Long mode, in 64-bit code or not.
    Long {
        /// Levels of page tables: 4 or 5.
        levels: u8,
    },
}

/// How a vCPU translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// CR3; only its address is used.
    pub cr3: u64,
    /// The paging mode.
    pub mode: PagingMode,
    /// CR0.WP: writes of a supervisor to read-only pages fault.
    pub write_protect: bool,
}

/// CR4.LA57: five levels of page tables. No guest can set it yet.
const CR4_LA57: u64 = 1 << 12;

impl Paging {
    /// By the control registers.
    pub fn of(regs: &ControlRegs) -> Self {
        let has = |bit| regs.cr4 & bit != 0;
        let mode = match () {
            () if regs.cr0 & cr0::PG == 0 => PagingMode::Unpaged,
            () if regs.efer & efer::LMA != 0 => PagingMode::Long {
                levels: if has(CR4_LA57) { 5 } else { 4 },
            },
            () if has(cr4::PAE) => PagingMode::Pae,
            () => PagingMode::Legacy {
                large_pages: has(cr4::PSE),
            },
        };
        Self {
            cr3: regs.cr3,
            mode,
            write_protect: regs.cr0 & cr0::WP != 0,
        }
    }

    /// Bits of a linear address that are translated. In long mode an address of 64-bit code is canonical if the bits
    /// above repeat the highest of them; other modes have addresses of 32 bits.
    pub fn address_bits(&self) -> u32 {
        match self.mode {
            PagingMode::Long { levels } => 12 + 9 * u32::from(levels),
            _ => 32,
        }
    }

    /// The topmost table, the levels, and the bits of an address that a level above the first translates.
    fn tables(&self) -> (u64, u32, u32) {
        match self.mode {
            PagingMode::Unpaged => (0, 0, 0),
            PagingMode::Legacy { .. } => (self.cr3 & 0xffff_f000, 2, 10),
            PagingMode::Pae => (self.cr3 & 0xffff_ffe0, 3, 9),
            PagingMode::Long { levels } => (self.cr3 & ADDRESS, levels.into(), 9),
        }
    }

    /// Bytes of an entry.
    fn entry_size(&self) -> EntrySize {
        match self.mode {
            PagingMode::Legacy { .. } => EntrySize::Four,
            _ => EntrySize::Eight,
        }
    }

    /// Whether an entry of a level maps a page.
    fn is_leaf(&self, level: u32, entry: u64) -> bool {
        let large = entry & LARGE != 0;
        match (self.mode, level) {
            (_, 1) => true,
            (PagingMode::Legacy { large_pages }, _) => large && large_pages,
            (PagingMode::Pae, level) => large && level == 2,
            (_, level) => large && level <= 3,
        }
    }

    /// Whether a present entry of a level has reserved bits set.
    fn is_reserved(&self, level: u32, entry: u64) -> bool {
        match (self.mode, level) {
            (PagingMode::Legacy { .. }, 2) => self.is_leaf(2, entry) && entry & LARGE_RESERVED != 0,
            (PagingMode::Pae, 3) => entry & POINTER_RESERVED != 0,
            (_, level) => level > 3 && entry & LARGE != 0,
        }
    }

    /// The address in an entry for a page of `1 << shift` bytes.
    fn page_address(&self, entry: u64, shift: u32) -> u64 {
        let page = entry & ADDRESS & !((1u64 << shift) - 1);
        match (self.mode, shift) {
            (PagingMode::Legacy { .. }, 22) => page | (entry & LARGE_HIGH) << 19,
            _ => page,
        }
    }
}

/// Size of a page table's entry in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntrySize {
    /// In legacy paging.
    Four = 4,
    /// In PAE and in long mode.
    Eight = 8,
}

/// Whether a linear address is canonical: its bits from `bits` on equal bit `bits - 1` (APM volume 2, 1.1.3).
pub fn is_canonical(address: u64, bits: u32) -> bool {
    matches!((address as i64) >> (bits - 1), 0 | -1)
}

/// The kind of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// It is a write.
    pub write: bool,
    /// It is made in user mode.
    pub user: bool,
    /// It is made by a supervisor that may not access user pages (CR4.SMAP with RFLAGS.AC clear).
    pub smap: bool,
}

impl Access {
    /// An access of a supervisor to which SMAP does not apply.
    pub const fn supervisor(write: bool) -> Self {
        Self {
            write,
            user: false,
            smap: false,
        }
    }
}

/// Why a walk fails: the part of a page fault's error code that does not follow from the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkFault {
    /// An entry is not present.
    NotMapped,
    /// The page is mapped, but not for this access.
    Forbidden,
    /// A reserved bit of an entry is set.
    Reserved,
}

impl WalkFault {
    /// The error code of the page fault (APM volume 2, 8.4.2).
    pub fn code(self, access: Access) -> u32 {
        let why = match self {
            WalkFault::NotMapped => 0,
            WalkFault::Forbidden => 1 << 0,
            WalkFault::Reserved => 1 << 0 | 1 << 3,
        };
        why | u32::from(access.write) << 1 | u32::from(access.user) << 2
    }
}

/// The guest-physical memory that page tables lie in. Entries of four bytes are the low halves of the numbers.
pub trait GuestTables {
    /// Reads an entry; `None` if no RAM is mapped there.
    fn load(&mut self, gpa: u64, size: EntrySize) -> Option<u64>;
    /// Replaces an entry that still equals `old`. False if no writable RAM is mapped there or the entry has changed.
    fn replace(&mut self, gpa: u64, size: EntrySize, old: u64, new: u64) -> bool;
}

/// What the entries above one allow.
#[derive(Clone, Copy, Debug)]
struct Permissions {
    writable: bool,
    user: bool,
}

/// Translates a linear address to a guest-physical one. Sets the accessed bit of the entries on the way and, for a
/// write, the dirty bit of the last one. Outside of long mode the address is cut to 32 bits, as the processor does.
///
/// # Errors
///
/// The fault that the processor would raise.
pub fn walk(
    paging: &Paging,
    address: u64,
    access: Access,
    memory: &mut impl GuestTables,
) -> Result<u64, WalkFault> {
    let address = match paging.mode {
        PagingMode::Unpaged => return Ok(address),
        PagingMode::Long { .. } if !is_canonical(address, paging.address_bits()) => {
            return Err(WalkFault::NotMapped);
        }
        PagingMode::Long { .. } => address,
        PagingMode::Legacy { .. } | PagingMode::Pae => address & 0xffff_ffff,
    };
    let (mut table, levels, bits) = paging.tables();
    let size = paging.entry_size();
    let mut above = Permissions {
        writable: true,
        user: true,
    };
    for level in (1..=levels).rev() {
        let shift = 12 + bits * (level - 1);
        let at = table + ((address >> shift) & ((1 << bits) - 1)) * size as u64;
        // Another CPU of the guest may set the same bits meanwhile, so there are a few tries.
        let entry = (0..4).find_map(|_| visit(at, level, access, above, paging, memory));
        let entry = entry.ok_or(WalkFault::NotMapped)??;
        if paging.is_leaf(level, entry) {
            return Ok(paging.page_address(entry, shift) | (address & ((1 << shift) - 1)));
        }
        above = permissions(paging, level, entry, above);
        table = entry & ADDRESS;
    }
    Err(WalkFault::NotMapped)
}

/// What an entry allows together with those above it.
fn permissions(paging: &Paging, level: u32, entry: u64, above: Permissions) -> Permissions {
    if (paging.mode, level) == (PagingMode::Pae, 3) {
        return above;
    }
    Permissions {
        writable: above.writable && entry & WRITE != 0,
        user: above.user && entry & USER != 0,
    }
}

/// Reads an entry and sets its accessed and dirty bits. `None` if it changed meanwhile.
fn visit(
    at: u64,
    level: u32,
    access: Access,
    above: Permissions,
    paging: &Paging,
    memory: &mut impl GuestTables,
) -> Option<Result<u64, WalkFault>> {
    let size = paging.entry_size();
    let Some(entry) = memory.load(at, size) else {
        return Some(Err(WalkFault::NotMapped));
    };
    if entry & PRESENT == 0 {
        return Some(Err(WalkFault::NotMapped));
    }
    if paging.is_reserved(level, entry) {
        return Some(Err(WalkFault::Reserved));
    }
    if (paging.mode, level) == (PagingMode::Pae, 3) {
        // It has no accessed bit.
        return Some(Ok(entry));
    }
    let mut set = ACCESSED;
    if paging.is_leaf(level, entry) {
        let Permissions { writable, user } = permissions(paging, level, entry, above);
        let forbidden = (access.user && !user)
            || (access.smap && user)
            || (access.write && !writable && (access.user || paging.write_protect));
        if forbidden {
            return Some(Err(WalkFault::Forbidden));
        }
        if access.write {
            set |= DIRTY;
        }
    }
    if entry & set != set && !memory.replace(at, size, entry, entry | set) {
        // Tables in read-only memory are used without setting bits, which the processor would not do. A changed entry
        // is read again.
        return match memory.load(at, size) {
            Some(now) if now == entry => Some(Ok(entry)),
            _ => None,
        };
    }
    Some(Ok(entry))
}

#[cfg(test)]
mod tests;
