// SPDX-License-Identifier: GPL-2.0

//! PCI functions as the hypervisor knows them: added, removed, reset, and their MSI messages restored.
//!
//! Hypervisors before 4.2 know no segments; what they are asked instead leaves out what they cannot be told.

use xen_abi::physdev::{
    op, pci_dev, reset, ManagePci, ManagePciExt, PciDevice, PciDeviceAdd, PciDeviceReset,
    PciMmcfgReserved, MMCFG_RESERVED,
};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Physdev, Segments, ENOSYS};

/// Where a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kernel's number of the segment ("domain"), which may be larger than any that hardware has.
    pub segment: u32,
    /// The bus.
    pub bus: u8,
    /// Device and function.
    pub devfn: u8,
}

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of a device's eight.
    Plain,
    /// One beyond the eighth.
    Extended,
    /// A virtual one of the function at this bus, device and function.
    Virtual {
        /// Bus of the physical one.
        bus: u8,
        /// Device and function of the physical one.
        devfn: u8,
    },
}

impl Kind {
    /// From what the kernel knows: the physical function of a virtual one, and whether its bus numbers functions without
    /// devices (ARI), where what looks like a device's number is part of the function's.
    pub fn of(place: Place, physical: Option<(u8, u8)>, ari: bool) -> Self {
        match physical {
            Some((bus, devfn)) => Self::Virtual { bus, devfn },
            None if ari && place.devfn >> 3 != 0 => Self::Extended,
            None => Self::Plain,
        }
    }
}

/// Why the hypervisor was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its interface has no number for this segment. Such devices are none of the hypervisor's, so nothing is wrong.
    Segment,
    /// It refused, with a negative error number.
    Refused(i32),
}

fn outcome(result: i32) -> Result<(), Failure> {
    match result {
        0 => Ok(()),
        error => Err(Failure::Refused(error)),
    }
}

/// [`PciDeviceAdd`] with the one optional word there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Add {
    /// The part that is always there.
    pub device: PciDeviceAdd,
    /// The proximity domain, if the flags say so.
    pub proximity: u32,
}

impl Place {
    /// As the calls with a segment name it.
    fn modern(self) -> Result<PciDevice, Failure> {
        Ok(PciDevice {
            seg: u16::try_from(self.segment).map_err(|_| Failure::Segment)?,
            bus: self.bus,
            devfn: self.devfn,
        })
    }

    /// As the old calls name it.
    fn old(self) -> Result<ManagePci, Failure> {
        match self.segment {
            0 => Ok(ManagePci {
                bus: self.bus,
                devfn: self.devfn,
            }),
            _ => Err(Failure::Refused(-ENOSYS)),
        }
    }
}

/// Tells of a function that is there. `proximity` is asked for only if it can be told.
pub fn add(
    hypervisor: &impl Physdev,
    segments: &Segments,
    place: Place,
    kind: Kind,
    proximity: impl FnOnce() -> Option<u32>,
) -> Result<(), Failure> {
    let PciDevice { seg, bus, devfn } = place.modern()?;
    if segments.worth_trying() {
        let proximity = proximity();
        let (flag, physfn_bus, physfn_devfn) = match kind {
            Kind::Plain => (0, 0, 0),
            Kind::Extended => (pci_dev::EXTFN, 0, 0),
            Kind::Virtual { bus, devfn } => (pci_dev::VIRTFN, bus, devfn),
        };
        let mut argument = Add {
            device: PciDeviceAdd {
                seg,
                bus,
                devfn,
                flags: flag | proximity.map_or(0, |_| pci_dev::PXM),
                physfn_bus,
                physfn_devfn,
                pad: 0,
            },
            proximity: proximity.unwrap_or(0),
        };
        let result = hypervisor.call(op::PCI_DEVICE_ADD, &mut argument);
        segments.learn(result != -ENOSYS);
        if result != -ENOSYS {
            return outcome(result);
        }
    }
    let mut old = place.old()?;
    let mut ext = ManagePciExt {
        bus: old.bus,
        devfn: old.devfn,
        ..ManagePciExt::default()
    };
    match kind {
        Kind::Plain => return outcome(hypervisor.call(op::MANAGE_PCI_ADD, &mut old)),
        Kind::Extended => ext.is_extfn = 1,
        Kind::Virtual { bus, devfn } => {
            ext.is_virtfn = 1;
            ext.physfn_bus = bus;
            ext.physfn_devfn = devfn;
        }
    }
    outcome(hypervisor.call(op::MANAGE_PCI_ADD_EXT, &mut ext))
}

