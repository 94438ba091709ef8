// SPDX-License-Identifier: GPL-2.0

//! Tests of reports of PCI functions: commands and arguments, with and without segments.

use crate::{
    testing::Script,
    EINVAL, //
};

use super::*;
use xen_abi::physdev::op;

const HERE: Sbdf = Sbdf {
    segment: 0,
    bus: 3,
    devfn: 0x41,
};
const THERE: Sbdf = Sbdf { segment: 2, ..HERE };

#[test]
fn a_plain_function_is_added_with_what_is_known() {
    for (proximity, flags) in [(None, 0), (Some(7), pci_dev::PXM)] {
        let script = Script::new(|_, _: &mut PciDeviceAddPxm| 0);
        assert_eq!(
            add(
                &script,
                &SegmentSupport::new(),
                THERE,
                FunctionType::Normal,
                || proximity
            ),
            Ok(())
        );
        let [(command, asked)] = script.calls::<PciDeviceAddPxm>().try_into().unwrap();
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
    assert_eq!(FunctionType::of(HERE, None, false), FunctionType::Normal);
    assert_eq!(FunctionType::of(HERE, None, true), FunctionType::Extended);
    let first = Sbdf { devfn: 7, ..HERE };
    assert_eq!(FunctionType::of(first, None, true), FunctionType::Normal);
    // A virtual function is one on every bus.
    let of = FunctionType::of(HERE, Some((1, 8)), true);
    assert_eq!(of, FunctionType::Virtual { bus: 1, devfn: 8 });
    let script = Script::new(|_, asked: &mut PciDeviceAddPxm| {
        assert_eq!(asked.device.flags, pci_dev::VIRTFN);
        assert_eq!((asked.device.physfn_bus, asked.device.physfn_devfn), (1, 8));
        0
    });
    assert_eq!(
        add(&script, &SegmentSupport::new(), HERE, of, || None),
        Ok(())
    );
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
    let segments = SegmentSupport::new();
    assert_eq!(
        add(&script, &segments, HERE, FunctionType::Normal, || None),
        Ok(())
    );
    assert_eq!(
        add(&script, &segments, HERE, FunctionType::Extended, || panic!(
            "nobody can be told"
        )),
        Ok(())
    );
    assert_eq!(remove(&script, &segments, HERE), Ok(()));
    assert_eq!(
        add(&script, &segments, THERE, FunctionType::Normal, || None),
        Err(ReportError::Refused(-ENOSYS))
    );
    assert_eq!(
        remove(&script, &segments, THERE),
        Err(ReportError::Refused(-ENOSYS))
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
    let segments = SegmentSupport::new();
    segments.learn(false);
    let script = Script::new(|_, _: &mut ManagePci| 0);
    assert_eq!(
        add(&script, &segments, HERE, FunctionType::Normal, || None),
        Ok(())
    );
    assert_eq!(remove(&script, &segments, HERE), Ok(()));
    assert_eq!(restore_msi(&script, &segments, HERE), Ok(()));
    let here = ManagePci {
        bus: 3,
        devfn: 0x41,
    };
    let commands = [op::MANAGE_PCI_ADD, op::MANAGE_PCI_REMOVE, op::RESTORE_MSI];
    assert_eq!(script.calls(), commands.map(|command| (command, here)));

    let script = Script::new(|_, _: &mut ManagePciExt| 0);
    let of = FunctionType::Virtual { bus: 1, devfn: 8 };
    for function_type in [FunctionType::Extended, of] {
        assert_eq!(
            add(&script, &segments, HERE, function_type, || None),
            Ok(())
        );
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
    assert_eq!(script.calls(), asked);
}

#[test]
fn the_calls_with_a_segment_name_the_same_function() {
    let there = PciDevice {
        seg: 2,
        bus: 3,
        devfn: 0x41,
    };
    let segments = SegmentSupport::new();
    let script = Script::new(|_, _: &mut PciDevice| 0);
    assert_eq!(remove(&script, &segments, THERE), Ok(()));
    assert_eq!(restore_msi(&script, &segments, THERE), Ok(()));
    let commands = [op::PCI_DEVICE_REMOVE, op::RESTORE_MSI_EXT];
    assert_eq!(script.calls(), commands.map(|command| (command, there)));
    let script = Script::new(|_, _: &mut PciDeviceReset| 0);
    assert_eq!(report_reset(&script, THERE), Ok(()));
    let reset = PciDeviceReset {
        dev: there,
        flags: reset::FLR,
    };
    assert_eq!(script.calls(), [(op::PCI_DEVICE_RESET, reset)]);
    // An extended function is added as one, and the proximity stands beside that.
    let script = Script::new(|_, _: &mut PciDeviceAddPxm| 0);
    let near = || Some(5);
    assert_eq!(
        add(&script, &segments, THERE, FunctionType::Extended, near),
        Ok(())
    );
    let device = PciDeviceAdd {
        seg: 2,
        bus: 3,
        devfn: 0x41,
        flags: pci_dev::EXTFN | pci_dev::PXM,
        physfn_bus: 0,
        physfn_devfn: 0,
        pad: 0,
    };
    let asked = PciDeviceAddPxm {
        device,
        proximity: 5,
    };
    assert_eq!(script.calls(), [(op::PCI_DEVICE_ADD, asked)]);
}

#[test]
fn what_is_refused_is_said_as_it_was() {
    let script = Script::bytes(|_, _| -EINVAL);
    let refused = Err(ReportError::Refused(-EINVAL));
    let segments = SegmentSupport::new();
    segments.learn(false);
    for function_type in [FunctionType::Normal, FunctionType::Extended] {
        assert_eq!(
            add(&script, &segments, HERE, function_type, || None),
            refused
        );
    }
    assert_eq!(remove(&script, &segments, HERE), refused);
    assert_eq!(restore_msi(&script, &segments, HERE), refused);
    assert_eq!(report_reset(&script, HERE), refused);
    assert_eq!(report_mmcfg(&script, 0, 0, 0, 0), refused);
    let far = Sbdf { segment: 1, ..HERE };
    let beyond = restore_msi(&script, &segments, far);
    assert_eq!(beyond, Err(ReportError::Refused(-ENOSYS)));
}

#[test]
fn a_refusal_is_no_sign_of_age() {
    let script = Script::bytes(|_, _| -EINVAL);
    let segments = SegmentSupport::new();
    assert_eq!(
        add(&script, &segments, HERE, FunctionType::Normal, || None),
        Err(ReportError::Refused(-EINVAL))
    );
    assert_eq!(
        remove(&script, &segments, HERE),
        Err(ReportError::Refused(-EINVAL))
    );
    assert_eq!(
        script.commands(),
        [op::PCI_DEVICE_ADD, op::PCI_DEVICE_REMOVE]
    );
}

#[test]
fn segments_that_have_no_number_are_left_alone() {
    let script = Script::bytes(|_, _| 0);
    let far = Sbdf {
        segment: 0x1_0000,
        ..HERE
    };
    let segments = SegmentSupport::new();
    assert_eq!(
        add(&script, &segments, far, FunctionType::Normal, || None),
        Err(ReportError::Segment)
    );
    assert_eq!(remove(&script, &segments, far), Err(ReportError::Segment));
    assert_eq!(report_reset(&script, far), Err(ReportError::Segment));
    assert!(script.commands().is_empty());
}

#[test]
fn messages_are_restored_as_the_hypervisor_can() {
    let script = Script::bytes(|_, _| 0);
    let segments = SegmentSupport::new();
    assert_eq!(restore_msi(&script, &segments, HERE), Ok(()));
    assert_eq!(script.commands(), [op::RESTORE_MSI_EXT]);
    let old = Script::bytes(|command, _| {
        if command == op::RESTORE_MSI {
            0
        } else {
            -ENOSYS
        }
    });
    let segments = SegmentSupport::new();
    assert_eq!(restore_msi(&old, &segments, HERE), Ok(()));
    assert_eq!(restore_msi(&old, &segments, HERE), Ok(()));
    assert_eq!(
        old.commands(),
        [op::RESTORE_MSI_EXT, op::RESTORE_MSI, op::RESTORE_MSI]
    );
    let none = Script::bytes(|_, _| -ENOSYS);
    assert_eq!(restore_msi(&none, &SegmentSupport::new(), HERE), Ok(()));
    let failing = Script::bytes(|_, _| -EINVAL);
    assert_eq!(
        restore_msi(&failing, &SegmentSupport::new(), HERE),
        Err(ReportError::Refused(-EINVAL))
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
    assert_eq!(report_mmcfg(&script, 0xb000_0000, 1, 0, 255), Ok(()));
    let script = Script::new(|_, asked: &mut PciDeviceReset| {
        assert_eq!((asked.dev.seg, asked.flags), (2, reset::FLR));
        0
    });
    assert_eq!(report_reset(&script, THERE), Ok(()));
}
