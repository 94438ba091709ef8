// SPDX-License-Identifier: GPL-2.0

//! `physdev_op`: what dom0 reports about the machine's devices.

use super::{Reply, with_arg};
use crate::error::{Errno, Result};
use crate::system::{Caller, Platform};
use xen_abi::physdev::{PciDevice, PciDeviceAdd, PciMmcfgReserved, SetupGsi, op};

pub(super) fn do_physdev_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
) -> Result<Reply> {
    let hardware = caller.is_privileged();
    match command {
        op::SETUP_GSI if hardware => with_arg(caller, arg, |caller, args: SetupGsi| {
            caller
                .system
                .platform
                .setup_gsi(args.gsi, args.triggering != 0, args.polarity != 0)
        }),
        op::PCI_MMCFG_RESERVED if hardware => {
            with_arg(caller, arg, |caller, args: PciMmcfgReserved| {
                if args.start_bus > args.end_bus {
                    return Err(Errno::EINVAL);
                }
                let buses = args.start_bus..=args.end_bus;
                caller
                    .system
                    .platform
                    .pci_mmcfg_reserved(args.address, args.segment, buses)
            })
        }
        op::PCI_DEVICE_ADD if hardware => with_arg(caller, arg, |caller, args: PciDeviceAdd| {
            caller
                .system
                .platform
                .pci_device(args.seg, args.bus, args.devfn, true)
        }),
        op::PCI_DEVICE_REMOVE if hardware => with_arg(caller, arg, |caller, args: PciDevice| {
            caller
                .system
                .platform
                .pci_device(args.seg, args.bus, args.devfn, false)
        }),
        // A PVH dom0 gets interrupts through vLAPIC and vIOAPIC: there are no pirqs to map, unmap or acknowledge.
        _ => Err(Errno::ENOSYS),
    }
}