/// Tells of a function that is no longer there.
pub fn remove(hypervisor: &impl Physdev, segments: &Segments, place: Place) -> Result<(), Failure> {
    let mut modern = place.modern()?;
    if segments.worth_trying() {
        return outcome(hypervisor.call(op::PCI_DEVICE_REMOVE, &mut modern));
    }
    outcome(hypervisor.call(op::MANAGE_PCI_REMOVE, &mut place.old()?))
}

/// Tells that a function has reset itself.
pub fn was_reset(hypervisor: &impl Physdev, place: Place) -> Result<(), Failure> {
    let mut argument = PciDeviceReset {
        dev: place.modern()?,
        flags: reset::FLR,
    };
    outcome(hypervisor.call(op::PCI_DEVICE_RESET, &mut argument))
}

/// Has the hypervisor write a function's MSI messages into it again. A hypervisor that knows no such call has nothing to
/// restore.
pub fn restore_msi(
    hypervisor: &impl Physdev,
    segments: &Segments,
    place: Place,
) -> Result<(), Failure> {
    if segments.worth_trying() {
        let result = hypervisor.call(op::RESTORE_MSI_EXT, &mut place.modern()?);
        segments.learn(result != -ENOSYS);
        if result != -ENOSYS {
            return outcome(result);
        }
    }
    match hypervisor.call(op::RESTORE_MSI, &mut place.old()?) {
        error if error == -ENOSYS => Ok(()),
        result => outcome(result),
    }
}

