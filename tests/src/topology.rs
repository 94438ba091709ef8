// SPDX-License-Identifier: GPL-2.0

//! What a machine looks like before any guest exists.

use std::fmt;

use crate::placement::SHARED;

/// How dom0 runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dom0 {
    /// Paravirtualised.
    Pv,
    /// In a hardware-assisted container; needs an IOMMU.
    Pvh,
}

/// A machine. Scenarios with the same topology share a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topology {
    /// How dom0 runs.
    pub dom0: Dom0,
    /// Processors of the machine; [`crate::placement`] says who gets which.
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
    /// A PV dom0 with room for a few guests, of which PVH guests have four virtual processors in all.
    pub const PV: Self = Self {
        dom0: Dom0::Pv,
        cpus: SHARED + 4,
        memory: 4608,
        dom0_vcpus: 2,
        dom0_memory: 1536,
        xen_args: "",
        dom0_args: "",
    };

    /// The same with a PVH dom0.
    pub const PVH: Self = Self {
        dom0: Dom0::Pvh,
        ..Self::PV
    };
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dom0 = match self.dom0 {
            Dom0::Pv => "PV",
            Dom0::Pvh => "PVH",
        };
        write!(
            f,
            "{dom0} dom0, {} processors, {} MiB",
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
