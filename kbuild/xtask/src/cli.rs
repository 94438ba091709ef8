// SPDX-License-Identifier: GPL-2.0

//! The options of every subcommand.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kbuild::Session;
use kbuild::host::Needs;
use kbuild::session::Options;

/// Build Paravane's modules, boot them under Xen, test them.
///
/// Everything needed is fetched and built on first use and kept in a cache outside the work tree
/// ($PARAVANE_CACHE, else $XDG_CACHE_HOME/paravane, else ~/.cache/paravane).
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args)]
pub struct Global {
    /// Print every line of every command that runs
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Ask the archive for newer versions, even if the last answer is less than a day old
    #[arg(long, global = true)]
    refresh: bool,
    /// The Debian mirror to use instead of the one this machine's apt is configured with [env: PARAVANE_MIRROR]
    #[arg(long, global = true, value_name = "URI")]
    mirror: Option<String>,
}

impl Global {
    /// The form the crates below want.
    pub fn options(&self) -> Options {
        Options {
            verbose: self.verbose,
            refresh: self.refresh,
            mirror: self.mirror.clone(),
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    Bench(Bench),
    Boot(Boot),
    Build(Build),
    Kernel(Kernel),
    Test(Test),
    Clean(Clean),
    Doctor(Doctor),
    Shell(Shell),
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

impl Command {
    /// A name for the whole of it, if it is long: how long that took is told the next time. With an empty cache it is
    /// something else.
    pub fn whole(&self, session: &Session) -> Option<String> {
        let name = match self {
            Self::Boot(_) => "boot",
            Self::Build(_) => "build",
            Self::Kernel(_) => "kernel",
            Self::Test(test) if test.full => "test --full",
            Self::Test(test) if test.filter.is_empty() && !test.list => "test",
            _ => return None,
        };
        let cold = !session.cache.root().join("sandbox").exists();
        let with = if cold { " with an empty cache" } else { "" };
        Some(format!("cargo xtask {name}{with}"))
    }

    /// What the machine has to have for it.
    pub fn needs(&self) -> Option<Needs> {
        match self {
            Self::Build(_) | Self::Shell(_) => Some(Needs::BUILD),
            Self::Boot(_) => Some(Needs::BOOT),
            Self::Test(test) if test.list => None,
            Self::Bench(_) | Self::Test(_) => Some(Needs::TEST),
            Self::Kernel(kernel) if kernel.lay => None,
            Self::Kernel(_) => Some(Needs::KERNEL),
            Self::Clean(_) | Self::Doctor(_) => None,
        }
    }
}

/// Open a shell in the build sandbox, or run one command there
///
/// The work tree is visible read-only under /paravane, the cache under /cache.
#[derive(Args)]
pub struct Shell {
    /// The Debian suite of the sandbox
    #[arg(long, default_value = "trixie")]
    pub suite: String,
    /// Give the sandbox the machine's network
    #[arg(long)]
    pub network: bool,
    /// What to run instead of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

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
    /// Which drivers make the nodes in dom0's /dev/xen, on which the toolstack runs: ours or the kernel's own (default: ours)
    #[arg(long, value_enum, value_name = "DRIVERS")]
    pub dom0_drivers: Option<Nodes>,
    /// Open a shell at the end, in dom0 (if nothing is said) or in the first guest
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, default_missing_value = "dom0")]
    pub console: Option<Console>,
    /// Keep the machine running at the end until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

/// Compare a driver of ours with the kernel's own
///
/// Exits with a status that is not zero if ours is slower, or asks more of the hypervisor, in any cell, noise
/// included. It was so for each of the drivers' tables in docs/results: the status is not for continuous integration.
#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    pub subject: Subject,
}

/// What to compare.
#[derive(Subcommand)]
pub enum Subject {
    /// Compare the block frontends
    ///
    /// Boots once and alternates the two drivers in a PV and in a PVH guest on one back end (null_blk). A whole run
    /// takes some 20 minutes without KVM and writes docs/results/blk.md. Nothing else should run on the machine.
    Blk(BenchBlk),
    /// Compare the network frontends
    ///
    /// Boots once and alternates the two drivers in a PV and in a PVH guest on dom0's bridge. A whole run takes some 20
    /// minutes without KVM and writes docs/results/net.md. Nothing else should run on the machine.
    Net(BenchCommon),
    /// Compare the drivers of the toolstack's device nodes
    ///
    /// Boots a PV dom0 and then a PVH dom0, ends the toolstack there, and alternates the modules behind /dev/xen under a
    /// program that makes hypercalls, maps memory and grants of a paused guest, and sends events. A whole run takes
    /// some 15 minutes without KVM and writes docs/results/nodes.md. Nothing else should run on the machine.
    Nodes(BenchCommon),
    /// Compare the DMA layer of a PV dom0
    ///
    /// Builds two kernels that differ only in Xen-SWIOTLB and the PCI and ACPI plumbing, ours in `overlay`, the C objects in
    /// `overlay-c`, boots them by turns as PV dom0 on Xen, and measures the mapping of memory, and dd and fio on four disks
    /// there. A whole run boots each five times and writes docs/results/dma.md. Nothing else should run on the machine.
    Dma(BenchDma),
    /// Compare our hypervisor with Debian's Xen
    ///
    /// Boots the same kernel as PVH dom0 on each by turns, measures boot, hypercalls, events and processes, and compares what
    /// dom0 sees of either and which hypercalls it makes. A whole run takes some 7 minutes without KVM and writes
    /// docs/results/hypervisor.md. Nothing else should run on the machine.
    Hypervisor(BenchHypervisor),
}

// A comment for the documentation would be the help of the commands.
#[derive(Args)]
pub struct BenchDma {
    #[command(flatten)]
    pub cells: BenchCells,
    /// A series of Xen, such as 4.20, or a package's name (default: the newest in the archive)
    #[arg(long, value_name = "SERIES")]
    pub xen: Option<String>,
}

// As above.
#[derive(Args)]
pub struct BenchHypervisor {
    /// How often to boot each; 0 only lists the hypercalls, on the terminal
    #[arg(long, default_value_t = vmtest::bench::hypervisors::ROUNDS)]
    pub rounds: u32,
    /// Where to write the tables (default: docs/results/hypervisor.md after a whole run, the run's log folder otherwise)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub versions: Versions,
}

// A comment for the documentation would be the help of the commands.
#[derive(Args)]
pub struct BenchBlk {
    #[command(flatten)]
    pub common: BenchCommon,
    /// Let the back end offer no persistent grants
    #[arg(long)]
    pub no_persistent: bool,
}

// As above.
#[derive(Args)]
pub struct BenchCommon {
    #[command(flatten)]
    pub cells: BenchCells,
    /// Only in a guest, or a dom0, of this kind
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// What to compare with the kernel's driver: the kernel's driver itself shows how exact the method is
    #[arg(long, value_enum, default_value = "rust")]
    pub driver: Driver,
    #[command(flatten)]
    pub versions: Versions,
}

// Which cells are measured and how, whatever is compared. As above.
#[derive(Args)]
pub struct BenchCells {
    /// Only the cells that tell most, and half the rounds
    #[arg(long)]
    pub quick: bool,
    /// Only cells whose words contain this, as bench.log shows them: tcp-out:4:4 is TCP out with 4 streams and 4
    /// queues, fio-read:nvme:32 is fio on an NVMe disk with 32 reads in flight. May be given several times
    #[arg(long, value_name = "CELL")]
    pub only: Vec<String>,
    /// How often each side runs each cell, which for `dma` is how often each kernel is booted
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// How long a cell runs each time, in milliseconds
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub slice: Option<u64>,
    /// Where to write the tables (default: docs/results for a whole run, else the run's log folder)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

// What machines boot. A comment for the documentation would be the help of the commands.
#[derive(Args)]
pub struct Versions {
    /// A kernel target of kernels.toml. Kernels that are built elsewhere cannot be booted
    #[arg(long, value_name = "TARGET")]
    pub kernel: Option<String>,
    /// A series of Xen, such as 4.20, or a package's name (default: the newest in the archive)
    #[arg(long, value_name = "SERIES")]
    pub xen: Option<String>,
}

/// Hypervisors.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Hypervisor {
    /// Debian's Xen
    Xen,
    /// Ours
    Paravane,
}

/// How a domain runs.
#[derive(Clone, Copy, ValueEnum)]
pub enum Mode {
    /// Paravirtualised
    Pv,
    /// Hardware-assisted, without a device model
    Pvh,
}

/// Whose drivers.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// Ours, such as xen_blkfront_rs
    Rust,
    /// The kernel's own, such as xen_blkfront
    C,
}

