// SPDX-License-Identifier: GPL-2.0

//! What a machine looks like before any guest exists.

use std::fmt;

use anyhow::Result;
use kbuild::accel::{Accel, AccelNeed, Acceleration};

use crate::guest::Mode;
use crate::tables::SECOND_MADT;

/// How dom0 runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dom0 {
    /// Paravirtualised.
    Pv,
    /// Hardware-assisted, without a device model; needs an IOMMU.
    Pvh,
}

impl Dom0 {
    /// How people write it.
    pub fn name(self) -> &'static str {
        match self {
            Dom0::Pv => "PV",
            Dom0::Pvh => "PVH",
        }
    }
}

/// Devices of a machine besides those that every machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Devices {
    /// None.
    #[default]
    None,
    /// Disks and networks of several kinds, for dom0 to drive itself: see [`crate::devices`].
    Real,
    /// Some for guests to be passed: see [`crate::passed`].
    Passed,
    /// A third virtio disk with a user's Debian for a guest: see [`kbuild::image::debian`].
    Debian,
    /// What a guest of a user's kernel has: a third virtio disk with the kernel ([`kbuild::image::GuestKernel`]), others for
    /// its disks ([`crate::machine::guest_disks`]), a network interface, and a folder of this machine. What is behind them is
    /// another each time that the machine goes on from its snapshot.
    GuestKernel,
}

/// Which hypervisor runs the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hypervisor {
    /// Debian's Xen.
    Xen,
    /// Ours.
    Paravane,
}

impl Hypervisor {
    /// How people write it.
    pub fn name(self) -> &'static str {
        match self {
            Hypervisor::Xen => "Xen",
            Hypervisor::Paravane => "Paravane",
        }
    }
}

/// What dom0 runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// The kernel under test, unpacked beforehand: an emulated processor does nothing as slowly as that.
    #[default]
    Unpacked,
    /// The kernel under test as its package has it: the hypervisor unpacks it.
    Packed,
    /// A guest of ours that tries to hurt the hypervisor: no devices are for it.
    Misbehaving,
}

/// How the hypervisor gets into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loader {
    /// QEMU puts it there, by multiboot 1.
    #[default]
    Qemu,
    /// GRUB loads it from a disk, by multiboot 2: see [`kbuild::image::grub`].
    Grub,
    /// GRUB, on a machine with UEFI instead of a BIOS.
    GrubByUefi,
}

/// A machine. Scenarios with the same topology share a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topology {
    /// Which hypervisor is booted.
    pub hypervisor: Hypervisor,
    /// How dom0 runs.
    pub dom0: Dom0,
    /// Processors of the machine. PVH guests run on the last one: see [`Topology::placement`].
    pub cpus: u32,
    /// Memory of the machine in MiB.
    pub memory: u32,
    /// Dom0's virtual processors.
    pub dom0_vcpus: u32,
    /// Dom0's memory in MiB; guests' disks are in it.
    pub dom0_memory: u32,
    /// Devices besides those that every machine has.
    pub devices: Devices,
    /// Whether its firmware is wrong about interrupts: see [`crate::tables`].
    pub misleading: bool,
    /// Whether it has an IOMMU; a PVH dom0 needs one and always gets it.
    pub iommu: bool,
    /// What dom0 runs.
    pub kernel: Kernel,
    /// What loads the hypervisor.
    pub loader: Loader,
    /// Whether a reset starts the machine again; it ends otherwise.
    pub restarts: bool,
    /// Whether it stands still until a debugger connects: see [`crate::gdb`].
    pub debugged: bool,
    /// Whether the emulator counts what is executed between marks: see [`counter`].
    pub counted: bool,
    /// Arguments of a misbehaving guest that the Paravane hypervisor starts beside dom0; empty for none.
    pub misbehaving_guest: &'static str,
    /// Words for the hypervisor's command line.
    pub xen_args: &'static str,
    /// Words for dom0's kernel command line.
    pub dom0_args: &'static str,
}

