// SPDX-License-Identifier: GPL-2.0

//! The options of `boot`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Driver, Mode, Versions};

/// Boot Xen, dom0 and two guests in QEMU, on the Rust modules, and check what they do
///
/// Makes whatever is missing, boots in QEMU, creates a PVH and a PV guest with xl, sends a checked stream each way over
/// dom0's bridge, makes an ext4 file system on each guest's disk, writes, reads back, compares with what dom0 finds
/// behind the disk, and says what ran.
#[derive(Args)]
pub struct Boot {
    /// Create only a guest of this kind
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Which hypervisor to boot. Paravane has PVH domains only
    #[arg(long, value_enum, default_value = "xen")]
    pub hypervisor: Hypervisor,
    /// With --hypervisor paravane: start one guest without dom0, print what it writes to its console, and say how it ended.
    /// The default is the stock kernel with an init that powers off
    #[arg(long, value_enum, value_name = "GUEST", num_args = 0..=1, default_missing_value = "stock",
          conflicts_with_all = ["mode", "dom0", "driver", "dom0_drivers", "console", "keep"])]
    pub solo: Option<SoloGuest>,
    /// With --solo: words for the guest's command line
    #[arg(
        long,
        value_name = "WORDS",
        requires = "solo",
        allow_hyphen_values = true
    )]
    pub append: Option<String>,
    /// How dom0 runs (default: pv on Xen; Paravane has PVH only)
    #[arg(long, value_enum)]
    pub dom0: Option<Mode>,
    /// The guests' virtual processors (default: 2; 1 with --solo)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub vcpus: Option<u32>,
    /// The guests' memory in MiB (default: 384; 512 with --solo)
    #[arg(long, value_parser = clap::value_parser!(u32).range(256..=16384))]
    pub memory: Option<u32>,
    #[command(flatten)]
    pub versions: Versions,
    /// Which frontends drive disks and networks: the Rust modules, or the kernel's own, to compare (default: rust)
    #[arg(long, value_enum)]
    pub driver: Option<Driver>,
    /// Which drivers make the device files in dom0's /dev/xen, on which the toolstack runs: the Rust modules, or
    /// the kernel's own, to compare (default: rust)
    #[arg(long, value_enum, value_name = "DRIVERS")]
    pub dom0_drivers: Option<DeviceFiles>,
    /// Open a shell at the end, in dom0 (if no place is named) or in the first guest
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, default_missing_value = "dom0")]
    pub console: Option<Console>,
    /// Keep the machine running at the end until Ctrl-C, to look at it from outside: QEMU's monitor is a socket in the log
    /// folder, whose path is printed, and the consoles are logged there. With --console, after the shell has ended
    #[arg(long)]
    pub keep: bool,
    /// With --hypervisor paravane: write what it did to FILE, in the Trace Event format that Perfetto and chrome://tracing
    /// open: which vCPU ran on which processor, VM exits, hypercalls by name, events, waits for its lock. Also if the boot
    /// fails or hangs. The last 262,144 records of each processor are kept
    #[arg(long, value_name = "FILE", conflicts_with = "solo")]
    pub trace: Option<PathBuf>,
}

/// Hypervisors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hypervisor {
    /// Debian's Xen
    Xen,
    /// The hypervisor of this work tree
    Paravane,
}

/// Guests without dom0.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SoloGuest {
    /// The kernel, with a small initramfs
    Stock,
    /// The small kernel of ours that tries to hurt the hypervisor, and ends by a triple fault
    Misbehaving,
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
    /// The first option that was given and asks for a PV domain, which Paravane does not have.
    pub fn needs_pv(&self) -> Option<&'static str> {
        let given = [
            ("--mode pv", matches!(self.mode, Some(Mode::Pv))),
            ("--dom0 pv", matches!(self.dom0, Some(Mode::Pv))),
        ];
        given.iter().find(|(_, is)| *is).map(|(name, _)| *name)
    }
}
