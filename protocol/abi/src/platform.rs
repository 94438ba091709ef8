// SPDX-License-Identifier: GPL-2.0

//! The `platform_op` hypercall, `platform.h`, as far as a Linux dom0 uses it.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the argument's second field must say (`XENPF_INTERFACE_VERSION`).
pub const INTERFACE_VERSION: u32 = 0x0300_0001;

/// Commands (`XENPF_*`).
pub mod op {
    /// Sets the wall clock.
    pub const SETTIME32: u32 = 17;
    /// Sets the wall clock; takes [`Settime64`](super::Settime64).
    pub const SETTIME64: u32 = 62;
    /// Tells a memory type range register.
    pub const READ_MEMTYPE: u32 = 33;
    /// Loads microcode.
    pub const MICROCODE_UPDATE: u32 = 35;
    /// Takes [`PcpuVersion`](super::PcpuVersion).
    pub const GET_CPU_VERSION: u32 = 48;
    /// Calls the firmware.
    pub const EFI_RUNTIME_CALL: u32 = 49;
    /// Tells what the firmware said.
    pub const FIRMWARE_INFO: u32 = 50;
    /// Takes [`EnterAcpiSleep`](super::EnterAcpiSleep).
    pub const ENTER_ACPI_SLEEP: u32 = 51;
    /// Sets a CPU's frequency.
    pub const CHANGE_FREQ: u32 = 52;
    /// Tells CPUs' idle times.
    pub const GETIDLETIME: u32 = 53;
    /// Tells the hypervisor what ACPI says of a CPU's states.
    pub const SET_PROCESSOR_PMINFO: u32 = 54;
    /// Takes [`PcpuInfo`](super::PcpuInfo).
    pub const GET_CPUINFO: u32 = 55;
    /// Starts a CPU.
    pub const CPU_ONLINE: u32 = 56;
    /// Stops a CPU.
    pub const CPU_OFFLINE: u32 = 57;
    /// Parks CPUs.
    pub const CORE_PARKING: u32 = 60;
    /// Takes [`ResourceOp`](super::ResourceOp).
    pub const RESOURCE_OP: u32 = 61;
    /// Tells a symbol of the hypervisor.
    pub const GET_SYMBOL: u32 = 63;
    /// Tells what the screen looks like.
    pub const GET_DOM0_CONSOLE: u32 = 64;
    /// Takes [`UcodeRevision`](super::UcodeRevision).
    pub const GET_UCODE_REVISION: u32 = 65;
}

args! {
    /// Argument of [`op::RESOURCE_OP`].
    ResourceOp {
        /// In: how many entries.
        nr_entries: u32,
        /// In: which CPU.
        cpu: u32,
        /// In: address of a list of [`ResourceEntry`].
        entries: u64,
    }
}

args! {
    /// An access to an MSR.
    ResourceEntry {
        /// In: see [`resource`]; out, if it fails: a negative error number.
        cmd: u32,
        /// Zero.
        rsvd: u32,
        /// In: the MSR's number.
        idx: u64,
        /// In or out: its value.
        val: u64,
    }
}

/// Values of [`ResourceEntry::cmd`] (`XEN_RESOURCE_OP_*`).
pub mod resource {
    /// Reads an MSR.
    pub const MSR_READ: u32 = 0;
    /// Writes an MSR.
    pub const MSR_WRITE: u32 = 1;
}

args! {
    /// The argument of any command.
    Header {
        /// See [`op`].
        cmd: u32,
        /// [`INTERFACE_VERSION`].
        interface_version: u32,
        /// The command's own argument.
        u: [u64; 16],
    }
}

args! {
    /// Argument of [`op::SETTIME64`].
    Settime64 {
        /// Seconds since 1970.
        secs: u64,
        /// Nanoseconds.
        nsecs: u32,
        /// Zero.
        mbz: u32,
        /// The system time at which it is that time.
        system_time: u64,
    }
}

/// The registers are the extended ones (`XENPF_ACPI_SLEEP_EXTENDED`).
pub const ACPI_SLEEP_EXTENDED: u32 = 1;

args! {
    /// Argument of [`op::ENTER_ACPI_SLEEP`].
    EnterAcpiSleep {
        /// For the first control register.
        val_a: u16,
        /// For the second.
        val_b: u16,
        /// 1 to 5.
        sleep_state: u32,
        /// 1 for the extended registers.
        flags: u32,
    }
}

/// What [`op::FIRMWARE_INFO`] asks for (`XEN_FW_*`).
pub mod firmware {
    /// A disk's geometry, from the BIOS.
    pub const DISK_INFO: u32 = 1;
    /// The signature in a disk's boot record.
    pub const DISK_MBR_SIGNATURE: u32 = 2;
    /// What the screen says of itself, from the BIOS.
    pub const VBEDDC_INFO: u32 = 3;
    /// EFI's tables.
    pub const EFI_INFO: u32 = 4;
    /// The keyboard's state, from the BIOS.
    pub const KBD_SHIFT_FLAGS: u32 = 5;
}

args! {
    /// Argument of [`op::FIRMWARE_INFO`].
    FirmwareInfo {
        /// See [`firmware`].
        kind: u32,
        /// Which of them.
        index: u32,
        /// Out, by kind.
        u: [u64; 4],
    }
}

/// What [`op::SET_PROCESSOR_PMINFO`] is about (`XEN_PM_*`).
pub mod pm {
    /// Idle states.
    pub const CX: u32 = 0;
    /// Performance states.
    pub const PX: u32 = 1;
    /// Throttling states.
    pub const TX: u32 = 2;
    /// What the firmware is to be told of the drivers (`_PDC`).
    pub const PDC: u32 = 3;
}

args! {
    /// Argument of [`op::SET_PROCESSOR_PMINFO`].
    SetPminfo {
        /// ACPI's number of a processor, or all ones for any.
        id: u32,
        /// See [`pm`].
        kind: u32,
        /// Of [`pm::PDC`]: address of a revision, a count and as many words of capabilities, of 4 bytes each.
        pdc: u64,
        /// Of other kinds.
        other: [u64; 12],
    }
}

args! {
    /// Argument of [`op::GET_CPUINFO`].
    PcpuInfo {
        /// In: which CPU.
        xen_cpuid: u32,
        /// Out: the highest number.
        max_present: u32,
        /// Out: 1 if it runs, 2 if there is none.
        flags: u32,
        /// Out.
        apic_id: u32,
        /// Out.
        acpi_id: u32,
    }
}

args! {
    /// Argument of [`op::GET_CPU_VERSION`].
    PcpuVersion {
        /// In: which CPU.
        xen_cpuid: u32,
        /// Out: the highest number.
        max_present: u32,
        /// Out.
        vendor_id: [u8; 12],
        /// Out.
        family: u32,
        /// Out.
        model: u32,
        /// Out.
        stepping: u32,
    }
}

args! {
    /// Argument of [`op::GET_UCODE_REVISION`].
    UcodeRevision {
        /// In.
        cpu: u32,
        /// Out.
        signature: u32,
        /// Out.
        pf: u32,
        /// Out.
        revision: u32,
    }
}
