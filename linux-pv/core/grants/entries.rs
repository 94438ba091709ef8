// SPDX-License-Identifier: GPL-2.0

//! The table's words, which the hypervisor changes too.
//!
//! Readers need no lock: addresses and version change when the table is set up, and on resume,
//! while no other code runs. The size only grows, after the memory was mapped.

use core::{
    mem::size_of,
    ptr,
    sync::atomic::{
        AtomicPtr,
        AtomicU32,
        Ordering::{
            Acquire,
            Relaxed,
            Release, //
        }, //
    }, //
};

use xen_core::shared_word::{
    Word16,
    Word32,
    Word64, //
};

use xen_grant::{
    entry::GrantTable,
    layout::STATUS_SIZE,
    Version, //
};

static ENTRIES: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static STATUS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static VERSION: AtomicU32 = AtomicU32::new(1);
static SIZE: AtomicU32 = AtomicU32::new(0);

/// The table, as it is now.
///
/// # Invariants
///
/// `size` entries of this version are mapped at `entries`, and, in version 2, as many status words
/// at `status`. They stay, and are accessed by atomic operations only.
#[derive(Clone, Copy)]
pub(crate) struct Entries {
    version: Version,
    entries: *mut u8,
    status: *mut u8,
    size: u32,
}

impl Entries {
    /// The table. It has no entries before it is set up.
    #[inline]
    pub(crate) fn get() -> Self {
        let size = SIZE.load(Acquire);
        // INVARIANT: `publish` has been called with these, whose memory stays.
        Self {
            version: version(),
            entries: ENTRIES.load(Relaxed),
            status: STATUS.load(Relaxed),
            size,
        }
    }

    /// The address of a part of an entry, of `width` bytes.
    #[inline]
    fn part(&self, reference: u32, offset: usize, width: usize) -> Option<*mut u8> {
        let size = self.version.entry_size();
        let fits = offset % width == 0 && offset < size;
        if !fits || reference >= self.size {
            return None;
        }
        let at = (reference as usize).wrapping_mul(size).wrapping_add(offset);
        Some(self.entries.wrapping_add(at))
    }
}

impl GrantTable for Entries {
    type U16<'a> = &'a Word16;
    type U32<'a> = &'a Word32;
    type U64<'a> = &'a Word64;

    #[inline]
    fn version(&self) -> Version {
        self.version
    }

    #[inline]
    fn entry_u16(&self, reference: u32, offset: usize) -> Option<&Word16> {
        let part = self.part(reference, offset, size_of::<u16>())?;
        // SAFETY: In an entry, which by the type invariant is mapped and accessed atomically.
        Some(unsafe { Word16::at(part) })
    }

    #[inline]
    fn entry_u32(&self, reference: u32, offset: usize) -> Option<&Word32> {
        let part = self.part(reference, offset, size_of::<u32>())?;
        // SAFETY: In an entry, which by the type invariant is mapped and accessed atomically.
        Some(unsafe { Word32::at(part) })
    }

    #[inline]
    fn entry_u64(&self, reference: u32, offset: usize) -> Option<&Word64> {
        let part = self.part(reference, offset, size_of::<u64>())?;
        // SAFETY: In an entry, which by the type invariant is mapped and accessed atomically.
        Some(unsafe { Word64::at(part) })
    }

    #[inline]
    fn status_u16(&self, reference: u32) -> Option<&Word16> {
        if reference >= self.size || self.version != Version::V2 {
            return None;
        }
        let at = (reference as usize).wrapping_mul(STATUS_SIZE);
        // SAFETY: By the type invariant each entry of version 2 has a status word.
        Some(unsafe { Word16::at(self.status.wrapping_add(at)) })
    }
}

/// The version of the table.
#[inline]
pub(crate) fn version() -> Version {
    match VERSION.load(Relaxed) {
        2 => Version::V2,
        _ => Version::V1,
    }
}

/// How many entries are mapped.
pub(crate) fn size() -> u32 {
    SIZE.load(Acquire)
}

/// Where a table lies.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Its entries.
    pub(crate) entries: *mut u8,
    /// Its status words; null in version 1.
    pub(crate) status: *mut u8,
}

/// Makes a table known, or its growth.
///
/// # Safety
///
/// - So many entries of this version are mapped at the place, and status words in version 2. They
///   stay, but between suspend and resume.
/// - The version and the place are those of before, or no other code of this object runs.
pub(crate) unsafe fn publish(version: Version, place: Place, size: u32) {
    ENTRIES.store(place.entries, Relaxed);
    STATUS.store(place.status, Relaxed);
    VERSION.store(version.number(), Relaxed);
    SIZE.store(size, Release);
}
