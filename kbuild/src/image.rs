// SPDX-License-Identifier: GPL-2.0

//! What a virtual machine is made of: the hypervisor, dom0's root disk, and a payload disk with everything
//! that belongs to one kernel or to this work tree.
//!
//! Three layers, each cached by what it is made of, so that a change of one line in a driver only makes the
//! last one again (a second):
//!
//! - [`userland`]: Debian with Xen's tools as a disk image, the hypervisor, and the programs of a guest's
//!   initramfs. No kernel, nothing of ours.
//! - [`kmods`] and [`vmlinux`]: the part of a kernel that machines need, uncompressed, because unpacking is what
//!   an emulated processor does slowest.
//! - [`payload`]: a disk with the kernel's modules, our modules, the agent, and the guests' kernel and initramfs;
//!   and dom0's own small initramfs.

pub mod agent;
mod bpf;
mod cpio;
pub mod debian;
pub(crate) mod disk;
pub mod grub;
mod guest_kernel;
pub mod kmods;
pub mod payload;
mod programs;
mod selftests;
mod solo;
pub mod userland;
pub mod vmlinux;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::accel::Acceleration;
use crate::cache::Cache;
use crate::counter::Counter;
use crate::hypervisor::Hypervisor;
use crate::kernel::Kernel;
use crate::modules::Modules;
use crate::resolve;
use crate::sandbox::Sandbox;
use crate::session::Session;

pub use debian::Debian;
pub use grub::Grub;
pub use guest_kernel::GuestKernel;
pub use payload::Payload;
pub use userland::Userland;

/// Everything that a machine boots from. Keeps its parts from `clean`.
#[derive(Clone)]
pub struct Images {
    /// Hypervisor and Debian.
    pub userland: Userland,
    /// Kernel, modules, agent.
    pub payload: Payload,
    /// Where what is made from all this is kept.
    pub cache: Cache,
    /// The sandbox that QEMU runs in.
    pub qemu: Sandbox,
    /// What executes the machines' instructions.
    pub acceleration: Acceleration,
    /// Our own hypervisor, if it was asked for.
    paravane: Option<Hypervisor>,
    /// What counts instructions, if it was asked for.
    counter: Option<Counter>,
    /// GRUB, if it was asked for.
    grub: Option<Grub>,
    /// A user's Debian, if it was asked for.
    debian: Option<Debian>,
    /// A guest's kernel, if it was asked for.
    guest_kernel: Option<GuestKernel>,
    /// Files of the user's that are a guest's disks.
    guest_disks: Vec<PathBuf>,
    /// Whether machines reach this one's network.
    network: bool,
    /// A folder of this machine that a guest sees.
    shared_folder: Option<PathBuf>,
    /// Our modules, if the machines have them.
    modules: Option<Modules>,
}

impl Images {
    /// Makes what is missing. `agent` is what [`agent::build`] has made. `xen` names a series of the hypervisor (`4.20`); the newest is taken otherwise.
    ///
    /// The hypervisor, its tools and QEMU come from the default profile's suite, whichever suite the kernel is
    /// from: a kernel under test is the only thing that changes.
    pub fn make(
        session: &Session,
        sandbox: &Sandbox,
        kernel: &Kernel,
        modules: Option<&Modules>,
        xen: Option<&str>,
        agent: &Path,
    ) -> Result<Self> {
        let suite = session.config.suite(&session.config.profile(None)?.suite)?;
        let packages = resolve::xen(session, &suite.name, xen)?;
        let qemu = if sandbox.suite() == suite.name {
            sandbox.clone()
        } else {
            Sandbox::open(session, suite)?
        };
        let userland = Userland::open(session, suite, &packages)?;
        let payload = Payload::make(session, &qemu, &userland, kernel, modules, agent)?;
        Ok(Self {
            userland,
            payload,
            cache: session.cache.clone(),
            qemu,
            acceleration: Acceleration::new(session.options.accel, session.ui.clone()),
            paravane: None,
            counter: None,
            grub: None,
            debian: None,
            guest_kernel: None,
            guest_disks: Vec::new(),
            network: false,
            shared_folder: None,
            modules: modules.cloned(),
        })
    }

    /// Adds our own hypervisor, which is built if it is not in the cache.
    pub fn with_paravane(self, session: &Session) -> Result<Self> {
        let paravane = Some(Hypervisor::build(session, &self.qemu)?);
        Ok(Self { paravane, ..self })
    }

