// SPDX-License-Identifier: GPL-2.0

//! The options of `boot`.

use clap::{Args, ValueEnum};

use super::{Driver, Mode, Versions};

/// Boot Xen, dom0 and two guests in QEMU, on our modules, and check what they do
///
/// Makes whatever is missing, boots in QEMU, creates a PVH and a PV guest with xl, sends a checked stream each way over
/// dom0's bridge, makes an ext4 file system on each guest's disk, writes, reads back, compares with what dom0 finds
/// behind the disk, and says what ran.
#[derive(Args)]
pub struct Boot {
    /// Create only a guest of this kind
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Which hypervisor to boot. Ours has a dom0 only so far: nothing is done there but to say what it sees
    #[arg(long, value_enum, default_value = "xen")]
    pub hypervisor: Hypervisor,
    /// How dom0 runs (default: pv on Xen; ours has PVH only)
    #[arg(long, value_enum)]
    pub dom0: Option<Mode>,
    /// The guests' virtual processors (default: 2)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub vcpus: Option<u32>,
    /// The guests' memory in MiB (default: 384)
    #[arg(long, value_parser = clap::value_parser!(u32).range(192..=16384))]
    pub memory: Option<u32>,
    #[command(flatten)]
    pub versions: Versions,
    /// Which frontends drive disks and networks: ours or the kernel's own, to compare
    /// (default: ours)
    #[arg(long, value_enum)]
    pub driver: Option<Driver>,
    /// Which drivers make the device files in dom0's /dev/xen, on which the toolstack runs: ours or the kernel's own
    /// (default: ours)
    #[arg(long, value_enum, value_name = "DRIVERS")]
    pub dom0_drivers: Option<DeviceFiles>,
    /// Open a shell at the end, in dom0 (if no place is named) or in the first guest
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, default_missing_value = "dom0")]
    pub console: Option<Console>,
    /// Keep the machine running at the end until Ctrl-C, to look at it from outside: QEMU's monitor is a socket in the log
    /// folder, whose path is printed, and the consoles are logged there. With --console, after the shell has ended
    #[arg(long)]
    pub keep: bool,
}

/// Hypervisors.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Hypervisor {
    /// Debian's Xen
    Xen,
    /// Ours
    Paravane,
}

/// Drivers of the toolstack's device files.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceFiles {
    /// xen_evtchn_rs, xen_gntalloc_rs, xen_gntdev_rs and xen_privcmd_rs
    Rust,
    /// xen_evtchn, xen_gntalloc, xen_gntdev and xen_privcmd
    C,
}

/// Where a console leads.
#[derive(Clone, Copy, ValueEnum)]
pub enum Console {
    /// Dom0's shell
    Dom0,
    /// The first guest's console
    #[value(name = "domU", alias = "domu")]
    DomU,
}

impl Boot {
    /// The first option that was given and means nothing on our own hypervisor, which has no guests yet.
    pub fn for_guests(&self) -> Option<&'static str> {
        let given = [
            ("--mode", self.mode.is_some()),
            ("--dom0", matches!(self.dom0, Some(Mode::Pv))),
            ("--vcpus", self.vcpus.is_some()),
            ("--memory", self.memory.is_some()),
            ("--driver", self.driver.is_some()),
            ("--dom0-drivers", self.dom0_drivers.is_some()),
            ("--keep", self.keep),
            (
                "--console domU",
                matches!(self.console, Some(Console::DomU)),
            ),
        ];
        given.iter().find(|(_, is)| *is).map(|(name, _)| *name)
    }
}
