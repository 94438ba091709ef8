// SPDX-License-Identifier: GPL-2.0

//! What a machine looks like before any guest exists.

use std::fmt;

use crate::guest::Mode;

/// How dom0 runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dom0 {
    /// Paravirtualised.
    Pv,
    /// In a hardware-assisted container; needs an IOMMU.
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

/// A machine. Scenarios with the same topology share a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topology {
    /// The hypervisor.
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
    /// Words for Xen's command line.
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
        xen_args: "",
        dom0_args: "",
    };

    /// The same with a PVH dom0.
    pub const PVH: Self = Self {
        dom0: Dom0::Pvh,
        cpus: 3,
        ..Self::PV
    };

    /// A PVH dom0 on our own hypervisor, each vCPU with a processor of its own. There is no toolstack in it yet.
    pub const PARAVANE: Self = Self {
        hypervisor: Hypervisor::Paravane,
        dom0: Dom0::Pvh,
        cpus: 2,
        memory: 2560,
        dom0_args: "paravane.toolstack=none",
        ..Self::PV
    };

    /// The same machine with our drivers behind the nodes in dom0's `/dev/xen`, on which the toolstack runs.
    #[must_use]
    pub const fn with_our_nodes(self) -> Self {
        Self {
            dom0_args: "paravane.dom0_drivers=rust",
            ..self
        }
    }

    /// That, with the xenstore daemon that is written in C; the usual one is written in OCaml.
    #[must_use]
    pub const fn with_our_nodes_and_c_xenstored(self) -> Self {
        Self {
            dom0_args: "paravane.dom0_drivers=rust paravane.xenstored=c",
            ..self
        }
    }

    /// The line of xl's configuration that says where a guest runs, or nothing.
    ///
    /// QEMU's emulated SVM mixes up guest and host when two processors run hardware-assisted guests at the same time
    /// and one of them changes from one virtual processor to another: a guest with four virtual processors on two
    /// dies of a triple fault within seconds. So all PVH and HVM guests run on one processor. PV guests, among them dom0, do
    /// not use SVM and run anywhere; a PVH dom0 keeps to processors of its own.
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
        for args in [self.xen_args, self.dom0_args] {
            if !args.is_empty() {
                write!(f, ", {args}")?;
            }
        }
        Ok(())
    }
}