impl Topology {
    /// A PV dom0 with room for a few guests.
    pub const PV: Self = Self {
        hypervisor: Hypervisor::Xen,
        dom0: Dom0::Pv,
        cpus: 2,
        memory: 4608,
        dom0_vcpus: 2,
        dom0_memory: 1536,
        devices: Devices::None,
        misleading: false,
        iommu: false,
        kernel: Kernel::Unpacked,
        loader: Loader::Qemu,
        restarts: false,
        debugged: false,
        counted: false,
        misbehaving_guest: "",
        xen_args: "",
        dom0_args: "",
    };

    /// A PVH dom0 with room for a few guests.
    pub const PVH: Self = Self {
        dom0: Dom0::Pvh,
        cpus: 3,
        ..Self::PV
    };

    /// A PV dom0 with devices to pass on, and the IOMMU without which Xen passes none.
    pub const PASSED: Self = Self {
        devices: Devices::Passed,
        iommu: true,
        ..Self::PV
    };

    /// A PVH dom0 with the same devices.
    pub const PVH_PASSED: Self = Self {
        dom0: Dom0::Pvh,
        cpus: 3,
        ..Self::PASSED
    };

    /// A PVH dom0 on our own hypervisor.
    pub const PARAVANE: Self = Self {
        hypervisor: Hypervisor::Paravane,
        dom0: Dom0::Pvh,
        // The first one runs no vCPUs in QEMU's emulation.
        cpus: 3,
        memory: 2560,
        ..Self::PV
    };

    /// The same with disks and networks for dom0, with memory beyond 4 GiB, and without the toolstack.
    pub const PARAVANE_REAL: Self = Self {
        dom0_args: "paravane.toolstack=none",
        memory: Self::PV_REAL.memory,
        dom0_memory: Self::PV_REAL.dom0_memory,
        devices: Devices::Real,
        ..Self::PARAVANE
    };

    /// A machine for the same guests on our hypervisor, which has a PVH dom0 and PVH guests only.
    #[must_use]
    pub const fn on_paravane(self) -> Self {
        Self {
            hypervisor: Hypervisor::Paravane,
            dom0: Dom0::Pvh,
            cpus: Self::PARAVANE.cpus,
            dom0_vcpus: Self::PARAVANE.dom0_vcpus,
            iommu: false,
            ..self
        }
    }

    /// The same machine with Xen in the place of our hypervisor. Xen's dom0 keeps to processors of its own.
    #[must_use]
    pub const fn on_xen(self) -> Self {
        Self {
            hypervisor: Hypervisor::Xen,
            cpus: self.dom0_vcpus + 1,
            ..self
        }
    }

    /// The same machine with other words for dom0's command line.
    #[must_use]
    pub const fn dom0_args(self, dom0_args: &'static str) -> Self {
        Self { dom0_args, ..self }
    }

    /// The same machine with so many vCPUs of dom0's, and as many processors.
    #[must_use]
    pub const fn dom0_vcpus(self, count: u32) -> Self {
        Self {
            cpus: count,
            dom0_vcpus: count,
            ..self
        }
    }

    /// The same machine with our drivers behind the device files in dom0's `/dev/xen`, on which the toolstack runs.
    #[must_use]
    pub const fn with_our_device_files(self) -> Self {
        Self {
            dom0_args: "paravane.dom0_drivers=rust",
            ..self
        }
    }

    /// That, with the xenstore daemon that is written in C; the usual one is written in OCaml.
    #[must_use]
    pub const fn with_our_device_files_and_c_xenstored(self) -> Self {
        Self {
            dom0_args: "paravane.dom0_drivers=rust paravane.xenstored=c",
            ..self
        }
    }

    /// A PV dom0 that drives disks and networks itself, with most of its memory beyond what a device with 32 bits of
    /// address reaches.
    pub const PV_REAL: Self = Self {
        memory: 6144,
        dom0_memory: 3072,
        devices: Devices::Real,
        ..Self::PV
    };

    /// [`Self::PV_REAL`] with an IOMMU.
    pub const PV_REAL_IOMMU: Self = Self {
        iommu: true,
        ..Self::PV_REAL
    };