/// Drivers of the toolstack's device nodes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Nodes {
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

/// Build the modules for a kernel, or the hypervisor
#[derive(Args)]
pub struct Build {
    /// Build the hypervisor instead of modules
    #[arg(long, conflicts_with_all = ["kernel", "clippy"])]
    pub hypervisor: bool,
    /// Where to put the hypervisor's image: the file that GRUB's multiboot2 and QEMU's -kernel take (default: the cache)
    #[arg(long, value_name = "FILE", requires = "hypervisor")]
    pub output: Option<PathBuf>,
    /// A kernel target of kernels.toml, or the build folder of a kernel on this machine, such as
    /// /lib/modules/$(uname -r)/build
    #[arg(long, value_name = "TARGET|PATH")]
    pub kernel: Option<String>,
    /// Check with clippy; what it finds is an error
    #[arg(long)]
    pub clippy: bool,
}

/// Build a Linux kernel in which C files of the Xen support are replaced by Rust code
///
/// Takes a kernel's source (x86-64, 7.2 or newer), lays our code into a copy of it with a few lines in its Kconfig and
/// Makefiles, and builds image, modules and a Debian package. No line of C is changed; each object can be left to C. The small
/// configuration takes minutes and 7 GB, and a change of our code is built in less than a minute. Another configuration
/// takes as long as a kernel of that size does. All variants' packages are called linux-image-VERSION-overlay: installing one
/// replaces another. `cargo xtask boot --kernel overlay` boots the default options' kernel, and none of the others.
#[derive(Args)]
pub struct Kernel {
    /// A folder with a kernel's source, which is only read (default: the newest source package of the suite)
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// The Debian suite of the source package and the toolchain (default: that of the target overlay)
    #[arg(long)]
    pub suite: Option<String>,
    /// What the configuration starts from: `small` is enough for Xen in QEMU and no more, `debian` is that of Debian's kernel
    /// (takes hours; never built to its end here), else a file, which may name no keys that are not in the source
    #[arg(long, value_name = "small|debian|FILE", default_value = "small")]
    pub config: String,
    /// Leave this object to C (swiotlb, pci, acpi, or all). May be given several times
    #[arg(long, value_name = "OBJECT")]
    pub c: Vec<String>,
    /// Only lay our code into the folder that --source names, in place, and build nothing
    #[arg(long, requires = "source", conflicts_with_all = ["c", "config", "suite"])]
    pub lay: bool,
}

