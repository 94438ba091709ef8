// SPDX-License-Identifier: GPL-2.0

//! How large the parts of a grant table are.
//!
//! Every number of frames is rounded up here, and nowhere else, so that a table of any limit has a
//! place for each of its entries: Linux's C rounds the size of one list down and its use up, and
//! writes beyond it for some limits.

use xen_abi::grant_table::{EntryV1, EntryV2};
use xen_abi::PAGE_SIZE;

/// Bytes of a status word of version 2.
pub const STATUS_SIZE: usize = size_of::<u16>();

/// Status words in a frame.
pub const STATUS_PER_FRAME: u32 = (PAGE_SIZE / STATUS_SIZE) as u32;

/// The version of a table's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 8 bytes: frame numbers have 32 bits, status bits are among the flags.
    V1,
    /// 16 bytes: frame numbers have 64 bits, and status words lie in frames of their own.
    V2,
}

impl Version {
    /// A version as `GNTTABOP_set_version` has it. `None` if there is no such version.
    #[inline]
    pub const fn new(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }

    /// 1 or 2.
    #[inline]
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// Bytes of an entry.
    #[inline]
    pub const fn entry_size(self) -> usize {
        match self {
            Self::V1 => size_of::<EntryV1>(),
            Self::V2 => size_of::<EntryV2>(),
        }
    }

    /// Entries in a frame: 512 or 256.
    #[inline]
    pub const fn entries_per_frame(self) -> u32 {
        (PAGE_SIZE / self.entry_size()) as u32
    }

    /// Entries in so many frames.
    #[inline]
    pub const fn entries(self, frames: u32) -> u32 {
        frames.saturating_mul(self.entries_per_frame())
    }

    /// Frames that have room for so many entries.
    #[inline]
    pub const fn frames_for(self, entries: u32) -> u32 {
        entries.div_ceil(self.entries_per_frame())
    }

    /// Frames of status words of a table of so many frames; none in version 1.
    #[inline]
    pub const fn status_frames(self, frames: u32) -> u32 {
        match self {
            Self::V1 => 0,
            Self::V2 => self.entries(frames).div_ceil(STATUS_PER_FRAME),
        }
    }

    /// Pages for a list with one element of `size` bytes, a power of two and at most a page, for
    /// each entry of a table of so many frames.
    #[inline]
    pub const fn list_pages(self, frames: u32, size: usize) -> u32 {
        match PAGE_SIZE.checked_div(size) {
            Some(per_page) if per_page > 0 => self.entries(frames).div_ceil(per_page as u32),
            _ => self.entries(frames),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_versions() {
        let known = (0..10).filter_map(Version::new);
        assert!(known.map(Version::number).eq([1, 2]));
        assert_eq!(Version::V1.entries_per_frame(), 512);
        assert_eq!(Version::V2.entries_per_frame(), 256);
        assert_eq!(STATUS_PER_FRAME, 2048);
    }

    #[test]
    fn whatever_the_limit_is_everything_has_room_for_all_entries() {
        for version in [Version::V1, Version::V2] {
            for frames in 0..200 {
                let entries = version.entries(frames);
                assert_eq!(version.frames_for(entries), frames);
                assert_eq!(version.frames_for(entries + 1), frames + 1);
                for size in [1, 2, 4, 8] {
                    let pages = version.list_pages(frames, size) as usize;
                    let needed = entries as usize * size;
                    assert!(pages * PAGE_SIZE >= needed, "{version:?} {frames} {size}");
                    assert!(pages * PAGE_SIZE < needed + PAGE_SIZE);
                }
                let words = version.status_frames(frames) * STATUS_PER_FRAME;
                assert!(version == Version::V1 || words >= entries);
            }
            // The limits at which C's list is too short.
            assert_eq!(version.list_pages(1, 4), 1);
        }
        assert_eq!(Version::V1.list_pages(5, 4), 3);
        assert_eq!(Version::V1.list_pages(33, 4), 17);
        assert_eq!(Version::V2.list_pages(5, 4), 2);
        assert_eq!(
            (Version::V2.status_frames(8), Version::V2.status_frames(9)),
            (1, 2)
        );
        assert_eq!(Version::V1.status_frames(9), 0);
        // An element that is no part of a page: one page for each.
        assert_eq!(Version::V2.list_pages(1, 0), 256);
        assert_eq!(Version::V2.list_pages(1, PAGE_SIZE + 1), 256);
        assert_eq!(Version::V2.entries(u32::MAX), u32::MAX);
    }
}
