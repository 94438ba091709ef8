// SPDX-License-Identifier: GPL-2.0

//! Reporting PCI functions to the hypervisor: added, removed, reset; restoring their MSIs.
//!
//! Hypervisors before 4.2 have no commands that take a segment. The older commands, which are the
//! fallback, do without segment and proximity domain.

use xen_abi::{
    command::{
        physdev as command,
        Command,
        Direction,
        PlainCommand, //
    },
    physdev::{
        pci_dev,
        reset,
        ManagePci,
        ManagePciExt,
        PciDevice,
        PciDeviceAdd,
        PciDeviceReset,
        PciMmcfgReserved,
        MMCFG_RESERVED, //
    }, //
};

use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout, //
};

use crate::{
    Physdev,
    SegmentSupport,
    ENOSYS, //
};

/// Segment, bus, device and function of a PCI function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sbdf {
    /// The kernel's number of the segment ("domain"), which may exceed the 16 bits of hardware.
    pub segment: u32,
    /// The bus.
    pub bus: u8,
    /// Device and function.
    pub devfn: u8,
}

/// Type of a function, in the hypervisor's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionType {
    /// One of the eight functions of a device.
    Normal,
    /// An extended function (`XEN_PCI_DEV_EXTFN`): one beyond the eighth, of an ARI device.
    Extended,
    /// A virtual function (`XEN_PCI_DEV_VIRTFN`).
    Virtual {
        /// Bus of the physical function.
        bus: u8,
        /// Device and function of the physical function.
        devfn: u8,
    },
}

impl FunctionType {
    /// From the physical function of a virtual one, and whether ARI is enabled for the bus. With
    /// ARI, the device number is part of the function number.
    pub fn of(sbdf: Sbdf, physical: Option<(u8, u8)>, ari: bool) -> Self {
        match physical {
            Some((bus, devfn)) => Self::Virtual { bus, devfn },
            None if ari && sbdf.devfn >> 3 != 0 => Self::Extended,
            None => Self::Normal,
        }
    }
}

/// Why a report failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportError {
    /// The segment does not fit into the hypervisor's interface. Devices in such segments do not
    /// belong to the hypervisor, so this is no fault.
    Segment,
    /// Refused with this negative error number.
    Refused(i32),
}

fn check(result: i32) -> Result<(), ReportError> {
    match result {
        0 => Ok(()),
        error => Err(ReportError::Refused(error)),
    }
}

/// [`PciDeviceAdd`] with its optional word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciDeviceAddPxm {
    /// The fixed part.
    pub device: PciDeviceAdd,
    /// The proximity domain; valid with the flag [`pci_dev::PXM`].
    pub proximity: u32,
}

/// The command that adds a device, with the optional word.
enum PciDeviceAddPxmCommand {}

impl Command for PciDeviceAddPxmCommand {
    type Argument = PciDeviceAddPxm;
    const HYPERCALL: u32 = command::PciDeviceAdd::HYPERCALL;
    const NUMBER: u32 = command::PciDeviceAdd::NUMBER;
    const DIRECTION: Direction = command::PciDeviceAdd::DIRECTION;
}

impl PlainCommand for PciDeviceAddPxmCommand {}

impl Sbdf {
    /// For commands that take a segment.
    fn with_segment(self) -> Result<PciDevice, ReportError> {
        Ok(PciDevice {
            seg: u16::try_from(self.segment).map_err(|_| ReportError::Segment)?,
            bus: self.bus,
            devfn: self.devfn,
        })
    }

    /// For commands that do not.
    fn without_segment(self) -> Result<ManagePci, ReportError> {
        match self.segment {
            0 => Ok(ManagePci {
                bus: self.bus,
                devfn: self.devfn,
            }),
            _ => Err(ReportError::Refused(-ENOSYS)),
        }
    }
}