/// Run the tests: of the source, on the host, and in virtual machines
///
/// Without a filter that is every check and host test, and those scenarios in virtual machines that are for every day; the
/// long ones are left to --full. A core of them (marked in --list) is run however long it takes, of the others as many as
/// there is time for. The rest counts as skipped, and the commit decides which that is, so that another leaves out others.
/// How long a scenario takes is known from earlier runs on this machine.
///
/// A scenario in which a domain ends by a triple fault, which can be the emulator's fault, is run again, at most three times
/// in all, and this is told; if each of them ends so, it has failed.
///
/// Prints KTAP: scenarios are subtests of the machine they share, host tests of their program. Writes JUnit to a file, ends
/// with a line "N passed, N failed" or "N passed, N failed, N skipped", and exits with a status that is not zero unless all
/// is well.
///
/// Time limits follow the machine's speed by themselves. The environment variable PARAVANE_SLOW=N, a number from 1 on,
/// multiplies them all besides, here and in `boot` and `bench`: for a machine whose disk is slow, say.
#[derive(Args)]
pub struct Test {
    /// Only tests whose names contain one of these texts (`check`, `unit` and the scenarios' groups are parts of
    /// the names); a scenario's whole name means that one alone
    pub filter: Vec<String>,
    /// Print the tests' names and run none; (core) is what is run in any case, (kernel NAME) what is run on another kernel
    #[arg(long)]
    pub list: bool,
    /// All scenarios with all rounds of the long ones, and all kernels, however long that takes
    #[arg(long)]
    pub full: bool,
    /// How long the whole command may take, compiling and preparing included, before scenarios are left out (default: 60
    /// without a filter, no limit with one)
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["full", "list"], value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub time_budget: Option<u64>,
    /// Start machines from where they had booted to, where an earlier run has kept that; scenarios about the boot boot all the
    /// same
    #[arg(long)]
    pub snapshots: bool,
    /// Where to write the results as JUnit (default: the run's log folder)
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub versions: Versions,
    /// The frontends under test: ours, or the kernel's own, to test the tests
    #[arg(long, value_enum, default_value = "rust")]
    pub driver: Driver,
}

/// How long the default run of the tests may take, in minutes.
const TIME_BUDGET: u64 = 60;

impl Test {
    /// Whether it is the run that README names: nothing is said of what to run.
    pub fn is_default(&self) -> bool {
        self.filter.is_empty() && !self.full
    }

    /// How long it may take, if that matters.
    pub fn time_budget(&self) -> Option<Duration> {
        let default = self.is_default().then_some(TIME_BUDGET);
        let minutes = self.time_budget.or(default);
        minutes.map(|minutes| Duration::from_secs(minutes * 60))
    }
}

/// Show what the cache holds, or remove what no run has used for a week
///
/// Without options nothing is removed. What another run is using is never removed.
#[derive(Args)]
pub struct Clean {
    /// Remove what no run has used for a week
    #[arg(long)]
    pub unused: bool,
    /// Remove everything
    #[arg(long, conflicts_with = "unused")]
    pub all: bool,
}

/// Say what this machine has and lacks, without changing anything
#[derive(Args)]
pub struct Doctor {}
