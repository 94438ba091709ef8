// SPDX-License-Identifier: GPL-2.0

//! Where in its address space a process may map frames of another domain.

/// Bytes of a page and of a frame.
pub const PAGE: u64 = 4096;

/// Whole pages of an address space, which do not wrap around its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u64,
    pages: u64,
}

impl Span {
    /// `pages` pages from the one on that `address` is in; `None` if that is beyond the end.
    pub fn new(address: u64, pages: u64) -> Option<Self> {
        let start = address & !(PAGE - 1);
        start.checked_add(pages.checked_mul(PAGE)?)?;
        Some(Self { start, pages })
    }

    /// The address of its first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The address after its last byte.
    pub fn end(&self) -> u64 {
        self.start + self.pages * PAGE
    }

    /// The number of its pages.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Whether all of `part` is in it.
    pub fn contains(&self, part: &Span) -> bool {
        self.start <= part.start && part.end() <= self.end()
    }
}

/// The part of an area that a list of frames may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The area is new and is filled as a whole.
    Whole,
    /// Holes of an area are filled that could not be filled before; each page of them must be
    /// empty.
    Holes,
}

/// Whether frames may be mapped to `wanted`, at `address`, in an area of the process's that has
/// been `used` before or not.
///
/// The first request has to fill all of an area. Later ones may fill pages that are still empty.
pub fn claim(area: Span, used: bool, address: u64, wanted: Span) -> Option<Claim> {
    if used {
        // The address need not be that of a page, but what it leaves of the first page counts at
        // the end.
        let end = address.checked_add(wanted.pages * PAGE)?;
        let inside = area.contains(&wanted) && end <= area.end();
        inside.then_some(Claim::Holes)
    } else {
        (address == area.start && wanted == area).then_some(Claim::Whole)
    }
}

/// Ranges of frames that follow each other in an area, as the oldest request has them.
#[derive(Clone, Copy, Debug)]
pub struct Ranges {
    next: u64,
    end: u64,
}

impl Ranges {
    /// Those of an area, from its beginning on.
    pub fn of(area: Span) -> Self {
        Self {
            next: area.start,
            end: area.end(),
        }
    }

    /// The next range; `None` if it does not follow the one before, or ends outside the area.
    pub fn next(&mut self, address: u64, pages: u64) -> Option<Span> {
        let span = Span::new(address, pages)?;
        if address != self.next || span.end() > self.end {
            return None;
        }
        self.next = span.end();
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(page: u64, pages: u64) -> Span {
        Span::new(page * PAGE, pages).unwrap()
    }

    #[test]
    fn a_span_does_not_wrap() {
        assert!(Span::new(u64::MAX, 1).is_none(), "its end would be 2^64");
        assert!(Span::new(0, u64::MAX).is_none());
        assert!(Span::new(PAGE, u64::MAX / PAGE).is_none());
        assert!(Span::new(0, u64::MAX / PAGE).is_some());
        assert_eq!(Span::new(PAGE + 1, 1), Some(span(1, 1)));
        let three = span(5, 3);
        assert_eq!(
            (three.start(), three.end(), three.pages()),
            (0x5000, 0x8000, 3)
        );
    }

    #[test]
    fn a_span_contains_what_begins_and_ends_in_it() {
        let area = span(10, 4);
        for (page, pages, inside) in [
            (10, 4, true),
            (10, 1, true),
            (13, 1, true),
            (10, 0, true),
            (14, 0, true),
            (9, 1, false),
            (9, 6, false),
            (10, 5, false),
            (13, 2, false),
            (15, 0, false),
        ] {
            assert_eq!(
                area.contains(&span(page, pages)),
                inside,
                "{pages} at {page}"
            );
        }
    }

    #[test]
    fn a_new_area_is_filled_as_a_whole_or_not_at_all() {
        let area = span(10, 4);
        let at = |page, pages| claim(area, false, page * PAGE, span(page, pages));
        assert_eq!(at(10, 4), Some(Claim::Whole));
        for (page, pages) in [(10, 3), (10, 5), (11, 3), (9, 5), (10, 0)] {
            assert_eq!(at(page, pages), None, "{pages} at {page}");
        }
        assert_eq!(claim(area, false, 10 * PAGE + 8, area), None);
    }

    #[test]
    fn holes_are_within_the_area() {
        let area = span(10, 4);
        let at = |page, pages| claim(area, true, page * PAGE, span(page, pages));
        for (page, pages) in [(10, 4), (11, 2), (13, 1), (14, 0)] {
            assert_eq!(at(page, pages), Some(Claim::Holes), "{pages} at {page}");
        }
        let odd = |page, pages| claim(area, true, page * PAGE + 8, span(page, pages));
        assert_eq!(odd(11, 2), Some(Claim::Holes));
        assert_eq!(odd(11, 3), None);
        for (page, pages) in [(9, 1), (13, 2), (14, 1), (0, 100)] {
            assert_eq!(at(page, pages), None, "{pages} at {page}");
        }
    }

    #[test]
    fn ranges_follow_each_other_up_to_the_end() {
        let mut ranges = Ranges::of(span(10, 4));
        assert_eq!(ranges.next(10 * PAGE, 1), Some(span(10, 1)));
        assert_eq!(ranges.next(10 * PAGE, 1), None, "the same again");
        assert_eq!(ranges.next(12 * PAGE, 1), None, "a gap");
        assert_eq!(ranges.next(11 * PAGE, 0), Some(span(11, 0)));
        assert_eq!(ranges.next(11 * PAGE, 4), None, "beyond the end");
        assert_eq!(ranges.next(11 * PAGE, u64::MAX), None, "around the end");
        assert_eq!(ranges.next(11 * PAGE, 3), Some(span(11, 3)));
    }
}
