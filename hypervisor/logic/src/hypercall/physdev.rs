// SPDX-License-Identifier: GPL-2.0

//! `physdev_op`: what dom0 reports about the machine's devices.

use super::commands::Commands;
use super::{Reply, nr};
use crate::error::{Errno, Result};
use crate::system::{Caller, Platform};
use xen_abi::command::physdev::{PciDeviceAdd, PciDeviceRemove, PciMmcfgReserved, SetupGsi};

pub(super) fn do_physdev_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
) -> Result<Reply> {
    // A PVH domain gets interrupts through vLAPIC and vIOAPIC: there are no pirqs to map, unmap or acknowledge.
    if !caller.is_privileged() {
        return Err(Errno::ENOSYS);
    }
    Commands::<P, { nr::PHYSDEV_OP }>::new(caller, command, arg)
        .serve::<SetupGsi>(|caller, args| {
            let (is_level, is_low) = (args.triggering != 0, args.polarity != 0);
            caller.system.platform.setup_gsi(args.gsi, is_level, is_low)
        })
        .serve::<PciMmcfgReserved>(|caller, args| {
            if args.start_bus > args.end_bus {
                return Err(Errno::EINVAL);
            }
            let buses = args.start_bus..=args.end_bus;
            caller
                .system
                .platform
                .pci_mmcfg_reserved(args.address, args.segment, buses)
        })
        .serve::<PciDeviceAdd>(|caller, args| {
            let system = &mut *caller.system;
            let (seg, bus, devfn) = (args.seg, args.bus, args.devfn);
            system.platform.pci_device(seg, bus, devfn, true)?;
            system.pci_devices.insert((seg, bus, devfn));
            Ok(())
        })
        .serve::<PciDeviceRemove>(|caller, args| {
            let system = &mut *caller.system;
            let (seg, bus, devfn) = (args.seg, args.bus, args.devfn);
            system.platform.pci_device(seg, bus, devfn, false)?;
            system.pci_devices.remove(&(seg, bus, devfn));
            Ok(())
        })
        .reply()
}