    /// Our hypervisor, once it is built.
    pub fn hypervisor(&self) -> Result<&Hypervisor> {
        let built = self.paravane.as_ref();
        built.context("the hypervisor was not built")
    }

    /// Adds the emulator's counter of instructions, which is built if it is not in the cache.
    pub fn with_counter(self, session: &Session) -> Result<Self> {
        let counter = Some(Counter::build(session, &self.qemu)?);
        Ok(Self { counter, ..self })
    }

    /// The emulator's counter, once it is built.
    pub fn counter(&self) -> Result<&Counter> {
        let built = self.counter.as_ref();
        built.context("the emulator's counter was not built")
    }

    /// Adds GRUB, which is downloaded if it is not in the cache.
    pub fn with_grub(self, session: &Session) -> Result<Self> {
        let suite = session.config.suite(&session.config.profile(None)?.suite)?;
        let grub = Some(Grub::open(session, &self.qemu, suite)?);
        Ok(Self { grub, ..self })
    }

    /// GRUB, once it is there.
    pub fn grub(&self) -> Result<&Grub> {
        let made = self.grub.as_ref();
        made.context("GRUB was not fetched")
    }

    /// Adds a user's Debian for a guest, which is made if it is not in the cache.
    pub fn with_debian(self, session: &Session) -> Result<Self> {
        let suite = session.config.suite(&session.config.profile(None)?.suite)?;
        let modules = self.modules.as_ref();
        let modules =
            modules.context("the guide's recipes are for our modules: leave --driver out")?;
        let (kernel, agent) = (self.payload.kernel(), agent::build(session)?);
        let debian = Debian::open(session, &self.qemu, suite, kernel, modules, &agent)?;
        Ok(Self {
            debian: Some(debian),
            ..self
        })
    }

    /// A user's Debian, once it is there.
    pub fn debian(&self) -> Result<&Debian> {
        let made = self.debian.as_ref();
        made.context("Debian was not installed")
    }

    /// Adds a kernel for a guest.
    #[must_use]
    pub fn with_guest_kernel(self, kernel: GuestKernel) -> Self {
        Self {
            guest_kernel: Some(kernel),
            ..self
        }
    }

    /// Adds the machines' own kernel as that of a guest, on the kernel's own drivers. `extra` are names of modules that the guest
    /// has in any case.
    pub fn with_own_kernel_as_guest(self, session: &Session, extra: &[&str]) -> Result<Self> {
        let (kernel, agent) = (self.payload.kernel(), agent::build(session)?);
        let (sandbox, userland) = (&self.qemu, &self.userland);
        let made = GuestKernel::make(session, sandbox, userland, kernel, None, &agent, extra)?;
        Ok(self.with_guest_kernel(made))
    }

    /// A guest's kernel, once it is there.
    pub fn guest_kernel(&self) -> Result<&GuestKernel> {
        let made = self.guest_kernel.as_ref();
        made.context("no kernel for a guest was made")
    }

    /// Adds files that are a guest's disks, whose content stays as it is.
    #[must_use]
    pub fn with_guest_disks(self, guest_disks: Vec<PathBuf>) -> Self {
        Self {
            guest_disks,
            ..self
        }
    }

    /// The files that are a guest's disks.
    pub fn guest_disks(&self) -> &[PathBuf] {
        &self.guest_disks
    }

    /// Lets machines that have an interface for it reach this one's network.
    #[must_use]
    pub fn with_network(self, network: bool) -> Self {
        Self { network, ..self }
    }

    /// Whether machines reach this one's network.
    pub fn has_network(&self) -> bool {
        self.network
    }

    /// Shows a folder of this machine to machines that have a device for it.
    #[must_use]
    pub fn with_shared_folder(self, shared_folder: Option<PathBuf>) -> Self {
        Self {
            shared_folder,
            ..self
        }
    }

    /// The folder of this machine that a guest sees.
    pub fn shared_folder(&self) -> Option<&Path> {
        self.shared_folder.as_deref()
    }

    /// Host paths of the disks, in the order QEMU gets them: dom0's root, the payload.
    pub fn disks(&self) -> [PathBuf; 2] {
        [self.userland.root_disk(), self.payload.disk()]
    }
}
