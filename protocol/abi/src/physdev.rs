// SPDX-License-Identifier: GPL-2.0

//! The `physdev_op` hypercall, `physdev.h`: interrupts of physical devices, and what a domain that drives devices tells of
//! them.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`PHYSDEVOP_*`).
pub mod op {
    /// Obsolete, and refused.
    pub const IRQ_UNMASK_NOTIFY: u32 = 4;
    /// Takes [`IrqStatusQuery`](super::IrqStatusQuery).
    pub const IRQ_STATUS_QUERY: u32 = 5;
    /// Takes [`SetIopl`](super::SetIopl).
    pub const SET_IOPL: u32 = 6;
    /// Takes [`SetIobitmap`](super::SetIobitmap).
    pub const SET_IOBITMAP: u32 = 7;
    /// Takes [`Apic`](super::Apic).
    pub const APIC_READ: u32 = 8;
    /// Takes [`Apic`](super::Apic).
    pub const APIC_WRITE: u32 = 9;
    /// Takes [`Irq`](super::Irq).
    pub const ALLOC_IRQ_VECTOR: u32 = 10;
    /// Takes [`Irq`](super::Irq).
    pub const FREE_IRQ_VECTOR: u32 = 11;
    /// Ends an interrupt; takes [`Eoi`](super::Eoi).
    pub const EOI: u32 = 12;
    /// Makes an interrupt bindable; takes [`MapPirq`](super::MapPirq).
    pub const MAP_PIRQ: u32 = 13;
    /// The reverse; takes [`UnmapPirq`](super::UnmapPirq).
    pub const UNMAP_PIRQ: u32 = 14;
    /// Older than [`PCI_DEVICE_ADD`]; takes [`ManagePci`](super::ManagePci).
    pub const MANAGE_PCI_ADD: u32 = 15;
    /// Older than [`PCI_DEVICE_REMOVE`]; takes [`ManagePci`](super::ManagePci).
    pub const MANAGE_PCI_REMOVE: u32 = 16;
    /// Takes [`PirqEoiGmfn`](super::PirqEoiGmfn).
    pub const PIRQ_EOI_GMFN_V1: u32 = 17;
    /// Older than [`RESTORE_MSI_EXT`]; takes [`ManagePci`](super::ManagePci).
    pub const RESTORE_MSI: u32 = 19;
    /// Older than [`PCI_DEVICE_ADD`]; takes [`ManagePciExt`](super::ManagePciExt).
    pub const MANAGE_PCI_ADD_EXT: u32 = 20;
    /// Takes [`SetupGsi`](super::SetupGsi).
    pub const SETUP_GSI: u32 = 21;
    /// Takes [`NrPirqs`](super::NrPirqs). Only Linux's header still has it.
    pub const GET_NR_PIRQS: u32 = 22;
    /// Takes [`GetFreePirq`](super::GetFreePirq).
    pub const GET_FREE_PIRQ: u32 = 23;
    /// Takes [`PciMmcfgReserved`](super::PciMmcfgReserved).
    pub const PCI_MMCFG_RESERVED: u32 = 24;
    /// Takes [`PciDeviceAdd`](super::PciDeviceAdd).
    pub const PCI_DEVICE_ADD: u32 = 25;
    /// Takes [`PciDevice`](super::PciDevice).
    pub const PCI_DEVICE_REMOVE: u32 = 26;
    /// Writes a device's MSI messages again after the device lost them; takes [`PciDevice`](super::PciDevice).
    pub const RESTORE_MSI_EXT: u32 = 27;
    /// Takes [`PirqEoiGmfn`](super::PirqEoiGmfn).
    pub const PIRQ_EOI_GMFN_V2: u32 = 28;
    /// About the USB debug port; takes [`DbgpOp`](super::DbgpOp).
    pub const DBGP_OP: u32 = 29;
    /// A device's registers stay where they are from now on; takes [`PciDevice`](super::PciDevice).
    pub const PREPARE_MSIX: u32 = 30;
    /// They may move again; takes [`PciDevice`](super::PciDevice).
    pub const RELEASE_MSIX: u32 = 31;
    /// A device was reset; takes [`PciDeviceReset`](super::PciDeviceReset).
    pub const PCI_DEVICE_RESET: u32 = 32;
}

/// Flags of an interrupt's status (`XENIRQSTAT_*`).
pub mod irqstat {
    /// [`op::EOI`](super::op::EOI) has to be called for it.
    pub const NEEDS_EOI: u32 = 1 << 0;
    /// More than one domain has it.
    pub const SHARED: u32 = 1 << 1;
}

/// What a mapping is of (`MAP_PIRQ_TYPE_*`).
pub mod map_type {
    /// The MSI, or an MSI-X entry, of a device in segment 0.
    pub const MSI: i32 = 0;
    /// A GSI.
    pub const GSI: i32 = 1;
    /// Nothing that is known.
    pub const UNKNOWN: i32 = 2;
    /// The MSI, or an MSI-X entry, of a device in any segment.
    pub const MSI_SEG: i32 = 3;
    /// Several MSIs of a device, with pirqs that follow each other.
    pub const MULTI_MSI: i32 = 4;
}

/// What a device that is added is (`XEN_PCI_DEV_*`).
pub mod pci_dev {
    /// A function beyond the eighth (ARI).
    pub const EXTFN: u32 = 1 << 0;
    /// A virtual function.
    pub const VIRTFN: u32 = 1 << 1;
    /// The first optional word is the proximity domain.
    pub const PXM: u32 = 1 << 2;
}

