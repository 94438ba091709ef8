// SPDX-License-Identifier: GPL-2.0

//! GSIs: mapping one to a pirq, and programming its I/O APIC pin through the hypervisor.

use xen_abi::{
    command::physdev as command,
    physdev::{
        map_type,
        Apic,
        MapPirq,
        SetupGsi, //
    }, //
};

use crate::{
    irq_type::{
        IrqType,
        RedirectionEntry, //
    },
    Physdev,
    EEXIST,
    SELF, //
};

/// Which pirq a GSI is mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PirqNumber {
    /// The pirq of the same number: in a PV dom0, whose GSIs are the machine's.
    SameAsGsi,
    /// The hypervisor chooses: in an HVM domain, whose GSIs are virtual.
    Any,
}

/// Maps a GSI to a pirq (`PHYSDEVOP_map_pirq`); returns the pirq, or a negative error number.
pub fn map(hypervisor: &impl Physdev, gsi: u32, number: PirqNumber) -> Result<u32, i32> {
    let mut argument = MapPirq {
        domid: SELF,
        map_type: map_type::GSI,
        index: gsi as i32,
        pirq: match number {
            PirqNumber::SameAsGsi => gsi as i32,
            PirqNumber::Any => -1,
        },
        ..MapPirq::default()
    };
    match hypervisor.call::<command::MapPirq>(&mut argument) {
        0 => u32::try_from(argument.pirq).map_err(|_| argument.pirq),
        error => Err(error),
    }
}

/// Result of `PHYSDEVOP_setup_gsi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsiSetup {
    /// The call was not made.
    None,
    /// Trigger and polarity are programmed.
    Done,
    /// The GSI was set up before, and keeps its trigger and polarity, whatever these are
    /// (`-EEXIST`).
    Existed,
    /// Refused with this negative error number.
    Refused(i32),
}

/// Sets trigger and polarity of a GSI (`PHYSDEVOP_setup_gsi`).
pub fn set_up(hypervisor: &impl Physdev, gsi: u32, irq_type: IrqType) -> GsiSetup {
    let mut argument = SetupGsi {
        gsi,
        triggering: irq_type.is_level().into(),
        polarity: irq_type.is_low().into(),
        pad: 0,
    };
    match hypervisor.call::<command::SetupGsi>(&mut argument) {
        0 => GsiSetup::Done,
        error if error == -EEXIST => GsiSetup::Existed,
        error => GsiSetup::Refused(error),
    }
}

/// Reads the redirection entry of a pin from the I/O APIC at machine address `apic`; none if the
/// hypervisor refuses.
pub fn programmed(hypervisor: &impl Physdev, apic: u64, pin: u8) -> Option<RedirectionEntry> {
    let mut argument = Apic {
        apic_physbase: apic,
        reg: RedirectionEntry::register(pin),
        value: 0,
    };
    match hypervisor.call::<command::ApicRead>(&mut argument) {
        0 => Some(RedirectionEntry::from_register(argument.value)),
        _ => None,
    }
}

/// Reprograms a pin through `PHYSDEVOP_apic_write`, which the hypervisor permits as long as the
/// interrupt is not bound; returns whether the pin reads back as wanted. For a GSI that was set up
/// first with a wrong trigger or polarity, which [`set_up`] cannot change.
pub fn correct(hypervisor: &impl Physdev, apic: u64, pin: u8, irq_type: IrqType) -> bool {
    let entry = RedirectionEntry {
        irq_type,
        masked: true,
    };
    let mut argument = Apic {
        apic_physbase: apic,
        reg: RedirectionEntry::register(pin),
        value: entry.to_register(),
    };
    hypervisor.call::<command::ApicWrite>(&mut argument) == 0
        && programmed(hypervisor, apic, pin).is_some_and(|now| now.irq_type == irq_type)
}

#[cfg(test)]
mod tests {
    use crate::{
        testing::Script,
        EINVAL, //
    };

    use super::*;
    use xen_abi::physdev::op;

    #[test]
    fn a_line_of_dom0_is_the_pirq_of_its_number() {
        let script = Script::new(|_, _: &mut MapPirq| 0);
        assert_eq!(map(&script, 21, PirqNumber::SameAsGsi), Ok(21));
        let [(command, asked)] = script.calls::<MapPirq>().try_into().unwrap();
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
        assert_eq!(map(&script, 21, PirqNumber::Any), Ok(77));
        let mad = Script::new(|_, asked: &mut MapPirq| {
            asked.pirq = -5;
            0
        });
        assert_eq!(map(&mad, 21, PirqNumber::Any), Err(-5));
        let refusing = Script::new(|_, _: &mut MapPirq| -EINVAL);
        assert_eq!(map(&refusing, 21, PirqNumber::Any), Err(-EINVAL));
    }

    #[test]
    fn triggers_are_told_as_the_header_has_them() {
        for (irq_type, triggering, polarity) in [
            (IrqType::from_acpi(0, 1), 1, 1),
            (IrqType::from_acpi(0, 0), 1, 0),
            (IrqType::from_acpi(1, 0), 0, 0),
            (IrqType::from_acpi(1, 1), 0, 1),
        ] {
            let script = Script::new(|_, _: &mut SetupGsi| 0);
            assert_eq!(set_up(&script, 9, irq_type), GsiSetup::Done);
            let [(_, asked)] = script.calls::<SetupGsi>().try_into().unwrap();
            assert_eq!(
                (asked.gsi, asked.triggering, asked.polarity),
                (9, triggering, polarity)
            );
        }
    }

    #[test]
    fn a_line_that_was_set_up_before_is_no_failure() {
        let irq_type = IrqType::PCI;
        let script = Script::new(|_, _: &mut SetupGsi| -EEXIST);
        assert_eq!(set_up(&script, 9, irq_type), GsiSetup::Existed);
        let script = Script::new(|_, _: &mut SetupGsi| -EINVAL);
        assert_eq!(set_up(&script, 9, irq_type), GsiSetup::Refused(-EINVAL));
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
            (programmed_now.irq_type, programmed_now.masked),
            (IrqType::PCI, false)
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
            let irq_type = IrqType::from_acpi(0, 0);
            assert_eq!(correct(&script, 0xfec0_0000, 21, irq_type), obeys);
        }
        let script = Script::new(|_, _: &mut Apic| -EINVAL);
        assert!(!correct(&script, 0xfec0_0000, 21, IrqType::PCI));
        assert_eq!(script.commands(), [op::APIC_WRITE]);
    }
}
