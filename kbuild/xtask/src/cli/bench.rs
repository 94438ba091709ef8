// SPDX-License-Identifier: GPL-2.0

//! The options of `bench`.
//!
//! Where several commands share options, their struct has no comment for the documentation: it would be the help of the commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Driver, Mode, Versions};

/// Compare a Rust driver with the kernel's own
///
/// Exits with a status that is not zero if the Rust driver is slower, or asks more of the hypervisor, in any cell,
/// noise included. It was so for each of the drivers' tables in docs/results: the status is not for continuous integration.
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
    /// Compare the drivers of the toolstack's device files
    ///
    /// Boots a PV dom0 and then a PVH dom0, ends the toolstack there, and alternates the modules behind /dev/xen under a
    /// program that makes hypercalls, maps memory and grants of a paused guest, and sends events. A whole run takes
    /// some 15 minutes without KVM and writes docs/results/devfile.md. Nothing else should run on the machine.
    #[command(alias = "nodes")]
    Devfile(BenchCommon),
    /// Compare the DMA layer of a PV dom0
    ///
    /// Builds two kernels that differ only in Xen-SWIOTLB and the PCI and ACPI plumbing, in Rust in `overlay`, in C in
    /// `overlay-c`, boots them by turns as PV dom0 on Xen, and measures the mapping of memory, and dd and fio on four disks
    /// there. A whole run boots each five times and writes docs/results/dma.md. Nothing else should run on the machine.
    Dma(BenchDma),
    /// Compare the hypervisor with Debian's Xen
    ///
    /// Boots the same kernel as PVH dom0 on each by turns, measures boot, hypercalls, events and processes, and with guests
    /// their creation, events, switches between vCPUs, page faults and what the hypervisor keeps for one. Compares what
    /// dom0 sees of either and which hypercalls it makes. A whole run writes docs/results/hypervisor.md. Nothing else
    /// should run on the machine.
    Hypervisor(BenchHypervisor),
    /// Draw what more queues, vCPUs and guests cost
    ///
    /// Boots a PVH dom0 on Debian's Xen and on ours, measures what each keeps for a guest of 1 to 16 vCPUs and for 1 to 32
    /// guests, and what a disk and a network interface of 1 to 8 queues take of a guest's memory with our frontends and
    /// with the kernel's. Writes docs/results/growth.md and its pictures. It is memory that is counted, so other work on the
    /// machine does not matter.
    Growth(BenchGrowth),
}

#[derive(Args)]
pub struct BenchGrowth {
    /// The folder for the table and the pictures (default: docs/results)
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub versions: Versions,
}

#[derive(Args)]
pub struct BenchDma {
    #[command(flatten)]
    pub cells: BenchCells,
    /// A series of Xen, such as 4.20, or a package's name (default: the newest in the archive)
    #[arg(long, value_name = "SERIES")]
    pub xen: Option<String>,
}

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

#[derive(Args)]
pub struct BenchBlk {
    #[command(flatten)]
    pub common: BenchCommon,
    /// Let the back end offer no persistent grants
    #[arg(long)]
    pub no_persistent: bool,
}

#[derive(Args)]
pub struct BenchCommon {
    #[command(flatten)]
    pub cells: BenchCells,
    /// Count instructions instead of measuring time: the emulator counts what driver, kernels and Xen execute for each
    /// request or packet. Takes longer for each cell, and is not disturbed by what else the machine does
    #[arg(long)]
    pub count: bool,
    /// Write what each function of Xen, the kernels and the driver executed for a request or packet to the run's log
    /// folder: folded stacks, a flame graph (SVG) of them, and the same of each block of the driver
    #[arg(long, requires = "count")]
    pub profile: bool,
    /// Make what the Rust driver executes in these cells its budget, in tests/budgets.toml, which scenarios compare with
    #[arg(long, requires = "count", conflicts_with = "driver")]
    pub update: bool,
    /// Only in a guest, or a dom0, of this kind
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// What to compare with the kernel's driver: the kernel's driver itself shows how exact the method is
    #[arg(long, value_enum, default_value = "rust")]
    pub driver: Driver,
    #[command(flatten)]
    pub versions: Versions,
}

// Which cells are measured and how, whatever is compared.
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
