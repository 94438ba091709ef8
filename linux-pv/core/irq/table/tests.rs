// SPDX-License-Identifier: GPL-2.0

//! What the table says of each interrupt.

use std::string::{
    String,
    ToString, //
};

use crate::requests::{
    Request,
    Source, //
};

use super::*;

struct Displayed<'a>(Row<'a>, Delivery);

impl fmt::Display for Displayed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(self.1, f)
    }
}

fn words(row: Row<'_>, delivery: Delivery) -> String {
    let text = Displayed(row, delivery).to_string();
    assert!(text.ends_with('\n'));
    text.split_whitespace()
        .collect::<std::vec::Vec<_>>()
        .join(" ")
}

fn state(irq_type: IrqType, setup: GsiSetup) -> Option<GsiState> {
    let requested = Request {
        irq_type,
        source: Source::Prt,
    };
    Some(GsiState {
        first: requested,
        last: requested,
        setup,
    })
}

const EDGE: IrqType = IrqType::new(false, false);

fn good() -> Row<'static> {
    Row {
        device: "0000:00:1f.2",
        pin: DeviceInterrupt::IntX(1),
        gsi: Some(16),
        requested: state(IrqType::PCI, GsiSetup::Done),
        programmed: Some(RedirectionEntry {
            irq_type: IrqType::PCI,
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
        words(good(), Delivery::GsiPirqs),
        "0000:00:1f.2 A 16 level,low(_PRT) level,low 16 43 17 1 2113"
    );
    let message = Row {
        pin: DeviceInterrupt::MsiX(3),
        gsi: None,
        requested: None,
        programmed: None,
        pirq: Some(55),
        ..good()
    };
    assert_eq!(
        words(message, Delivery::GsiPirqs),
        "0000:00:1f.2 msix3 - - - 55 43 17 1 2113"
    );
    let columns = |text: &str| text.find("level").unwrap();
    let text = Displayed(good(), Delivery::GsiPirqs).to_string();
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
        requested: state(IrqType::PCI, setup),
        ..good()
    };
    assert!(
        words(row(GsiSetup::Done), Delivery::GsiPirqs).contains(" level,low(_PRT) level,low 16 ")
    );
    let kept = words(row(GsiSetup::Existed), Delivery::GsiPirqs);
    assert!(kept.contains(" level,low(_PRT) kept 16 "));
    assert!(words(row(GsiSetup::None), Delivery::GsiPirqs).contains(" level,low(_PRT) - 16 "));
    let kept = Row {
        requested: state(IrqType::PCI, GsiSetup::Existed),
        ..good()
    };
    assert!(words(kept, Delivery::GsiPirqs).contains(" level,low,kept 16 "));
}

#[test]
fn what_does_not_fit_is_marked_with_the_first_reason() {
    let marked = |row: Row<'_>| row.mismatch(Delivery::GsiPirqs);
    assert_eq!(marked(good()), None);
    let otherwise = Row {
        programmed: Some(RedirectionEntry {
            irq_type: EDGE,
            masked: false,
        }),
        ..good()
    };
    assert_eq!(marked(otherwise), Some(Mismatch::Programmed(IrqType::PCI)));
    assert!(words(otherwise, Delivery::GsiPirqs)
        .ends_with(" ! requested as level,low, programmed otherwise"));
    let mut disputed = otherwise;
    if let Some(state) = &mut disputed.requested {
        state.first.irq_type = EDGE;
    }
    assert_eq!(
        marked(disputed),
        Some(Mismatch::Disputed(EDGE, IrqType::PCI))
    );
    let refused = Row {
        requested: state(IrqType::PCI, GsiSetup::Refused(-22)),
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
        .mismatch(Delivery::Pirqs),
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
        (DeviceInterrupt::None, "-"),
        (DeviceInterrupt::IntX(0), "-"),
        (DeviceInterrupt::IntX(1), "A"),
        (DeviceInterrupt::IntX(4), "D"),
        (DeviceInterrupt::IntX(5), "-"),
        (DeviceInterrupt::Msi(0), "msi0"),
        (DeviceInterrupt::MsiX(2047), "msix2047"),
    ];
    for (pin, word) in pins {
        assert_eq!(pin.to_string(), word);
        assert_eq!(std::format!("{pin:<9}|"), std::format!("{word:<9}|"));
    }
    let mismatches = [
        (Mismatch::Refused(-22), "the hypervisor refused: -22"),
        (
            Mismatch::Disputed(EDGE, IrqType::PCI),
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
        programmed: Some(RedirectionEntry {
            irq_type: IrqType::PCI,
            masked: true,
        }),
        ..good()
    };
    let shown = words(masked, Delivery::GsiPirqs);
    assert!(shown.contains(" level,low(_PRT) level,low,masked 16 "));
    let kept = Row {
        requested: state(IrqType::PCI, GsiSetup::Existed),
        ..masked
    };
    let text = Displayed(kept, Delivery::GsiPirqs).to_string();
    assert!(text.contains(" level,low,masked,kept "), "{text}");
}

#[test]
fn what_nothing_is_known_of_is_a_row_of_dashes() {
    let nothing = Row {
        device: "-",
        pin: DeviceInterrupt::None,
        gsi: None,
        requested: None,
        programmed: None,
        pirq: None,
        port: None,
        irq: None,
        handled: false,
        cpu: None,
        count: 0,
    };
    let shown = words(nothing, Delivery::GsiPirqs);
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
        assert_eq!(row.mismatch(Delivery::GsiPirqs), None);
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
    let (head, row) = (
        Head.to_string(),
        Displayed(good(), Delivery::GsiPirqs).to_string(),
    );
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
    let mut field = Field::default();
    for text in ["0123456789abcdef", "0123456789abcdef", "more"] {
        assert!(fmt::Write::write_str(&mut field, text).is_ok());
    }
    assert_eq!(field.text(), "0123456789abcdef0123456789abcdef");
}

#[test]
fn links_that_nobody_needs_may_be_missing() {
    let idle = Row {
        port: None,
        handled: false,
        count: 0,
        ..good()
    };
    assert_eq!(idle.mismatch(Delivery::GsiPirqs), None);
    let virtual_machine = Row {
        pirq: None,
        port: None,
        ..good()
    };
    assert_eq!(virtual_machine.mismatch(Delivery::VirtualApic), None);
}
