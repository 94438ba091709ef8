// SPDX-License-Identifier: GPL-2.0

//! The `physdev_op` hypercall, `physdev.h`, as far as a PVH dom0 uses it.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`PHYSDEVOP_*`).
pub mod op {
    /// PV.
    pub const IRQ_STATUS_QUERY: u32 = 5;
    /// PV.
    pub const EOI: u32 = 12;
    /// Makes an interrupt bindable.
    pub const MAP_PIRQ: u32 = 13;
    /// The reverse.
    pub const UNMAP_PIRQ: u32 = 14;
    /// Takes [`SetupGsi`](super::SetupGsi).
    pub const SETUP_GSI: u32 = 21;
    /// PV.
    pub const GET_FREE_PIRQ: u32 = 23;
    /// Takes [`PciMmcfgReserved`](super::PciMmcfgReserved).
    pub const PCI_MMCFG_RESERVED: u32 = 24;
    /// Takes [`PciDeviceAdd`](super::PciDeviceAdd).
    pub const PCI_DEVICE_ADD: u32 = 25;
    /// Takes [`PciDevice`](super::PciDevice).
    pub const PCI_DEVICE_REMOVE: u32 = 26;
    /// About the USB debug port.
    pub const DBGP_OP: u32 = 29;
    /// A device was reset.
    pub const PCI_DEVICE_RESET: u32 = 32;
}

args! {
    /// Argument of [`op::SETUP_GSI`].
    SetupGsi {
        /// The interrupt.
        gsi: u32,
        /// 1 for level.
        triggering: u8,
        /// 1 for low.
        polarity: u8,
        /// Zero; fills the structure.
        pad: u16,
    }
}

args! {
    /// Argument of [`op::PCI_MMCFG_RESERVED`].
    PciMmcfgReserved {
        /// Where the window is.
        address: u64,
        /// Of which segment.
        segment: u16,
        /// First bus.
        start_bus: u8,
        /// Last bus.
        end_bus: u8,
        /// 1 if it is reserved.
        flags: u32,
    }
}

args! {
    /// Argument of [`op::PCI_DEVICE_REMOVE`].
    PciDevice {
        /// Segment.
        seg: u16,
        /// Bus.
        bus: u8,
        /// Device and function.
        devfn: u8,
    }
}

args! {
    /// Argument of [`op::PCI_DEVICE_ADD`]; optional words follow.
    PciDeviceAdd {
        /// Segment.
        seg: u16,
        /// Bus.
        bus: u8,
        /// Device and function.
        devfn: u8,
        /// Whether there is more.
        flags: u32,
        /// Of a virtual function's device.
        physfn_bus: u8,
        /// Of a virtual function's device.
        physfn_devfn: u8,
        /// Zero; fills the structure.
        pad: u16,
    }
}