/// Reports a function that was added. `proximity` is only called if the command takes it.
pub fn add(
    hypervisor: &impl Physdev,
    segments: &SegmentSupport,
    sbdf: Sbdf,
    function_type: FunctionType,
    proximity: impl FnOnce() -> Option<u32>,
) -> Result<(), ReportError> {
    let PciDevice { seg, bus, devfn } = sbdf.with_segment()?;
    if segments.may_be_supported() {
        let proximity = proximity();
        let (flag, physfn_bus, physfn_devfn) = match function_type {
            FunctionType::Normal => (0, 0, 0),
            FunctionType::Extended => (pci_dev::EXTFN, 0, 0),
            FunctionType::Virtual { bus, devfn } => (pci_dev::VIRTFN, bus, devfn),
        };
        let mut argument = PciDeviceAddPxm {
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
        let result = hypervisor.call::<PciDeviceAddPxmCommand>(&mut argument);
        segments.learn(result != -ENOSYS);
        if result != -ENOSYS {
            return check(result);
        }
    }
    let mut old = sbdf.without_segment()?;
    let mut ext = ManagePciExt {
        bus: old.bus,
        devfn: old.devfn,
        ..ManagePciExt::default()
    };
    match function_type {
        FunctionType::Normal => return check(hypervisor.call::<command::ManagePciAdd>(&mut old)),
        FunctionType::Extended => ext.is_extfn = 1,
        FunctionType::Virtual { bus, devfn } => {
            ext.is_virtfn = 1;
            ext.physfn_bus = bus;
            ext.physfn_devfn = devfn;
        }
    }
    check(hypervisor.call::<command::ManagePciAddExt>(&mut ext))
}

/// Reports a function that was removed.
pub fn remove(
    hypervisor: &impl Physdev,
    segments: &SegmentSupport,
    sbdf: Sbdf,
) -> Result<(), ReportError> {
    let mut device = sbdf.with_segment()?;
    if segments.may_be_supported() {
        return check(hypervisor.call::<command::PciDeviceRemove>(&mut device));
    }
    check(hypervisor.call::<command::ManagePciRemove>(&mut sbdf.without_segment()?))
}

/// Reports a function level reset.
pub fn report_reset(hypervisor: &impl Physdev, sbdf: Sbdf) -> Result<(), ReportError> {
    let mut argument = PciDeviceReset {
        dev: sbdf.with_segment()?,
        flags: reset::FLR,
    };
    check(hypervisor.call::<command::PciDeviceReset>(&mut argument))
}

/// Makes the hypervisor write a function's MSI registers again. A hypervisor without such a command
/// has nothing to restore.
pub fn restore_msi(
    hypervisor: &impl Physdev,
    segments: &SegmentSupport,
    sbdf: Sbdf,
) -> Result<(), ReportError> {
    if segments.may_be_supported() {
        let result = hypervisor.call::<command::RestoreMsiExt>(&mut sbdf.with_segment()?);
        segments.learn(result != -ENOSYS);
        if result != -ENOSYS {
            return check(result);
        }
    }
    match hypervisor.call::<command::RestoreMsi>(&mut sbdf.without_segment()?) {
        error if error == -ENOSYS => Ok(()),
        result => check(result),
    }
}

/// Reports memory-mapped configuration space (MMCONFIG) of buses `start..=end` of a segment, at a
/// machine address. A hypervisor without the command does not need it.
pub fn report_mmcfg(
    hypervisor: &impl Physdev,
    address: u64,
    segment: u16,
    start: u8,
    end: u8,
) -> Result<(), ReportError> {
    let mut argument = PciMmcfgReserved {
        address,
        segment,
        start_bus: start,
        end_bus: end,
        flags: MMCFG_RESERVED,
    };
    match hypervisor.call::<command::PciMmcfgReserved>(&mut argument) {
        error if error == -ENOSYS => Ok(()),
        result => check(result),
    }
}

#[cfg(test)]
mod tests;
