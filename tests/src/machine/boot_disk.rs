// SPDX-License-Identifier: GPL-2.0

//! The disk that GRUB boots a machine from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kbuild::Images;
use kbuild::image::grub::Loaded;

use super::command_line::{dom0_command_line, hypervisor_command_line};
use crate::topology::{Loader, Topology};

/// Its name in the machine's folder: a file, or with UEFI a folder.
pub const BOOT_DISK: &str = "boot.img";

/// UEFI's variables, in the machine's folder.
pub const VARIABLES: &str = "variables.fd";

/// Writes it, with hypervisor, kernel and initrd.
pub fn write(
    images: &Images,
    topology: &Topology,
    dir: &Path,
    [hypervisor, kernel, initrd]: [&PathBuf; 3],
) -> Result<()> {
    let (line, arguments) = (
        hypervisor_command_line(topology),
        dom0_command_line(topology),
    );
    let loaded = |name, file, arguments| Loaded {
        name,
        file,
        arguments,
    };
    // Debian's configuration has this word in front, for Xen leaves out the first one if another loader loads it.
    let line = format!("placeholder {line}");
    let (grub, place) = (images.grub()?, dir.join(BOOT_DISK));
    let hypervisor = loaded("hypervisor", hypervisor, &line);
    let modules = [
        loaded("vmlinuz", kernel, &arguments),
        loaded("initrd", initrd, ""),
    ];
    if topology.loader == Loader::GrubByUefi {
        let [_, variables] = grub.firmware();
        fs::copy(variables, dir.join(VARIABLES)).context("cannot copy UEFI's variables")?;
        return grub.write_folder(&place, &hypervisor, &modules);
    }
    grub.write_disk(&place, &hypervisor, &modules)
}
