// SPDX-License-Identifier: GPL-2.0

//! What a domain needs of its kernel, compared with the kernel's configuration, notes and modules, so that a kernel that
//! cannot do what is asked of it is refused by the name of the option, and not by a boot that hangs.

use std::fmt;

use anyhow::{Result, bail};

use super::Facts;

/// What a kernel is to run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A paravirtualised guest.
    PvGuest,
    /// A hardware-assisted guest without a device model.
    PvhGuest,
    /// A hardware-assisted guest with a device model.
    HvmGuest,
    /// A paravirtualised dom0.
    PvDom0,
    /// A hardware-assisted dom0.
    PvhDom0,
}

impl Role {
    /// Whether it is a dom0.
    pub fn is_dom0(self) -> bool {
        matches!(self, Self::PvDom0 | Self::PvhDom0)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PvGuest => "PV guest",
            Self::PvhGuest => "PVH guest",
            Self::HvmGuest => "HVM guest",
            Self::PvDom0 => "PV dom0",
            Self::PvhDom0 => "PVH dom0",
        })
    }
}

/// What is asked of a kernel.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it runs as.
    pub role: Role,
    /// Whether it drives a Xen disk by its own driver.
    pub disk: bool,
    /// Whether it drives a Xen network interface by its own driver.
    pub network: bool,
    /// Whether its commands arrive through a virtio port, for there is no dom0.
    pub by_port: bool,
    /// What it takes to mount the root of its command, if that is not in memory.
    pub file_systems: Vec<Need>,
}

/// An option, and the module that it makes if it is `m`; an empty name for what is never a module or must be built in.
pub type Need = (&'static str, &'static str);

/// Our programs start from an initramfs and want these file systems.
const ALL: [Need; 8] = [
    ("XEN", ""),
    ("BLK_DEV_INITRD", ""),
    ("BINFMT_ELF", ""),
    ("BINFMT_SCRIPT", "binfmt_script"),
    ("DEVTMPFS", ""),
    ("PROC_FS", ""),
    ("SYSFS", ""),
    ("TMPFS", ""),
];

/// Commands reach a guest through xenbus, and its messages us through its console.
const GUEST: [Need; 2] = [("XEN_XENBUS_FRONTEND", ""), ("HVC_XEN", "")];

/// Dom0 finds its root and us on virtio devices, and the toolstack wants device files.
const DOM0: [Need; 10] = [
    ("XEN_DOM0", ""),
    ("HVC_XEN", ""),
    ("VIRTIO_PCI", "virtio_pci"),
    ("VIRTIO_BLK", "virtio_blk"),
    ("VIRTIO_CONSOLE", "virtio_console"),
    ("EXT4_FS", "ext4"),
    ("XENFS", "xenfs"),
    ("XEN_DEV_EVTCHN", "xen_evtchn"),
    ("XEN_GNTDEV", "xen_gntdev"),
    ("XEN_PRIVCMD", "xen_privcmd"),
];

/// Where there is no dom0.
const PORT: [Need; 2] = [
    ("VIRTIO_PCI", "virtio_pci"),
    ("VIRTIO_CONSOLE", "virtio_console"),
];

const DISK: Need = ("XEN_BLKDEV_FRONTEND", "xen_blkfront");
const NETWORK: Need = ("XEN_NETDEV_FRONTEND", "xen_netfront");

impl Wanted {
    fn needs(&self) -> Vec<Need> {
        let mut needs = ALL.to_vec();
        match self.role.is_dom0() {
            true => needs.extend(DOM0),
            false => needs.extend(GUEST),
        }
        needs.push(match self.role {
            Role::PvGuest => ("XEN_PV", ""),
            Role::PvDom0 => ("XEN_PV_DOM0", ""),
            Role::PvhGuest | Role::PvhDom0 => ("XEN_PVH", ""),
            // Up to 7.2 Linux has XEN_PVHVM besides, which cannot be chosen.
            Role::HvmGuest => ("XEN_PVHVM_GUEST", ""),
        });
        if self.by_port {
            needs.extend(PORT);
        }
        needs.extend(self.disk.then_some(DISK));
        needs.extend(self.network.then_some(NETWORK));
        needs.extend_from_slice(&self.file_systems);
        needs
    }
}

impl Facts {
    /// An error that names what the kernel lacks.
    ///
    /// Without a configuration only notes and modules are looked at.
    ///
    /// # Errors
    ///
    /// One message with all that is missing.
    pub fn check(&self, wanted: &Wanted) -> Result<()> {
        let mut lacks: Vec<String> = Vec::new();
        for (option, module) in wanted.needs() {
            lacks.extend(self.lack_of(option, module));
        }
        match wanted.role {
            Role::PvGuest | Role::PvDom0 if !self.entry_points.pv => {
                lacks.push("the note of a PV entry (CONFIG_XEN_PV)".into());
            }
            Role::PvhGuest | Role::PvhDom0 if !self.entry_points.pvh => {
                lacks.push(
                    "the note of a PVH entry (CONFIG_PVH, which CONFIG_XEN_PVH selects)".into(),
                );
            }
            Role::HvmGuest if !self.is_bzimage => {
                lacks.push("a bzImage, which the device model boots; this is an ELF file".into());
            }
            _ => {}
        }
        if lacks.is_empty() {
            return Ok(());
        }
        bail!(
            "the kernel {} cannot run as {}. It lacks {}",
            self.release,
            wanted.role,
            lacks.join("; ")
        )
    }

    fn lack_of(&self, option: &str, module: &str) -> Option<String> {
        let name = format!("CONFIG_{option}");
        let Some(config) = &self.config else {
            // What could be a module is in one of the lists, if they are there.
            let built_in = self.built_in.as_ref()?;
            let there =
                module.is_empty() || built_in.contains(module) || self.modules.contains(module);
            return (!there).then_some(name);
        };
        match config.text(option) {
            Some("y") => None,
            Some("m") if module.is_empty() => Some(format!("{name}=y (it is a module)")),
            Some("m") if self.modules.contains(module) => None,
            Some("m") => Some(format!(
                "the module {module}: {name} is m, so name the kernel's modules by --modules"
            )),
            _ => Some(name),
        }
    }
}
