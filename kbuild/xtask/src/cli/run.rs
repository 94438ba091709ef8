// SPDX-License-Identifier: GPL-2.0

//! The options of `run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Driver;

// The names of the options are those of the keys in a configuration file, too: see `crate::run::config_file`.

/// Run a command on a kernel of yours, as a guest's or as dom0's
///
/// The kernel may be a bzImage, a vmlinux, a Debian package, a folder that it was built in, or tuxmake's output. What it
/// lacks for what is asked of it is told before anything boots. The command's output comes through, on standard output and
/// standard error; everything else is on standard error. Standard input is the command's, unless it is a terminal. Without
/// a command there is a shell.
///
/// A guest's root is in memory, with busybox and what it takes to make and check file systems. Of the kernel's modules it
/// has all if they are few (24 MiB), else those of Xen's front ends and of ext4 with what they need. A dom0 has Debian's
/// root with the toolstack (xl), and what is written to it is lost.
///
/// Exit status: 0 to 254 are the command's (126 and 127 if it cannot be run, 128 and the signal's number if one ended it);
/// 124 if the time of --timeout is over; 125 if nothing could be learnt of the kernel: it or the command line is not as it
/// should be, or machine, network or a build failed; 255 if the kernel died, hangs, or does not bring up a device that was
/// asked for (1 with --bisect); 130 if interrupted.
#[derive(Args, Debug, Default, PartialEq, Eq)]
#[command(name = "run")]
pub struct Run {
    /// Take options from a TOML file: their names without the dashes, and `command`. Paths in it begin at its folder. What
    /// the command line says counts more
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The kernel: a bzImage, vmlinux, .deb, build folder, or tuxmake's output (default: Debian's newest)
    #[arg(long, value_name = "PATH")]
    pub kernel: Option<PathBuf>,
    /// Its modules, if they do not lie beside it: a folder with lib/modules/RELEASE, a tar archive of one, or a .deb
    #[arg(long, value_name = "PATH")]
    pub modules: Option<PathBuf>,
    /// What the kernel runs as
    #[arg(
        long = "as",
        value_enum,
        value_name = "ROLE",
        required_unless_present = "config"
    )]
    pub role: Option<RunAs>,
    /// What the kernel runs on (default: xen)
    #[arg(long, value_enum)]
    pub hypervisor: Option<RunHypervisor>,
    /// A series of Xen, such as 4.20, or a package's name (default: the newest in the archive)
    #[arg(long, value_name = "SERIES")]
    pub xen: Option<String>,
    /// Whose drivers: ours or the kernel's own. Ours need a kernel that they can be built for: Debian's newest, as a package
    /// or installed, or a build folder with CONFIG_RUST (default: c for a kernel of yours, else rust)
    #[arg(long, value_enum)]
    pub drivers: Option<Driver>,
    /// Virtual processors of the guest, or of the dom0 that is tried (default: 2)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub vcpus: Option<u32>,
    /// Its memory in MiB (default: 1024 for a guest, 1536 for a dom0)
    #[arg(long, value_parser = clap::value_parser!(u32).range(192..=16384))]
    pub memory: Option<u32>,
    /// The root of a guest's command: a raw image of a file system, a folder, or / for this machine's files. What is
    /// written is lost
    #[arg(long, value_name = "PATH")]
    pub root: Option<PathBuf>,
    /// A raw image as a guest's disk: xvda, or xvdb beside --root. What is written is lost
    #[arg(long, value_name = "FILE")]
    pub disk: Vec<PathBuf>,
    /// Connect a guest with this machine's network, by QEMU's user network
    #[arg(long)]
    pub net: bool,
    /// Words for the kernel's command line
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// How long boot and command may take together
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub timeout: Option<u64>,
    /// Write the results as JSON, as tuxrun does. Results that the command prints as KTAP are among them
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Write the results as JUnit
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print the results as LAVA's signals on standard output, behind what the command prints
    #[arg(long)]
    pub lava: bool,
    /// Exit with 1 where the status would be 128 or more, at which `git bisect run` gives up
    #[arg(long)]
    pub bisect: bool,
    /// Boot Xen and dom0 even if an earlier run has kept them
    #[arg(long)]
    pub no_snapshots: bool,
    /// Program and arguments; a single text is run by a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What a kernel runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunHypervisor {
    /// Debian's Xen
    Xen,
    /// The hypervisor of this work tree. It has no guests here yet: it takes dom0-pvh only
    Paravane,
    /// QEMU's own Xen interface, which only KVM has: no Xen, no dom0. It takes hvm only
    Kvm,
}

/// What a kernel runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunAs {
    /// A paravirtualised guest
    Pv,
    /// A hardware-assisted guest without a device model
    Pvh,
    /// A hardware-assisted guest with a device model
    Hvm,
    /// Xen's dom0, paravirtualised
    Dom0Pv,
    /// Dom0, hardware-assisted
    Dom0Pvh,
}
