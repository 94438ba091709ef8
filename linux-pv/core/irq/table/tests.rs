// SPDX-License-Identifier: GPL-2.0

//! What the table says of each interrupt.

use super::*;
use crate::book::{Requested, Source};
use std::string::{String, ToString};

struct Shown<'a>(Row<'a>, Way);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(self.1, f)
    }
}

fn words(row: Row<'_>, way: Way) -> String {
    let text = Shown(row, way).to_string();
    assert!(text.ends_with('\n'));
    text.split_whitespace()
        .collect::<std::vec::Vec<_>>()
        .join(" ")
}

fn entry(line: Line, setup: Setup) -> Option<Entry> {
    let requested = Requested {
        line,
        source: Source::Prt,
    };
    Some(Entry {
        first: requested,
        last: requested,
        setup,
    })
}

const EDGE: Line = Line::new(false, false);

fn good() -> Row<'static> {
    Row {
        device: "0000:00:1f.2",
        pin: Pin::Line(1),
        gsi: Some(16),
        entry: entry(Line::PCI, Setup::Taken),
        programmed: Some(Programmed {
            line: Line::PCI,
            masked: false,
        }),
        pirq: Some(16),
        port: Some(43),
        irq: Some(17),
        handled: true,
        cpu: Some(1),
        count: 2113,
    }
}

#[test]
fn a_row_reads_from_the_device_to_the_count() {
    assert_eq!(
        words(good(), Way::SamePirqs),
        "0000:00:1f.2 A 16 level,low(_PRT) level,low 16 43 17 1 2113"
    );
    let message = Row {
        pin: Pin::MsiX(3),
        gsi: None,
        entry: None,
        programmed: None,
        pirq: Some(55),
        ..good()
    };
    assert_eq!(
        words(message, Way::SamePirqs),
        "0000:00:1f.2 msix3 - - - 55 43 17 1 2113"
    );
    let columns = |text: &str| text.find("level").unwrap();
    let text = Shown(good(), Way::SamePirqs).to_string();
    struct Head;
    impl fmt::Display for Head {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_head(f)
        }
    }
    assert_eq!(Head.to_string().find("requested"), Some(columns(&text)));
}

#[test]
fn what_the_hypervisor_does_not_tell_is_said_as_such() {
    let row = |setup| Row {
        programmed: None,
        entry: entry(Line::PCI, setup),
        ..good()
    };
    assert!(words(row(Setup::Taken), Way::SamePirqs).contains(" level,low(_PRT) level,low 16 "));
    assert!(words(row(Setup::Kept), Way::SamePirqs).contains(" level,low(_PRT) kept 16 "));
    assert!(words(row(Setup::None), Way::SamePirqs).contains(" level,low(_PRT) - 16 "));
    let kept = Row {
        entry: entry(Line::PCI, Setup::Kept),
        ..good()
    };
    assert!(words(kept, Way::SamePirqs).contains(" level,low,kept 16 "));
}

#[test]
fn what_does_not_fit_is_marked_with_the_first_reason() {
    let marked = |row: Row<'_>| row.mismatch(Way::SamePirqs);
    assert_eq!(marked(good()), None);
    let otherwise = Row {
        programmed: Some(Programmed {
            line: EDGE,
            masked: false,
        }),
        ..good()
    };
    assert_eq!(marked(otherwise), Some(Mismatch::Programmed(Line::PCI)));
    assert!(words(otherwise, Way::SamePirqs)
        .ends_with(" ! requested as level,low, programmed otherwise"));
    let mut disputed = otherwise;
    if let Some(entry) = &mut disputed.entry {
        entry.first.line = EDGE;
    }
    assert_eq!(marked(disputed), Some(Mismatch::Disputed(EDGE, Line::PCI)));
    let refused = Row {
        entry: entry(Line::PCI, Setup::Refused(-22)),
        ..good()
    };
    assert_eq!(marked(refused), Some(Mismatch::Refused(-22)));
    assert_eq!(
        marked(Row {
            pirq: Some(40),
            ..good()
        }),
        Some(Mismatch::OtherPirq)
    );
    assert_eq!(
        Row {
            pirq: Some(40),
            ..good()
        }
        .mismatch(Way::Pirqs),
        None
    );
    assert_eq!(
        marked(Row {
            pirq: None,
            port: None,
            ..good()
        }),
        Some(Mismatch::NoPirq)
    );
    assert_eq!(
        marked(Row {
            port: None,
            ..good()
        }),
        Some(Mismatch::NoPort)
    );
}

