// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's half: to check that an entry allows a use, to mark the use, and to end it.
//!
//! What an entry granted when its first use began holds as long as it is in use: the caller keeps
//! it, with the [`Pins`], and does not read it again. An entry in use is read only to see whether
//! its first write is allowed.

use crate::entry::{self, split, GrantTable, STATUS_BITS};
use crate::Version;
use xen_abi::grant_table::{flag, status};
use xen_abi::PAGE_SIZE;
use xen_shared::SharedWord;

/// Attempts at an entry of version 1 that the guest keeps changing.
pub const MAX_ATTEMPTS: u32 = 5;

/// Most uses of each kind of a grant at the same time.
pub const MAX_PINS: u32 = u16::MAX as u32;

/// The status of an operation that failed (`GNTST_*`, negative).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GntStatus(pub i16);

/// How a grant is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The domain that uses it.
    pub user: u16,
    /// It does not write.
    pub readonly: bool,
    /// It maps the page, which a grant of a part of one does not allow.
    pub map: bool,
}

/// What an entry grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The frame, by the granting guest's number.
    pub frame: u64,
    /// Offset of the first byte.
    pub start: u16,
    /// Number of bytes.
    pub length: u16,
    /// Less than a page is granted: it can be copied, but not mapped.
    pub sub_page: bool,
}

/// How often a grant is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// Number of read-only uses.
    pub readers: u32,
    /// Number of writable uses.
    pub writers: u32,
}

impl Pins {
    /// Counts a use.
    pub fn pin(&mut self, readonly: bool) {
        let count = self.count_of(readonly);
        *count = count.saturating_add(1);
    }

    /// Ends a use. One that was not counted ends nothing.
    pub fn unpin(&mut self, readonly: bool) {
        let count = self.count_of(readonly);
        *count = count.saturating_sub(1);
    }

    fn count_of(&mut self, readonly: bool) -> &mut u32 {
        if readonly {
            &mut self.readers
        } else {
            &mut self.writers
        }
    }

    /// Whether the grant is not in use.
    pub fn is_idle(self) -> bool {
        self.readers == 0 && self.writers == 0
    }

    /// Whether no further use can be counted.
    fn is_full(self) -> bool {
        self.readers >= MAX_PINS || self.writers >= MAX_PINS
    }

    /// The status bits that no use needs.
    fn unneeded(self) -> u16 {
        match self {
            _ if self.is_idle() => STATUS_BITS,
            Self { writers: 0, .. } => flag::WRITING,
            _ => 0,
        }
    }
}

/// A grant that is in use already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUseBy {
    /// The domain that uses it.
    pub user: u16,
    /// Less than a page is granted.
    pub sub_page: bool,
    /// The uses.
    pub pins: Pins,
}

/// Checks that an entry allows a use, and sets its status bits. Returns what it grants, or `None` if
/// the grant is in use already and its status bits need no change.
///
/// # Errors
///
/// The `GNTST_*` status for the caller. No status bit is left that was not set before.
pub fn set_status(
    table: &impl GrantTable,
    reference: u32,
    wanted: Use,
    active: Option<InUseBy>,
) -> Result<Option<Granted>, GntStatus> {
    let header = entry::header(table, reference).ok_or(GntStatus(status::BAD_GNTREF))?;
    if let Some(active) = active {
        let denied = active.user != wanted.user || (wanted.map && active.sub_page);
        if denied || active.pins.is_full() {
            return Err(GntStatus(status::GENERAL_ERROR));
        }
        if wanted.readonly || active.pins.writers > 0 {
            return Ok(None);
        }
    }
    let in_use = active.is_some();
    let flags = match table.version() {
        Version::V1 => set_status_v1(&header, in_use, wanted),
        Version::V2 => {
            let word = table.status_u16(reference);
            word.and_then(|word| set_status_v2(&header, &word, in_use, wanted))
        }
    };
    let flags = flags.ok_or(GntStatus(status::GENERAL_ERROR))?;
    read_frame(table, reference, flags).map(Some)
}