/// The window is reserved (`XEN_PCI_MMCFG_RESERVED`).
pub const MMCFG_RESERVED: u32 = 1;

/// How a device was reset (`PCI_DEVICE_RESET_*`).
pub mod reset {
    /// Power was off.
    pub const COLD: u32 = 0;
    /// By the machine's reset line.
    pub const WARM: u32 = 1;
    /// By its bus.
    pub const HOT: u32 = 2;
    /// By its own register.
    pub const FLR: u32 = 3;
    /// The bits that say so.
    pub const MASK: u32 = 3;
}

/// About the USB debug port (`PHYSDEVOP_DBGP_*`).
pub mod dbgp {
    /// The port is about to be reset.
    pub const RESET_PREPARE: u8 = 1;
    /// It was.
    pub const RESET_DONE: u8 = 2;
    /// Which one it is, is not known.
    pub const BUS_UNKNOWN: u8 = 0;
    /// It is a PCI device.
    pub const BUS_PCI: u8 = 1;
}

args! {
    /// Argument of [`op::IRQ_STATUS_QUERY`].
    IrqStatusQuery {
        /// The pirq.
        irq: u32,
        /// Out: [`irqstat`].
        flags: u32,
    }
}

args! {
    /// Argument of [`op::SET_IOPL`].
    SetIopl {
        /// 0 to 3.
        iopl: u32,
    }
}

args! {
    /// Argument of [`op::SET_IOBITMAP`].
    SetIobitmap {
        /// Address of the bits.
        bitmap: u64,
        /// How many there are.
        nr_ports: u32,
        /// Zero; fills the structure.
        pad: u32,
    }
}

args! {
    /// Argument of [`op::APIC_READ`] and [`op::APIC_WRITE`].
    Apic {
        /// The machine address of the I/O APIC.
        apic_physbase: u64,
        /// The register.
        reg: u32,
        /// Out or in.
        value: u32,
    }
}

args! {
    /// Argument of [`op::ALLOC_IRQ_VECTOR`] and [`op::FREE_IRQ_VECTOR`].
    Irq {
        /// The GSI.
        irq: u32,
        /// Its vector.
        vector: u32,
    }
}

args! {
    /// Argument of [`op::EOI`].
    Eoi {
        /// The pirq.
        irq: u32,
    }
}

args! {
    /// Argument of [`op::PIRQ_EOI_GMFN_V1`] and [`op::PIRQ_EOI_GMFN_V2`].
    PirqEoiGmfn {
        /// The page that gets a bit for each pirq.
        gmfn: u64,
    }
}

args! {
    /// Argument of [`op::MAP_PIRQ`].
    MapPirq {
        /// For whom.
        domid: u16,
        /// Zero; fills the structure.
        pad0: u16,
        /// One of [`map_type`].
        map_type: i32,
        /// The GSI; -1 for MSI.
        index: i32,
        /// The pirq wanted, or -1; out: what it got.
        pirq: i32,
        /// The bus; above 16 bits of it, the segment.
        bus: i32,
        /// Device and function.
        devfn: i32,
        /// Which MSI-X entry, or how many MSIs; out: how many there are.
        entry_nr: i32,
        /// Zero; fills the structure.
        pad1: u32,
        /// The machine address of the MSI-X table's BAR; 0 for MSI.
        table_base: u64,
    }
}

args! {
    /// Argument of [`op::UNMAP_PIRQ`].
    UnmapPirq {
        /// Whose.
        domid: u16,
        /// Zero; fills the structure.
        pad: u16,
        /// Which.
        pirq: i32,
    }
}

args! {
    /// Argument of [`op::MANAGE_PCI_ADD`], [`op::MANAGE_PCI_REMOVE`] and [`op::RESTORE_MSI`].
    ManagePci {
        /// Bus.
        bus: u8,
        /// Device and function.
        devfn: u8,
    }
}

args! {
    /// Argument of [`op::MANAGE_PCI_ADD_EXT`].
    ManagePciExt {
        /// Bus.
        bus: u8,
        /// Device and function.
        devfn: u8,
        /// Zero; fills the structure.
        pad0: u16,
        /// 1 for a function beyond the eighth.
        is_extfn: u32,
        /// 1 for a virtual function.
        is_virtfn: u32,
        /// Of a virtual function's device.
        physfn_bus: u8,
        /// Of a virtual function's device.
        physfn_devfn: u8,
        /// Zero; fills the structure.
        pad1: u16,
    }
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
    /// Argument of [`op::GET_NR_PIRQS`].
    NrPirqs {
        /// Out: how many.
        nr_pirqs: u32,
    }
}

args! {
    /// Argument of [`op::GET_FREE_PIRQ`].
    GetFreePirq {
        /// One of [`map_type`].
        map_type: i32,
        /// Out: the pirq.
        pirq: u32,
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
    /// Argument of [`op::PCI_DEVICE_REMOVE`] and others that only name a device.
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
        /// What it is: [`pci_dev`].
        flags: u32,
        /// Of a virtual function's device.
        physfn_bus: u8,
        /// Of a virtual function's device.
        physfn_devfn: u8,
        /// Zero; fills the structure.
        pad: u16,
    }
}

args! {
    /// Argument of [`op::PCI_DEVICE_RESET`].
    PciDeviceReset {
        /// Which.
        dev: PciDevice,
        /// How: [`reset`].
        flags: u32,
    }
}

args! {
    /// Argument of [`op::DBGP_OP`].
    DbgpOp {
        /// One of [`dbgp`].
        op: u8,
        /// One of [`dbgp`].
        bus: u8,
        /// Where the port is.
        pci: PciDevice,
    }
}
