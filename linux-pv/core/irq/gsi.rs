// SPDX-License-Identifier: GPL-2.0

//! Interrupt lines (GSIs): which pirq one is, and how the hypervisor is told about it.

use xen_abi::physdev::{map_type, op, Apic, MapPirq, SetupGsi};

use crate::line::{Line, Programmed};
use crate::{Physdev, EEXIST, SELF};

/// Which pirq a line gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// The one of the same number: a PV dom0, whose GSIs are the machine's.
    Same,
    /// Any: an HVM domain, whose GSIs are those of its virtual machine.
    Any,
}

/// Maps a line to a pirq; returns the pirq, or the hypervisor's negative error number.
pub fn map(hypervisor: &impl Physdev, gsi: u32, number: Number) -> Result<u32, i32> {
    let mut argument = MapPirq {
        domid: SELF,
        map_type: map_type::GSI,
        index: gsi as i32,
        pirq: match number {
            Number::Same => gsi as i32,
            Number::Any => -1,
        },
        ..MapPirq::default()
    };
    match hypervisor.call(op::MAP_PIRQ, &mut argument) {
        0 => u32::try_from(argument.pirq).map_err(|_| argument.pirq),
        error => Err(error),
    }
}

/// What the hypervisor made of a line's trigger and polarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// It was not told.
    None,
    /// It took them.
    Taken,
    /// It had set the line up before and has left it as it was, whatever that is: `-EEXIST`.
    Kept,
    /// It refused, with a negative error number.
    Refused(i32),
}

/// Tells the hypervisor how a line is triggered.
pub fn set_up(hypervisor: &impl Physdev, gsi: u32, line: Line) -> Setup {
    let mut argument = SetupGsi {
        gsi,
        triggering: line.is_level().into(),
        polarity: line.is_low().into(),
        pad: 0,
    };
    match hypervisor.call(op::SETUP_GSI, &mut argument) {
        0 => Setup::Taken,
        error if error == -EEXIST => Setup::Kept,
        error => Setup::Refused(error),
    }
}

/// What the hypervisor has in an I/O APIC, at this machine address, for one of its pins; none if it does not tell.
pub fn programmed(hypervisor: &impl Physdev, apic: u64, pin: u8) -> Option<Programmed> {
    let mut argument = Apic {
        apic_physbase: apic,
        reg: Programmed::register(pin),
        value: 0,
    };
    match hypervisor.call(op::APIC_READ, &mut argument) {
        0 => Some(Programmed::from_register(argument.value)),
        _ => None,
    }
}

/// Has the hypervisor program a pin otherwise, which it does as long as nobody has bound the line; whether it has it so now.
/// For a line that was set up first for somebody who was wrong about it: the hypervisor keeps what it was told first.
pub fn correct(hypervisor: &impl Physdev, apic: u64, pin: u8, line: Line) -> bool {
    let mut argument = Apic {
        apic_physbase: apic,
        reg: Programmed::register(pin),
        value: Programmed { line, masked: true }.to_register(),
    };
    hypervisor.call(op::APIC_WRITE, &mut argument) == 0
        && programmed(hypervisor, apic, pin).is_some_and(|now| now.line == line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::EINVAL;

    #[test]
    fn a_line_of_dom0_is_the_pirq_of_its_number() {
        let script = Script::new(|_, _: &mut MapPirq| 0);
        assert_eq!(map(&script, 21, Number::Same), Ok(21));
        let [(command, asked)] = script.asked::<MapPirq>().try_into().unwrap();
        assert_eq!(command, op::MAP_PIRQ);
        assert_eq!((asked.domid, asked.map_type), (SELF, map_type::GSI));
        assert_eq!((asked.index, asked.pirq), (21, 21));
    }

    #[test]
    fn a_line_of_a_virtual_machine_is_the_pirq_that_the_hypervisor_says() {
        let script = Script::new(|_, asked: &mut MapPirq| {
            assert_eq!(asked.pirq, -1);
            asked.pirq = 77;
            0
        });
        assert_eq!(map(&script, 21, Number::Any), Ok(77));
        let mad = Script::new(|_, asked: &mut MapPirq| {
            asked.pirq = -5;
            0
        });
        assert_eq!(map(&mad, 21, Number::Any), Err(-5));
        let refusing = Script::new(|_, _: &mut MapPirq| -EINVAL);
        assert_eq!(map(&refusing, 21, Number::Any), Err(-EINVAL));
    }

    #[test]
    fn triggers_are_told_as_the_header_has_them() {
        for (line, triggering, polarity) in [
            (Line::from_acpi(0, 1), 1, 1),
            (Line::from_acpi(0, 0), 1, 0),
            (Line::from_acpi(1, 0), 0, 0),
            (Line::from_acpi(1, 1), 0, 1),
        ] {
            let script = Script::new(|_, _: &mut SetupGsi| 0);
            assert_eq!(set_up(&script, 9, line), Setup::Taken);
            let [(_, asked)] = script.asked::<SetupGsi>().try_into().unwrap();
            assert_eq!(
                (asked.gsi, asked.triggering, asked.polarity),
                (9, triggering, polarity)
            );
        }
    }

    #[test]
    fn a_line_that_was_set_up_before_is_no_failure() {
        let line = Line::PCI;
        let script = Script::new(|_, _: &mut SetupGsi| -EEXIST);
        assert_eq!(set_up(&script, 9, line), Setup::Kept);
        let script = Script::new(|_, _: &mut SetupGsi| -EINVAL);
        assert_eq!(set_up(&script, 9, line), Setup::Refused(-EINVAL));
    }

    #[test]
    fn the_controller_is_read_where_the_hypervisor_lets() {
        let script = Script::new(|command, asked: &mut Apic| {
            assert_eq!(
                (command, asked.apic_physbase, asked.reg),
                (op::APIC_READ, 0xfec0_0000, 0x3a)
            );
            asked.value = 0xa000;
            0
        });
        let programmed_now = programmed(&script, 0xfec0_0000, 21).unwrap();
        assert_eq!(
            (programmed_now.line, programmed_now.masked),
            (Line::PCI, false)
        );
        let script = Script::new(|_, _: &mut Apic| -crate::ENOSYS);
        assert_eq!(programmed(&script, 0xfec0_0000, 21), None);
    }

    #[test]
    fn what_was_set_up_wrongly_is_corrected_and_looked_at() {
        for obeys in [true, false] {
            let mut register = 0x2000;
            let script = Script::new(move |command, asked: &mut Apic| {
                assert_eq!((asked.apic_physbase, asked.reg), (0xfec0_0000, 0x3a));
                // Masked, and without a vector: that is the hypervisor's.
                if command == op::APIC_WRITE {
                    assert_eq!(asked.value, 0x1_8000);
                }
                match command {
                    op::APIC_WRITE if obeys => register = asked.value,
                    op::APIC_WRITE => (),
                    _ => asked.value = register,
                }
                0
            });
            let line = Line::from_acpi(0, 0);
            assert_eq!(correct(&script, 0xfec0_0000, 21, line), obeys);
        }
        let script = Script::new(|_, _: &mut Apic| -EINVAL);
        assert!(!correct(&script, 0xfec0_0000, 21, Line::PCI));
        assert_eq!(script.commands(), [op::APIC_WRITE]);
    }
}
