// SPDX-License-Identifier: GPL-2.0

//! The options of `build`, `kernel`, `package` and `doc`: what is built and not booted.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Build the modules for a kernel, or the hypervisor
#[derive(Args)]
pub struct Build {
    /// Build the hypervisor instead of modules
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        default_missing_value = "paravane",
        conflicts_with_all = ["kernel", "clippy"]
    )]
    pub hypervisor: Option<OurHypervisor>,
    /// Where to put the hypervisor's image: the file that GRUB's multiboot2 and QEMU's -kernel take (default: the cache)
    #[arg(long, value_name = "FILE", requires = "hypervisor")]
    pub output: Option<PathBuf>,
    /// A kernel profile of kernels.toml, or the build folder of a kernel on this machine, such as
    /// /lib/modules/$(uname -r)/build
    #[arg(long, value_name = "PROFILE|PATH")]
    pub kernel: Option<String>,
    /// Check with clippy; what it finds is an error
    #[arg(long)]
    pub clippy: bool,
}

/// The hypervisor that can be built.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OurHypervisor {
    /// The one of this work tree
    Paravane,
}

/// Build a Linux kernel in which C files of the Xen support are replaced by Rust code
///
/// Takes a kernel's source (x86-64, 7.2 or newer), adds Paravane's code to a copy of it with a few lines in its Kconfig and
/// Makefiles, and builds image, modules and a Debian package. No line of C is changed; each object can be left to C. The small
/// configuration takes minutes and 7 GB, and a change of the Rust code is built in less than a minute. Another configuration
/// takes as long as a kernel of that size does. All variants' packages are called linux-image-VERSION-overlay: installing one
/// replaces another. `boot --kernel overlay` boots the default options' kernel, and none of the others.
#[derive(Args)]
pub struct Kernel {
    /// A folder with a kernel's source, which is only read (default: the newest source package of the suite)
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// The Debian suite of the source package and the toolchain (default: that of the profile overlay)
    #[arg(long)]
    pub suite: Option<String>,
    /// What the configuration starts from: `small` is enough for Xen in QEMU and no more, `debian` is that of Debian's kernel
    /// (takes hours; never built to its end here), else a file, which may name no keys that are not in the source
    #[arg(long, value_name = "small|debian|FILE", default_value = "small")]
    pub config: String,
    #[arg(long, alias = "c", value_name = "NAME", help = without_rust_help())]
    pub without_rust: Vec<String>,
    /// Only add Paravane's code to the folder that --source names, in place, and build nothing
    #[arg(long, alias = "lay", requires = "source", conflicts_with_all = ["without_rust", "config", "suite"])]
    pub apply: bool,
}

/// Make Debian packages of the modules
///
/// Makes a Debian source package and from it three packages: xen-rs-dkms has the modules' source, which DKMS builds for each
/// kernel; xen-rs-modules-RELEASE has the modules for one kernel; xen-rs-common, which both need, has the settings with which they
/// are loaded in place of the C modules. lintian checks them: its errors are errors. With the file Packages, which lists them, the
/// folder is an archive for apt. Prints one path a line.
#[derive(Args)]
pub struct Package {
    /// The kernel profile of kernels.toml whose modules get a package: one of a distribution
    #[arg(long, value_name = "PROFILE")]
    pub kernel: Option<String>,
    /// Where to put the packages (default: the cache). In a folder that has those of another kernel, both are listed
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Make the documentation of this work tree's crates from their sources, as HTML
///
/// The crates of the kernel modules are documented as they are compiled for one kernel, the cargo packages besides. A warning of
/// rustdoc is an error.
#[derive(Args)]
pub struct Doc {
    /// The kernel profile of kernels.toml whose modules are documented
    #[arg(long, value_name = "PROFILE")]
    pub kernel: Option<String>,
    /// Document the private items of the crates that drivers use, too
    #[arg(long)]
    pub private: bool,
}

/// What `kernel --without-rust` does.
fn without_rust_help() -> String {
    format!(
        "Keep the kernel's C object instead of the Rust one ({}). May be given several times",
        kbuild::overlay::names()
    )
}