#[test]
fn every_pin_and_every_mismatch_has_its_words() {
    let pins = [
        (Pin::None, "-"),
        (Pin::Line(0), "-"),
        (Pin::Line(1), "A"),
        (Pin::Line(4), "D"),
        (Pin::Line(5), "-"),
        (Pin::Msi(0), "msi0"),
        (Pin::MsiX(2047), "msix2047"),
    ];
    for (pin, word) in pins {
        assert_eq!(pin.to_string(), word);
        assert_eq!(std::format!("{pin:<9}|"), std::format!("{word:<9}|"));
    }
    let mismatches = [
        (Mismatch::Refused(-22), "the hypervisor refused: -22"),
        (
            Mismatch::Disputed(EDGE, Line::PCI),
            "requested as edge,high first, as level,low last",
        ),
        (
            Mismatch::Programmed(EDGE),
            "requested as edge,high, programmed otherwise",
        ),
        (Mismatch::OtherPirq, "the pirq is not the GSI's"),
        (Mismatch::NoPirq, "handled, but no pirq"),
        (Mismatch::NoPort, "handled, but no event channel"),
    ];
    for (mismatch, words) in mismatches {
        assert_eq!(mismatch.to_string(), words);
    }
}

#[test]
fn a_pin_that_is_masked_is_said_to_be() {
    let masked = Row {
        programmed: Some(Programmed {
            line: Line::PCI,
            masked: true,
        }),
        ..good()
    };
    let shown = words(masked, Way::SamePirqs);
    assert!(shown.contains(" level,low(_PRT) level,low,masked 16 "));
    let kept = Row {
        entry: entry(Line::PCI, Setup::Kept),
        ..masked
    };
    let text = Shown(kept, Way::SamePirqs).to_string();
    assert!(text.contains(" level,low,masked,kept "), "{text}");
}

#[test]
fn what_nothing_is_known_of_is_a_row_of_dashes() {
    let nothing = Row {
        device: "-",
        pin: Pin::None,
        gsi: None,
        entry: None,
        programmed: None,
        pirq: None,
        port: None,
        irq: None,
        handled: false,
        cpu: None,
        count: 0,
    };
    let shown = words(nothing, Way::SamePirqs);
    assert_eq!(shown, "- - - - - - - - - 0");
    // A pirq without a line, and a line without a pirq that nobody handles, are as they should be.
    for row in [
        Row {
            pirq: Some(5),
            ..nothing
        },
        Row {
            gsi: Some(5),
            ..nothing
        },
    ] {
        assert_eq!(row.mismatch(Way::SamePirqs), None);
    }
}

#[test]
fn columns_stand_under_their_heads() {
    struct Head;
    impl fmt::Display for Head {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_head(f)
        }
    }
    let (head, row) = (Head.to_string(), Shown(good(), Way::SamePirqs).to_string());
    for (name, value) in [
        ("device", "0000:00:1f.2"),
        ("pin", "A "),
        ("GSI", "16 "),
        ("requested", "level,low(_PRT)"),
        ("programmed", "level,low "),
        ("pirq", "16    43"),
        ("port", "43"),
        ("IRQ", "17"),
        ("CPU", "1   2113"),
        ("count", "2113"),
    ] {
        assert_eq!(head.find(name), row.find(value), "{head}{row}");
    }
    assert!(head.ends_with("count\n") && row.ends_with("2113\n"));
}

#[test]
fn a_text_that_is_too_long_for_its_cell_is_cut() {
    let mut cell = Cell::default();
    for text in ["0123456789abcdef", "0123456789abcdef", "more"] {
        assert!(fmt::Write::write_str(&mut cell, text).is_ok());
    }
    assert_eq!(cell.text(), "0123456789abcdef0123456789abcdef");
}

#[test]
fn links_that_nobody_needs_may_be_missing() {
    let idle = Row {
        port: None,
        handled: false,
        count: 0,
        ..good()
    };
    assert_eq!(idle.mismatch(Way::SamePirqs), None);
    let virtual_machine = Row {
        pirq: None,
        port: None,
        ..good()
    };
    assert_eq!(virtual_machine.mismatch(Way::Controllers), None);
}
