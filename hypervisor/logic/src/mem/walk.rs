// SPDX-License-Identifier: GPL-2.0

//! Walks of a guest's own page tables: from a virtual address to a guest-physical one, as the processor does it.
//!
//! Supported are four and five levels in long mode (AMD64 Architecture Programmer's Manual, volume 2, chapter 5), and
//! no paging. Hypercalls come from the guest's kernel, so their accesses are a supervisor's. SMAP does not apply to
//! hypercall buffers, as in Xen, because those of a toolstack are user memory. It applies to emulated instructions.

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
/// Bits 12 to 51: the address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The paging mode of a vCPU, from its control registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// CR3; only its address is used.
    pub cr3: u64,
    /// Levels of page tables: 0 without paging, 4 or 5 in long mode.
    pub levels: u8,
    /// CR0.WP: writes of a supervisor to read-only pages fault.
    pub write_protect: bool,
}

impl Paging {
    /// Bits of a linear address that are translated with these levels: 48 or 57.
    pub fn address_bits(&self) -> u32 {
        12 + 9 * u32::from(self.levels)
    }
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

/// The guest-physical memory that page tables lie in.
pub trait GuestTables {
    /// Reads an entry; `None` if no RAM is mapped there.
    fn load(&mut self, gpa: u64) -> Option<u64>;
    /// Replaces an entry that still equals `old`. False if no writable RAM is mapped there or the entry has changed.
    fn replace(&mut self, gpa: u64, old: u64, new: u64) -> bool;
}

/// Translates a linear address to a guest-physical one. Sets the accessed bit of the entries on the way and, for a
/// write, the dirty bit of the last one.
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
    if paging.levels == 0 {
        return Ok(address);
    }
    if !is_canonical(address, paging.address_bits()) {
        return Err(WalkFault::NotMapped);
    }
    let mut table = paging.cr3 & ADDRESS;
    let mut writable = true;
    let mut user = true;
    for level in (1..=u32::from(paging.levels)).rev() {
        let shift = 12 + 9 * (level - 1);
        let at = table + ((address >> shift) & 0x1ff) * 8;
        // Another CPU of the guest may set the same bits meanwhile, so there are a few tries.
        let entry = (0..4).find_map(|_| visit(at, level, access, writable, user, paging, memory));
        let entry = entry.ok_or(WalkFault::NotMapped)??;
        writable &= entry & WRITE != 0;
        user &= entry & USER != 0;
        if level == 1 || entry & LARGE != 0 {
            let mask = (1u64 << shift) - 1;
            return Ok((entry & ADDRESS & !mask) | (address & mask));
        }
        table = entry & ADDRESS;
    }
    Err(WalkFault::NotMapped)
}

/// Reads an entry and sets its accessed and dirty bits. `None` if it changed meanwhile.
fn visit(
    at: u64,
    level: u32,
    access: Access,
    writable: bool,
    user: bool,
    paging: &Paging,
    memory: &mut impl GuestTables,
) -> Option<Result<u64, WalkFault>> {
    let Some(entry) = memory.load(at) else {
        return Some(Err(WalkFault::NotMapped));
    };
    if entry & PRESENT == 0 {
        return Some(Err(WalkFault::NotMapped));
    }
    if level > 3 && entry & LARGE != 0 {
        return Some(Err(WalkFault::Reserved));
    }
    let leaf = level == 1 || entry & LARGE != 0;
    let mut set = ACCESSED;
    if leaf {
        let may_write = writable && entry & WRITE != 0;
        let users = user && entry & USER != 0;
        let forbidden = (access.user && !users)
            || (access.smap && users)
            || (access.write && !may_write && (access.user || paging.write_protect));
        if forbidden {
            return Some(Err(WalkFault::Forbidden));
        }
        if access.write {
            set |= DIRTY;
        }
    }
    if entry & set != set && !memory.replace(at, entry, entry | set) {
        // Tables in read-only memory are used without setting bits, which the processor would not do. A changed entry
        // is read again.
        return match memory.load(at) {
            Some(now) if now == entry => Some(Ok(entry)),
            _ => None,
        };
    }
    Some(Ok(entry))
}

#[cfg(test)]
mod tests;
