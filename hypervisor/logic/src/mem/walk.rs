//! The guest's own page tables: from a virtual address to a guest-physical one, as the processor would do it.
//!
//! Four and five levels in long mode (AMD64 Architecture Programmer's Manual, volume 2, chapter 5), and none at all.
//! Hypercalls come from the guest's kernel, so an access is a supervisor's; SMAP does not stand in the way of their
//! buffers, as it does not in Xen, because privileged programs' are user memory. It does where an instruction's access is
//! carried out.

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
/// Bits 12 to 51: the address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// What the guest's control registers say about paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// CR3; only its address counts.
    pub cr3: u64,
    /// How many levels there are: 0 without paging, 4 or 5 in long mode.
    pub levels: u8,
    /// CR0.WP: a supervisor's writes to read-only pages fault.
    pub write_protect: bool,
}

impl Paging {
    /// How many bits of an address count with these levels: 48 or 57.
    pub fn address_bits(&self) -> u32 {
        12 + 9 * u32::from(self.levels)
    }
}

/// Whether an address of which `bits` bits count repeats the highest of them in those above (APM volume 2, 1.1.3).
pub fn is_canonical(address: u64, bits: u32) -> bool {
    matches!((address as i64) >> (bits - 1), 0 | -1)
}

/// What is to be done with the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// A write, not a read.
    pub write: bool,
    /// By a user program, not the kernel.
    pub user: bool,
    /// By the kernel, which may not reach users' pages (CR4.SMAP with RFLAGS.AC clear).
    pub smap: bool,
}

impl Access {
    /// The kernel's, which may reach users' pages.
    pub const fn supervisor(write: bool) -> Self {
        Self {
            write,
            user: false,
            smap: false,
        }
    }
}

/// Why an address cannot be accessed: the part of a page fault's error code that the access itself does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not mapped.
    NotMapped,
    /// It is, but not for this access.
    Forbidden,
    /// An entry has bits set that have to be clear.
    Reserved,
}

impl Fault {
    /// A page fault's error code (APM volume 2, 8.4.2).
    pub fn code(self, access: Access) -> u32 {
        let why = match self {
            Fault::NotMapped => 0,
            Fault::Forbidden => 1 << 0,
            Fault::Reserved => 1 << 0 | 1 << 3,
        };
        why | u32::from(access.write) << 1 | u32::from(access.user) << 2
    }
}

/// The guest-physical memory that page tables lie in.
pub trait TableMemory {
    /// Reads an entry; `None` if there is no memory.
    fn load(&mut self, gpa: u64) -> Option<u64>;
    /// Replaces an entry that still is what it was. False if there is no memory to write or it has changed.
    fn replace(&mut self, gpa: u64, old: u64, new: u64) -> bool;
}

/// Finds the guest-physical address, and marks the entries on the way as accessed, the last as dirty if written.
pub fn walk(
    paging: &Paging,
    address: u64,
    access: Access,
    memory: &mut impl TableMemory,
) -> Result<u64, Fault> {
    if paging.levels == 0 {
        return Ok(address);
    }
    if !is_canonical(address, paging.address_bits()) {
        return Err(Fault::NotMapped);
    }
    let mut table = paging.cr3 & ADDRESS;
    let mut writable = true;
    let mut user = true;
    for level in (1..=u32::from(paging.levels)).rev() {
        let shift = 12 + 9 * (level - 1);
        let at = table + ((address >> shift) & 0x1ff) * 8;
        // A few tries, since another CPU of the guest may mark the same entry meanwhile.
        let entry = (0..4).find_map(|_| visit(at, level, access, writable, user, paging, memory));
        let entry = entry.ok_or(Fault::NotMapped)??;
        writable &= entry & WRITE != 0;
        user &= entry & USER != 0;
        if level == 1 || entry & LARGE != 0 {
            let mask = (1u64 << shift) - 1;
            return Ok((entry & ADDRESS & !mask) | (address & mask));
        }
        table = entry & ADDRESS;
    }
    Err(Fault::NotMapped)
}

/// Reads and marks an entry. `None` if it changed meanwhile.
fn visit(
    at: u64,
    level: u32,
    access: Access,
    writable: bool,
    user: bool,
    paging: &Paging,
    memory: &mut impl TableMemory,
) -> Option<Result<u64, Fault>> {
    let Some(entry) = memory.load(at) else {
        return Some(Err(Fault::NotMapped));
    };
    if entry & PRESENT == 0 {
        return Some(Err(Fault::NotMapped));
    }
    if level > 3 && entry & LARGE != 0 {
        return Some(Err(Fault::Reserved));
    }
    let leaf = level == 1 || entry & LARGE != 0;
    let mut marks = ACCESSED;
    if leaf {
        let may_write = writable && entry & WRITE != 0;
        let users = user && entry & USER != 0;
        let forbidden = (access.user && !users)
            || (access.smap && users)
            || (access.write && !may_write && (access.user || paging.write_protect));
        if forbidden {
            return Some(Err(Fault::Forbidden));
        }
        if access.write {
            marks |= DIRTY;
        }
    }
    if entry & marks != marks && !memory.replace(at, entry, entry | marks) {
        // Where tables are in read-only memory the access goes on without marks, as on the processor it would not;
        // a changed entry is looked at again.
        return match memory.load(at) {
            Some(now) if now == entry => Some(Ok(entry)),
            _ => None,
        };
    }
    Some(Ok(entry))
}

#[cfg(test)]
mod tests;