    /// [`Self::PV_REAL`] with firmware that is wrong about interrupts.
    pub const PV_MISLED: Self = Self {
        misleading: true,
        xen_args: SECOND_MADT,
        dom0_args: SECOND_MADT,
        ..Self::PV_REAL
    };

    /// A PVH dom0 that drives disks and networks itself.
    pub const PVH_REAL: Self = Self {
        dom0: Dom0::Pvh,
        cpus: 3,
        ..Self::PV_REAL
    };

    /// The same machine, whose hypervisor, which is ours, keeps a [`crate::trace`] of 8 MiB for each processor.
    #[must_use]
    pub const fn traced(self) -> Self {
        Self {
            xen_args: "tbuf_size=2048",
            ..self
        }
    }

    /// Whether there is a trace of it.
    pub fn is_traced(&self) -> bool {
        self.hypervisor == Hypervisor::Paravane && self.xen_args.contains("tbuf_size=")
    }

    /// Whether dom0 starts a toolstack, so that there can be guests.
    pub fn toolstack(&self) -> bool {
        !self.dom0_args.contains("paravane.toolstack=none")
    }

    /// What executes its instructions.
    ///
    /// # Errors
    ///
    /// If the user wants KVM, and KVM cannot run it.
    pub fn accel(&self, acceleration: &Acceleration) -> Result<Accel> {
        match self.hypervisor {
            // What counts is a plugin of QEMU's translation.
            _ if self.counted => Ok(Accel::Tcg),
            // PV domains need no virtualization, but nearly all machines here have others.
            Hypervisor::Xen => acceleration.choose(AccelNeed::Nested),
            Hypervisor::Paravane => acceleration.choose(AccelNeed::NestedSvm),
        }
    }

    /// The line of xl's configuration that says where a guest runs, or nothing.
    ///
    /// QEMU's emulated SVM mixes up guest and host on the first processor when another one restores the state of its FPU
    /// (docs/design/machines.md): a guest with four virtual processors on two dies of a triple fault within seconds. So all
    /// PVH and HVM guests run on one processor, the last. PV guests, among them dom0, do not use SVM and run anywhere; a
    /// PVH dom0 keeps to processors of its own.
    pub fn placement(&self, mode: Mode) -> String {
        match mode {
            Mode::Pv => String::new(),
            Mode::Pvh | Mode::Hvm => self.on_last_cpu(),
        }
    }

    /// The line of xl's configuration that keeps a guest on the machine's last processor.
    pub fn on_last_cpu(&self) -> String {
        format!("cpus = '{}'", self.cpus.saturating_sub(1))
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hypervisor, dom0) = (self.hypervisor.name(), self.dom0.name());
        write!(
            f,
            "{hypervisor}, {dom0} dom0, {} processors, {} MiB",
            self.cpus, self.memory
        )?;
        if self.dom0_vcpus > self.cpus {
            write!(f, ", {} vCPUs", self.dom0_vcpus)?;
        }
        if self.iommu {
            write!(f, ", IOMMU")?;
        }
        match self.devices {
            Devices::None => {}
            Devices::Real => write!(f, ", disks and networks")?,
            Devices::Passed => write!(f, ", devices to pass on")?,
            Devices::Debian => write!(f, ", a guest's Debian")?,
            Devices::GuestKernel => write!(f, ", a guest's kernel")?,
        }
        match self.kernel {
            Kernel::Unpacked => {}
            Kernel::Packed => write!(f, ", kernel as packaged")?,
            Kernel::Misbehaving => write!(f, ", misbehaving guest")?,
        }
        match self.loader {
            Loader::Qemu => {}
            Loader::Grub => write!(f, ", GRUB")?,
            Loader::GrubByUefi => write!(f, ", GRUB by UEFI")?,
        }
        if !self.misbehaving_guest.is_empty() {
            write!(f, ", beside a misbehaving guest")?;
        }
        for args in [self.xen_args, self.dom0_args] {
            if !args.is_empty() {
                write!(f, ", {args}")?;
            }
        }
        Ok(())
    }
}
