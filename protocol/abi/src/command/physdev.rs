// SPDX-License-Identifier: GPL-2.0

//! Commands of `physdev_op`.

use crate::physdev::{self as args, op};

commands! {
    PHYSDEV_OP;
    /// Asks whether a pirq needs an EOI.
    IrqStatusQuery = IRQ_STATUS_QUERY(args::IrqStatusQuery) InOut;
    /// Sets the I/O privilege level (PV).
    SetIopl = SET_IOPL(args::SetIopl) In;
    /// Sets which ports programs may access (PV).
    SetIobitmap = SET_IOBITMAP(args::SetIobitmap) In;
    /// Reads a register of an I/O APIC.
    ApicRead = APIC_READ(args::Apic) InOut;
    /// Writes a register of an I/O APIC.
    ApicWrite = APIC_WRITE(args::Apic) In;
    /// Allocates a vector for a GSI.
    AllocIrqVector = ALLOC_IRQ_VECTOR(args::Irq) InOut;
    /// Ends a pirq's interrupt.
    Eoi = EOI(args::Eoi) In;
    /// Maps an interrupt to a pirq.
    MapPirq = MAP_PIRQ(args::MapPirq) InOut;
    /// Unmaps it.
    UnmapPirq = UNMAP_PIRQ(args::UnmapPirq) In;
    /// Registers a device of segment 0.
    ManagePciAdd = MANAGE_PCI_ADD(args::ManagePci) In;
    /// Unregisters a device of segment 0.
    ManagePciRemove = MANAGE_PCI_REMOVE(args::ManagePci) In;
    /// Registers a device of segment 0 that may be a virtual function.
    ManagePciAddExt = MANAGE_PCI_ADD_EXT(args::ManagePciExt) In;
    /// Writes the MSI messages of a device of segment 0 again.
    RestoreMsi = RESTORE_MSI(args::ManagePci) In;
    /// Sets a GSI's trigger and polarity.
    SetupGsi = SETUP_GSI(args::SetupGsi) In;
    /// Asks for a pirq that is free.
    GetFreePirq = GET_FREE_PIRQ(args::GetFreePirq) InOut;
    /// Reports a window of memory-mapped configuration space.
    PciMmcfgReserved = PCI_MMCFG_RESERVED(args::PciMmcfgReserved) In;
    /// Registers a device.
    PciDeviceAdd = PCI_DEVICE_ADD(args::PciDeviceAdd) In;
    /// Unregisters a device.
    PciDeviceRemove = PCI_DEVICE_REMOVE(args::PciDevice) In;
    /// Writes a device's MSI messages again.
    RestoreMsiExt = RESTORE_MSI_EXT(args::PciDevice) In;
    /// Shares a page with a bit for each pirq that needs an EOI.
    PirqEoiGmfnV2 = PIRQ_EOI_GMFN_V2(args::PirqEoiGmfn) In;
    /// Prepares for a reset of the USB debug port.
    DbgpOp = DBGP_OP(args::DbgpOp) In;
    /// Reports that a device was reset.
    PciDeviceReset = PCI_DEVICE_RESET(args::PciDeviceReset) In;
}

// A bitmap is read, and a page is shared from then on.
plain_commands! {
    IrqStatusQuery,
    SetIopl,
    ApicRead,
    ApicWrite,
    AllocIrqVector,
    Eoi,
    MapPirq,
    UnmapPirq,
    ManagePciAdd,
    ManagePciRemove,
    ManagePciAddExt,
    RestoreMsi,
    SetupGsi,
    GetFreePirq,
    PciMmcfgReserved,
    PciDeviceAdd,
    PciDeviceRemove,
    RestoreMsiExt,
    DbgpOp,
    PciDeviceReset,
}
