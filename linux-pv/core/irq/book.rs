// SPDX-License-Identifier: GPL-2.0

//! What was asked for each interrupt line, and what came of it: for the bring-up table.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::gsi::Setup;
use crate::line::Line;

/// Who said how a line is triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The MADT: an override, or what it means by having none.
    Madt,
    /// A PCI device's entry in `_PRT`, or the link device that it names.
    Prt,
    /// Something else of ACPI: a device's `_CRS`, the FADT.
    Acpi,
}

impl Source {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Madt => "MADT",
            Self::Prt => "_PRT",
            Self::Acpi => "ACPI",
        }
    }
}

/// What somebody requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested {
    /// What.
    pub line: Line,
    /// Who.
    pub source: Source,
}

/// What is known of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was requested first.
    pub first: Requested,
    /// What was requested last.
    pub last: Requested,
    /// What the hypervisor made of it when it was told first; later calls find it set up.
    pub setup: Setup,
}

impl Entry {
    /// Whether two who share the line do not agree about it.
    pub fn is_disputed(&self) -> bool {
        self.first.line != self.last.line
    }
}

/// Bits of [`Entry`] in a word: two times 4 for what was requested, 2 for what was made of it, 12 for an error number, and 1 that
/// says that there is something.
const USED: u64 = 1 << 63;

fn pack_requested(requested: Requested) -> u64 {
    let source = match requested.source {
        Source::Madt => 0,
        Source::Prt => 1,
        Source::Acpi => 2,
    };
    u64::from(requested.line.is_level()) | u64::from(requested.line.is_low()) << 1 | source << 2
}

fn unpack_requested(bits: u64) -> Requested {
    Requested {
        line: Line::new(bits & 1 != 0, bits & 2 != 0),
        source: match bits >> 2 & 3 {
            0 => Source::Madt,
            1 => Source::Prt,
            _ => Source::Acpi,
        },
    }
}

fn pack(entry: &Entry) -> u64 {
    let (setup, error) = match entry.setup {
        Setup::None => (0, 0),
        Setup::Taken => (1, 0),
        Setup::Kept => (2, 0),
        // Error numbers are below 4096 (MAX_ERRNO).
        Setup::Refused(error) => (3, u64::from(error.unsigned_abs() & 0xfff)),
    };
    USED | pack_requested(entry.first) | pack_requested(entry.last) << 4 | setup << 8 | error << 10
}

fn unpack(bits: u64) -> Option<Entry> {
    (bits & USED != 0).then(|| Entry {
        first: unpack_requested(bits),
        last: unpack_requested(bits >> 4),
        setup: match bits >> 8 & 3 {
            0 => Setup::None,
            1 => Setup::Taken,
            2 => Setup::Kept,
            _ => Setup::Refused(-((bits >> 10 & 0xfff) as i32)),
        },
    })
}

/// The entries of the lines below `N`. Lines beyond are not in it.
pub struct Book<const N: usize>([AtomicU64; N]);

impl<const N: usize> Book<N> {
    /// Empty.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }

    /// What is known of a line.
    pub fn get(&self, gsi: u32) -> Option<Entry> {
        unpack(self.0.get(gsi as usize)?.load(Relaxed))
    }

    /// Notes what somebody wants of a line, and what the hypervisor made of it. What the MADT says at the start is forgotten
    /// when somebody asks who knows the device.
    pub fn note(&self, gsi: u32, requested: Requested, setup: Setup) {
        let Some(word) = self.0.get(gsi as usize) else {
            return;
        };
        let change = |bits| {
            let entry = match unpack(bits) {
                Some(old) if old.first.source != Source::Madt => Entry {
                    first: old.first,
                    last: requested,
                    // The second who asks is told that it is set up already: by the first.
                    setup: match (old.setup, setup) {
                        (Setup::Taken, Setup::Kept) => Setup::Taken,
                        _ => setup,
                    },
                },
                _ => Entry {
                    first: requested,
                    last: requested,
                    setup,
                },
            };
            Some(pack(&entry))
        };
        let _ = word.fetch_update(Relaxed, Relaxed, change);
    }

    /// The lines that something is known of.
    pub fn lines(&self) -> impl Iterator<Item = (u32, Entry)> + '_ {
        (0..N as u32).filter_map(|gsi| Some((gsi, self.get(gsi)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn requested(line: Line, source: Source) -> Requested {
        Requested { line, source }
    }

    const EDGE: Line = Line::new(false, false);

    #[test]
    fn who_knows_the_device_is_believed() {
        let book = Book::<24>::new();
        assert_eq!(book.get(9), None);
        book.note(9, requested(EDGE, Source::Madt), Setup::None);
        book.note(9, requested(Line::PCI, Source::Acpi), Setup::Taken);
        let entry = book.get(9).unwrap();
        assert_eq!(
            (entry.first, entry.last),
            (
                requested(Line::PCI, Source::Acpi),
                requested(Line::PCI, Source::Acpi)
            )
        );
        assert!(!entry.is_disputed());
        assert_eq!(
            book.lines()
                .map(|(gsi, _)| gsi)
                .collect::<std::vec::Vec<_>>(),
            [9]
        );
    }

    #[test]
    fn two_who_disagree_are_both_remembered() {
        let book = Book::<24>::new();
        book.note(21, requested(EDGE, Source::Acpi), Setup::Taken);
        book.note(21, requested(Line::PCI, Source::Prt), Setup::Kept);
        let entry = book.get(21).unwrap();
        assert!(entry.is_disputed());
        assert_eq!(
            (entry.first.line, entry.last.line, entry.setup),
            (EDGE, Line::PCI, Setup::Taken)
        );
        book.note(21, requested(EDGE, Source::Prt), Setup::Refused(-22));
        assert_eq!(book.get(21).unwrap().setup, Setup::Refused(-22));
    }

    #[test]
    fn lines_beyond_the_book_do_no_harm() {
        let book = Book::<24>::new();
        book.note(24, requested(EDGE, Source::Prt), Setup::Taken);
        book.note(u32::MAX, requested(EDGE, Source::Prt), Setup::Taken);
        assert_eq!((book.get(24), book.lines().count()), (None, 0));
    }

    fn any_requested() -> impl Strategy<Value = Requested> {
        const SOURCES: [Source; 3] = [Source::Madt, Source::Prt, Source::Acpi];
        let parts = (
            any::<bool>(),
            any::<bool>(),
            proptest::sample::select(&SOURCES[..]),
        );
        parts.prop_map(|(level, low, source)| requested(Line::new(level, low), source))
    }

    proptest! {
        // Not by what was unpacked: a mistake there would be made twice.
        #[test]
        fn what_is_written_is_read(
            first in any_requested(),
            last in any_requested(),
            setup in 0u8..4,
            error in 1i32..4096,
        ) {
            let setup = match setup {
                0 => Setup::None,
                1 => Setup::Taken,
                2 => Setup::Kept,
                _ => Setup::Refused(-error),
            };
            let entry = Entry { first, last, setup };
            prop_assert_eq!(unpack(pack(&entry)), Some(entry));
        }
    }
}
