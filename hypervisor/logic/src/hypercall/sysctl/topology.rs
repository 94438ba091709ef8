// SPDX-License-Identifier: GPL-2.0

//! Where the machine's PCI devices are (`XEN_SYSCTL_pcitopoinfo`): there is one NUMA node.

use crate::error::{Errno, Result};
use crate::hypercall::command::Command;
use crate::hypercall::{PREEMPT_BATCH, Reply};
use crate::mem::access::NativeStructures;
use crate::system::{Caller, Platform};
use xen_abi::physdev::PciDevice;
use xen_abi::sysctl::{Header, INVALID_DEV, Pcitopoinfo};

/// Writes the node of each device of a list. Like Xen, it returns how many it has done, and the toolstack asks for the
/// rest.
///
/// # Errors
///
/// [`Errno::EINVAL`] without a list.
pub(super) fn pci<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: &Command<Header>,
) -> Result<Reply> {
    let mut args: Pcitopoinfo = command.argument();
    if args.devs == 0 || args.nodes == 0 {
        return Err(Errno::EINVAL);
    }
    args.num_devs = args.num_devs.min(PREEMPT_BATCH as u32);
    for index in 0..u64::from(args.num_devs) {
        let device: PciDevice = caller.copy_from_guest_offset(args.devs, index)?;
        let known = &caller.system.pci_devices;
        let node = match known.contains(&(device.seg, device.bus, device.devfn)) {
            true => 0,
            false => INVALID_DEV,
        };
        caller.copy_to_guest_offset(args.nodes, index, &node)?;
    }
    command.copyback(caller, &args)
}