/// Tells where configuration space is mapped: `start..=end` of a segment's buses at a machine address. A hypervisor that does
/// not want to know is fine.
pub fn window(
    hypervisor: &impl Physdev,
    address: u64,
    segment: u16,
    start: u8,
    end: u8,
) -> Result<(), Failure> {
    let mut argument = PciMmcfgReserved {
        address,
        segment,
        start_bus: start,
        end_bus: end,
        flags: MMCFG_RESERVED,
    };
    match hypervisor.call(op::PCI_MMCFG_RESERVED, &mut argument) {
        error if error == -ENOSYS => Ok(()),
        result => outcome(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::EINVAL;

    const HERE: Place = Place {
        segment: 0,
        bus: 3,
        devfn: 0x41,
    };
    const THERE: Place = Place { segment: 2, ..HERE };

    #[test]
    fn a_plain_function_is_added_with_what_is_known() {
        for (proximity, flags) in [(None, 0), (Some(7), pci_dev::PXM)] {
            let script = Script::new(|_, _: &mut Add| 0);
            assert_eq!(
                add(&script, &Segments::new(), THERE, Kind::Plain, || proximity),
                Ok(())
            );
            let [(command, asked)] = script.asked::<Add>().try_into().unwrap();
            assert_eq!(command, op::PCI_DEVICE_ADD);
            assert_eq!(
                (asked.device.seg, asked.device.bus, asked.device.devfn),
                (2, 3, 0x41)
            );
            assert_eq!(
                (asked.device.flags, asked.proximity),
                (flags, proximity.unwrap_or(0))
            );
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(Kind::of(HERE, None, false), Kind::Plain);
        assert_eq!(Kind::of(HERE, None, true), Kind::Extended);
        let first = Place { devfn: 7, ..HERE };
        assert_eq!(Kind::of(first, None, true), Kind::Plain);
        // A virtual function is one on every bus.
        let of = Kind::of(HERE, Some((1, 8)), true);
        assert_eq!(of, Kind::Virtual { bus: 1, devfn: 8 });
        let script = Script::new(|_, asked: &mut Add| {
            assert_eq!(asked.device.flags, pci_dev::VIRTFN);
            assert_eq!((asked.device.physfn_bus, asked.device.physfn_devfn), (1, 8));
            0
        });
        assert_eq!(add(&script, &Segments::new(), HERE, of, || None), Ok(()));
    }

    #[test]
    fn an_old_hypervisor_is_asked_the_old_way_from_then_on() {
        let modern = [op::PCI_DEVICE_ADD, op::PCI_DEVICE_REMOVE];
        let script = Script::bytes(|command, _| {
            if modern.contains(&command) {
                -ENOSYS
            } else {
                0
            }
        });
        let segments = Segments::new();
        assert_eq!(add(&script, &segments, HERE, Kind::Plain, || None), Ok(()));
        assert_eq!(
            add(&script, &segments, HERE, Kind::Extended, || panic!(
                "nobody can be told"
            )),
            Ok(())
        );
        assert_eq!(remove(&script, &segments, HERE), Ok(()));
        assert_eq!(
            add(&script, &segments, THERE, Kind::Plain, || None),
            Err(Failure::Refused(-ENOSYS))
        );
        assert_eq!(
            remove(&script, &segments, THERE),
            Err(Failure::Refused(-ENOSYS))
        );
        assert_eq!(
            script.commands(),
            [
                op::PCI_DEVICE_ADD,
                op::MANAGE_PCI_ADD,
                op::MANAGE_PCI_ADD_EXT,
                op::MANAGE_PCI_REMOVE
            ]
        );
    }

    #[test]
    fn the_old_calls_name_the_same_function() {
        let segments = Segments::new();
        segments.learn(false);
        let script = Script::new(|_, _: &mut ManagePci| 0);
        assert_eq!(add(&script, &segments, HERE, Kind::Plain, || None), Ok(()));
        assert_eq!(remove(&script, &segments, HERE), Ok(()));
        assert_eq!(restore_msi(&script, &segments, HERE), Ok(()));
        let here = ManagePci {
            bus: 3,
            devfn: 0x41,
        };
        let commands = [op::MANAGE_PCI_ADD, op::MANAGE_PCI_REMOVE, op::RESTORE_MSI];
        assert_eq!(script.asked(), commands.map(|command| (command, here)));

        let script = Script::new(|_, _: &mut ManagePciExt| 0);
        let of = Kind::Virtual { bus: 1, devfn: 8 };
        for kind in [Kind::Extended, of] {
            assert_eq!(add(&script, &segments, HERE, kind, || None), Ok(()));
        }
        let extended = ManagePciExt {
            bus: 3,
            devfn: 0x41,
            is_extfn: 1,
            ..ManagePciExt::default()
        };
        let virtual_one = ManagePciExt {
            is_extfn: 0,
            is_virtfn: 1,
            physfn_bus: 1,
            physfn_devfn: 8,
            ..extended
        };
        let asked = [extended, virtual_one].map(|asked| (op::MANAGE_PCI_ADD_EXT, asked));
        assert_eq!(script.asked(), asked);
    }

    #[test]
    fn the_calls_with_a_segment_name_the_same_function() {
        let there = PciDevice {
            seg: 2,
            bus: 3,
            devfn: 0x41,
        };
        let segments = Segments::new();
        let script = Script::new(|_, _: &mut PciDevice| 0);
        assert_eq!(remove(&script, &segments, THERE), Ok(()));
        assert_eq!(restore_msi(&script, &segments, THERE), Ok(()));
        let commands = [op::PCI_DEVICE_REMOVE, op::RESTORE_MSI_EXT];
        assert_eq!(script.asked(), commands.map(|command| (command, there)));
        let script = Script::new(|_, _: &mut PciDeviceReset| 0);
        assert_eq!(was_reset(&script, THERE), Ok(()));
        let reset = PciDeviceReset {
            dev: there,
            flags: reset::FLR,
        };
        assert_eq!(script.asked(), [(op::PCI_DEVICE_RESET, reset)]);
        // An extended function is added as one, and the proximity stands beside that.
        let script = Script::new(|_, _: &mut Add| 0);
        let near = || Some(5);
        assert_eq!(add(&script, &segments, THERE, Kind::Extended, near), Ok(()));
        let device = PciDeviceAdd {
            seg: 2,
            bus: 3,
            devfn: 0x41,
            flags: pci_dev::EXTFN | pci_dev::PXM,
            physfn_bus: 0,
            physfn_devfn: 0,
            pad: 0,
        };
        let asked = Add {
            device,
            proximity: 5,
        };
        assert_eq!(script.asked(), [(op::PCI_DEVICE_ADD, asked)]);
    }

    #[test]
    fn what_is_refused_is_said_as_it_was() {
        let script = Script::bytes(|_, _| -EINVAL);
        let refused = Err(Failure::Refused(-EINVAL));
        let segments = Segments::new();
        segments.learn(false);
        for kind in [Kind::Plain, Kind::Extended] {
            assert_eq!(add(&script, &segments, HERE, kind, || None), refused);
        }
        assert_eq!(remove(&script, &segments, HERE), refused);
        assert_eq!(restore_msi(&script, &segments, HERE), refused);
        assert_eq!(was_reset(&script, HERE), refused);
        assert_eq!(window(&script, 0, 0, 0, 0), refused);
        let far = Place { segment: 1, ..HERE };
        let beyond = restore_msi(&script, &segments, far);
        assert_eq!(beyond, Err(Failure::Refused(-ENOSYS)));
    }

    #[test]
    fn a_refusal_is_no_sign_of_age() {
        let script = Script::bytes(|_, _| -EINVAL);
        let segments = Segments::new();
        assert_eq!(
            add(&script, &segments, HERE, Kind::Plain, || None),
            Err(Failure::Refused(-EINVAL))
        );
        assert_eq!(
            remove(&script, &segments, HERE),
            Err(Failure::Refused(-EINVAL))
        );
        assert_eq!(
            script.commands(),
            [op::PCI_DEVICE_ADD, op::PCI_DEVICE_REMOVE]
        );
    }

    #[test]
    fn segments_that_have_no_number_are_left_alone() {
        let script = Script::bytes(|_, _| 0);
        let far = Place {
            segment: 0x1_0000,
            ..HERE
        };
        let segments = Segments::new();
        assert_eq!(
            add(&script, &segments, far, Kind::Plain, || None),
            Err(Failure::Segment)
        );
        assert_eq!(remove(&script, &segments, far), Err(Failure::Segment));
        assert_eq!(was_reset(&script, far), Err(Failure::Segment));
        assert!(script.commands().is_empty());
    }

    #[test]
    fn messages_are_restored_as_the_hypervisor_can() {
        let script = Script::bytes(|_, _| 0);
        let segments = Segments::new();
        assert_eq!(restore_msi(&script, &segments, HERE), Ok(()));
        assert_eq!(script.commands(), [op::RESTORE_MSI_EXT]);
        let old = Script::bytes(|command, _| {
            if command == op::RESTORE_MSI {
                0
            } else {
                -ENOSYS
            }
        });
        let segments = Segments::new();
        assert_eq!(restore_msi(&old, &segments, HERE), Ok(()));
        assert_eq!(restore_msi(&old, &segments, HERE), Ok(()));
        assert_eq!(
            old.commands(),
            [op::RESTORE_MSI_EXT, op::RESTORE_MSI, op::RESTORE_MSI]
        );
        let none = Script::bytes(|_, _| -ENOSYS);
        assert_eq!(restore_msi(&none, &Segments::new(), HERE), Ok(()));
        let failing = Script::bytes(|_, _| -EINVAL);
        assert_eq!(
            restore_msi(&failing, &Segments::new(), HERE),
            Err(Failure::Refused(-EINVAL))
        );
    }

    #[test]
    fn windows_and_resets_are_told() {
        let script = Script::new(|_, asked: &mut PciMmcfgReserved| {
            assert_eq!((asked.address, asked.segment), (0xb000_0000, 1));
            assert_eq!(
                (asked.start_bus, asked.end_bus, asked.flags),
                (0, 255, MMCFG_RESERVED)
            );
            -ENOSYS
        });
        assert_eq!(window(&script, 0xb000_0000, 1, 0, 255), Ok(()));
        let script = Script::new(|_, asked: &mut PciDeviceReset| {
            assert_eq!((asked.dev.seg, asked.flags), (2, reset::FLR));
            0
        });
        assert_eq!(was_reset(&script, THERE), Ok(()));
    }
}
