// SPDX-License-Identifier: GPL-2.0

//! The words of a grant table, as one of the sides reaches them.

use crate::Version;
use core::mem::offset_of;
use xen_abi::grant_table::{flag, EntryV1, EntryV2, EntryV2SubPage};
use xen_shared::SharedWord;

/// Status bits, which the hypervisor sets while a grant is in use: among the flags in version 1, in
/// the status word in version 2.
pub const STATUS_BITS: u16 = flag::READING | flag::WRITING;

/// A grant table in memory.
///
/// Functions return `None` for a reference beyond the table, which may be any number. Offsets are in
/// bytes from the entry's start, lie within the entry and suit the width.
pub trait GrantTable {
    /// A word of 16 bits.
    type U16<'a>: SharedWord<Value = u16>
    where
        Self: 'a;
    /// A word of 32 bits.
    type U32<'a>: SharedWord<Value = u32>
    where
        Self: 'a;
    /// A word of 64 bits.
    type U64<'a>: SharedWord<Value = u64>
    where
        Self: 'a;

    /// The version of the table's entries.
    fn version(&self) -> Version;

    /// 16 bits of an entry.
    fn entry_u16(&self, reference: u32, offset: usize) -> Option<Self::U16<'_>>;

    /// 32 bits of an entry.
    fn entry_u32(&self, reference: u32, offset: usize) -> Option<Self::U32<'_>>;

    /// 64 bits of an entry.
    fn entry_u64(&self, reference: u32, offset: usize) -> Option<Self::U64<'_>>;

    /// The status word of an entry of version 2. Not asked for in version 1.
    fn status_u16(&self, reference: u32) -> Option<Self::U16<'_>>;
}

/// The flags of an entry: both versions have them at its start.
#[inline]
pub(crate) fn flags<T: GrantTable>(table: &T, reference: u32) -> Option<T::U16<'_>> {
    table.entry_u16(reference, offset_of!(EntryV1, flags))
}

/// The domain of an entry: both versions have it behind the flags.
#[inline]
pub(crate) fn domid<T: GrantTable>(table: &T, reference: u32) -> Option<T::U16<'_>> {
    table.entry_u16(reference, offset_of!(EntryV1, domid))
}

/// Flags and domain in one word.
#[inline]
pub(crate) fn header<T: GrantTable>(table: &T, reference: u32) -> Option<T::U32<'_>> {
    table.entry_u32(reference, offset_of!(EntryV1, flags))
}

/// The frame of an entry of version 1.
#[inline]
pub(crate) fn frame_v1<T: GrantTable>(table: &T, reference: u32) -> Option<T::U32<'_>> {
    table.entry_u32(reference, offset_of!(EntryV1, frame))
}

/// The frame of an entry of version 2.
#[inline]
pub(crate) fn frame_v2<T: GrantTable>(table: &T, reference: u32) -> Option<T::U64<'_>> {
    table.entry_u64(reference, offset_of!(EntryV2, frame))
}

/// Offset and length of what an entry of version 2 grants, in one word.
#[inline]
pub(crate) fn part<T: GrantTable>(table: &T, reference: u32) -> Option<T::U32<'_>> {
    table.entry_u32(reference, offset_of!(EntryV2SubPage, page_off))
}

/// The word with the status bits.
#[inline]
pub(crate) fn status<T: GrantTable>(table: &T, reference: u32) -> Option<T::U16<'_>> {
    match table.version() {
        Version::V1 => flags(table, reference),
        Version::V2 => table.status_u16(reference),
    }
}

/// The word of flags and domain, in memory order, which is that of x86 and Arm.
#[inline]
pub(crate) const fn split(header: u32) -> (u16, u16) {
    (header as u16, (header >> 16) as u16)
}
