// SPDX-License-Identifier: GPL-2.0

//! Offsets in a file at which a process maps what it has announced.

/// The first page for `count` pages among those that are taken, which are in ascending order, each
/// a first page and a number of pages: in the first gap that is larger than needed, or else at the
/// end. `None` if there is no room at the end.
pub fn first_fit(taken: impl IntoIterator<Item = (u64, u64)>, count: u64) -> Option<u64> {
    let mut first = 0u64;
    for (start, pages) in taken {
        if first.checked_add(count)? < start {
            break;
        }
        first = start.checked_add(pages)?;
    }
    first.checked_add(count)?;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_given_out_one_after_the_other() {
        assert_eq!(first_fit([], 4), Some(0));
        assert_eq!(first_fit([(0, 4)], 2), Some(4));
        assert_eq!(first_fit([(0, 4), (4, 2)], 1), Some(6));
    }

    #[test]
    fn a_gap_is_used_again_if_it_is_larger_than_needed() {
        assert_eq!(first_fit([(4, 2)], 3), Some(0));
        assert_eq!(first_fit([(4, 2)], 4), Some(6));
        assert_eq!(first_fit([(0, 2), (5, 1)], 2), Some(2));
        assert_eq!(first_fit([(0, 2), (5, 1)], 3), Some(6));
    }

    #[test]
    fn offsets_do_not_wrap() {
        assert_eq!(first_fit([(u64::MAX - 1, 1)], u64::MAX), None);
        assert_eq!(first_fit([(0, u64::MAX)], 1), None);
    }
}