/// Whether the first word of an entry allows a use. One in use allows further ones, but for a first
/// write.
fn allows(header: u32, in_use: bool, wanted: Use) -> bool {
    let (flags, domid) = split(header);
    let mask = flag::TYPE_MASK | if wanted.map { flag::SUB_PAGE } else { 0 };
    let allowed = in_use || (flags & mask == flag::PERMIT_ACCESS && domid == wanted.user);
    allowed && (wanted.readonly || flags & flag::READONLY == 0)
}

const fn status_bits(readonly: bool) -> u16 {
    if readonly {
        flag::READING
    } else {
        STATUS_BITS
    }
}

/// Check and mark are one operation on the word that has both. Returns the flags that were checked.
fn set_status_v1(header: &impl SharedWord<Value = u32>, in_use: bool, wanted: Use) -> Option<u16> {
    let mut word = header.load();
    for _ in 0..MAX_ATTEMPTS {
        if !allows(word, in_use, wanted) {
            return None;
        }
        let marked = word | u32::from(status_bits(wanted.readonly));
        match header.compare_exchange(word, marked) {
            Ok(_) => return Some(split(word).0),
            Err(now) => word = now,
        }
    }
    None
}

/// Sets the status bits first and checks the entry again: the guest revokes by clearing the entry
/// and then reading the status. Returns the flags that were checked last.
fn set_status_v2(
    header: &impl SharedWord<Value = u32>,
    status: &impl SharedWord<Value = u16>,
    in_use: bool,
    wanted: Use,
) -> Option<u16> {
    if !allows(header.load(), in_use, wanted) {
        return None;
    }
    status.fetch_or(status_bits(wanted.readonly));
    let now = header.load();
    if allows(now, in_use, wanted) {
        return Some(split(now).0);
    }
    status.fetch_clear(if in_use { flag::WRITING } else { STATUS_BITS });
    None
}

fn read_frame(table: &impl GrantTable, reference: u32, flags: u16) -> Result<Granted, GntStatus> {
    let none = GntStatus(status::BAD_GNTREF);
    let whole = |frame| Granted {
        frame,
        start: 0,
        length: PAGE_SIZE as u16,
        sub_page: false,
    };
    if table.version() == Version::V1 {
        let frame = entry::frame_v1(table, reference).ok_or(none)?.load();
        return Ok(whole(frame.into()));
    }
    let frame = entry::frame_v2(table, reference).ok_or(none)?.load();
    if flags & flag::SUB_PAGE == 0 {
        return Ok(whole(frame));
    }
    // Offset and length in one read, so that they belong together.
    let (start, length) = split(entry::part(table, reference).ok_or(none)?.load());
    Ok(Granted {
        frame,
        start,
        length,
        sub_page: true,
    })
}

/// Clears those status bits of an entry that no use needs.
pub fn reduce_status(table: &impl GrantTable, reference: u32, pins: Pins) {
    let unneeded = pins.unneeded();
    let word = entry::status(table, reference).filter(|_| unneeded != 0);
    if let Some(word) = word {
        word.fetch_clear(unneeded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_bits_are_needed_as_long_as_there_is_such_a_use() {
        let mut pins = Pins::default();
        assert!(pins.is_idle());
        assert_eq!(pins.unneeded(), STATUS_BITS);
        pins.pin(true);
        assert_eq!((pins.unneeded(), pins.is_idle()), (flag::WRITING, false));
        pins.pin(false);
        assert_eq!((pins.readers, pins.writers, pins.unneeded()), (1, 1, 0));
        // A writer needs READING too.
        pins.unpin(true);
        assert_eq!(pins.unneeded(), 0);
        // A use that was not counted.
        pins.unpin(true);
        assert_eq!((pins.readers, pins.writers), (0, 1));
        pins.unpin(false);
        assert!(pins.is_idle());
    }

    #[test]
    fn uses_are_counted_up_to_a_limit() {
        let pins = |readers, writers| Pins { readers, writers };
        assert!(!pins(MAX_PINS - 1, MAX_PINS - 1).is_full());
        assert!(pins(MAX_PINS, 0).is_full() && pins(0, MAX_PINS).is_full());
        let mut most = pins(u32::MAX, 0);
        most.pin(true);
        assert_eq!(most.readers, u32::MAX);
    }
}
