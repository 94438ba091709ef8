// SPDX-License-Identifier: GPL-2.0

//! Virtual machines under Xen and the scenarios that run in them.
//!
//! A scenario reads "boot this topology, run this in dom0 or in a guest, expect that":
//!
//! ```ignore
//! fn writes_survive(ctx: &mut Ctx) -> Result<()> {
//!     let guest = ctx.host.create(Guest::pvh("g1").vcpus(4).disk(Disk::file("a.img", "xvda").mib(512)))?;
//!     guest.load_blkfront(ctx.driver, "")?;
//!     guest.sh("mkfs.ext4 -q /dev/xvda && mount /dev/xvda /mnt && cp /bin/busybox /mnt && umount /mnt")?;
//!     ctx.host.dom0().sh("mount -o loop,ro /disks/a.img /mnt && cmp /mnt/busybox /bin/busybox")?;
//!     Ok(())
//! }
//! ```
//!
//! From the bottom up: [`machine`] runs QEMU and watches its consoles, [`gdb`] stops it at instructions, [`remote`] talks to the agents inside,
//! [`host`] is a booted Xen with dom0, [`guest`] describes and holds domains, [`nic`] connects them ([`vif`]), [`traffic`] goes between them, [`scenario`] and [`runner`] are the
//! test suite, [`fresh`] has machines on which nothing is installed yet, [`boot`] is the demonstration behind `cargo xtask boot`, [`solo`] a guest without dom0, [`trace`] what our hypervisor did, and [`run`] runs one command on a kernel of the user's.
//!
//! What does not live here: making images, kernels and modules (crate `kbuild`), and printing results (`xtask`).

pub mod attempts;
pub mod bench;
pub mod boot;
pub mod console;
pub mod context;
pub mod devices;
pub mod disk;
pub mod error;
pub mod fault;
pub mod fresh;
pub mod gdb;
pub mod guest;
pub mod health;
pub mod host;
mod hypercall_names;
mod hypervisor_memory;
pub mod machine;
pub mod mapping;
pub mod matrix;
pub mod nic;
pub mod overlay;
pub mod pace;
pub mod passed;
pub mod remote;
pub mod run;
pub mod runner;
pub mod scenario;
pub mod scenarios;
pub mod selection;
mod small_guest;
pub mod snapshot;
pub mod solo;
pub mod tables;
pub mod terminal;
pub mod topology;
pub mod trace;
pub mod traffic;
pub mod vif;

pub use context::Ctx;
pub use disk::Disk;
pub use guest::{Domain, Driver, Guest, Mode};
pub use host::Host;
pub use nic::Nic;
pub use remote::{Job, Output, Place};
pub use scenario::{Scenario, Variant};
pub use topology::{Dom0, Hypervisor, Loader, Topology};
