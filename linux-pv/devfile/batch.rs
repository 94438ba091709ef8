// SPDX-License-Identifier: GPL-2.0

//! The result of mapping a list of frames, and how the two versions of the request report it.

use xen_abi::{
    errno::ENOENT,
    linux::privcmd::{
        MMAPBATCH_MFN_ERROR,
        MMAPBATCH_PAGED_ERROR, //
    },
};

/// Frames that are mapped at a time: as many as there are numbers in a page.
pub const CHUNK: usize = 512;

/// The result of mapping all chunks of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Summary {
    /// Every frame is mapped.
    #[default]
    Complete,
    /// Some are not.
    Partial,
    /// Some are not, and a chunk ended with one that is paged out: the process should try again.
    PagedOut,
}

impl Summary {
    /// Adds what the kernel returned for a chunk: how many frames are mapped, or the error of the
    /// last frame.
    pub fn add(&mut self, frames: usize, returned: i32) {
        if returned == -ENOENT {
            *self = Summary::PagedOut;
        } else if usize::try_from(returned) != Ok(frames) && *self == Summary::Complete {
            *self = Summary::Partial;
        }
    }
}

/// Makes sure that a chunk for which the kernel returned an error has one: it may have failed
/// before the first frame, for lack of memory. Which frames are mapped is not known then, so all
/// count as not mapped.
pub fn settle(errors: &mut [i32], returned: i32) {
    if returned < 0 && errors.iter().all(|error| *error == 0) {
        errors.fill(returned);
    }
}

/// The value that the first version of the request writes in place of a frame's number; `None` if
/// the number stays. The mark is in the low 32 bits.
pub fn marked(frame: u64, error: i32) -> Option<u64> {
    let mark = match -error {
        0 => return None,
        ENOENT => MMAPBATCH_PAGED_ERROR,
        _ => MMAPBATCH_MFN_ERROR,
    };
    Some(frame | u64::from(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen_abi::errno::EINVAL;

    #[test]
    fn one_chunk_that_is_paged_out_asks_for_another_try() {
        let mut summary = Summary::default();
        summary.add(512, 512);
        assert_eq!(summary, Summary::Complete);
        summary.add(512, 511);
        assert_eq!(summary, Summary::Partial);
        summary.add(512, -ENOENT);
        assert_eq!(summary, Summary::PagedOut);
        summary.add(3, -EINVAL);
        summary.add(3, 3);
        assert_eq!(summary, Summary::PagedOut);
    }

    #[test]
    fn any_error_makes_a_chunk_incomplete() {
        for returned in [-EINVAL, 0, 6, 8, i32::MIN] {
            let mut summary = Summary::default();
            summary.add(7, returned);
            assert_eq!(summary, Summary::Partial, "{returned}");
        }
    }

    #[test]
    fn no_error_goes_untold() {
        let mut errors = [0, 0];
        settle(&mut errors, 2);
        assert_eq!(errors, [0, 0]);
        settle(&mut errors, -ENOENT);
        assert_eq!(errors, [-ENOENT, -ENOENT]);
        let mut errors = [0, -EINVAL];
        settle(&mut errors, -EINVAL);
        assert_eq!(errors, [0, -EINVAL]);
    }

    #[test]
    fn marks_are_those_of_the_header() {
        assert_eq!(marked(0x1234, 0), None);
        assert_eq!(marked(0x1234, -ENOENT), Some(0x8000_1234));
        assert_eq!(marked(0x1234, -EINVAL), Some(0xf000_1234));
        assert_eq!(marked(0x1_0000_0000, i32::MIN + 1), Some(0x1_f000_0000));
        // Bits that the number has already stay.
        assert_eq!(marked(0xf000_1234, -ENOENT), Some(0xf000_1234));
    }
}
