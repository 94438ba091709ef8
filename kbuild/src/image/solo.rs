// SPDX-License-Identifier: GPL-2.0

//! The initramfs of a guest without dom0: a guest's programs, and an init that says what it runs on and ends.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Images;
use super::cpio::Archive;
use super::payload::concatenate;

const INIT: &str = include_str!("files/solo-init");

impl Images {
    /// Writes the initramfs to a file of a folder.
    pub fn write_solo_initramfs(&self, dir: &Path, name: &str) -> Result<()> {
        let part = dir.join("init.cpio");
        let mut archive = Archive::default();
        archive.file("init", 0o755, INIT);
        archive.write_to(&part)?;
        concatenate(
            &[self.userland.guest_archive(), part.clone()],
            &dir.join(name),
        )?;
        Ok(fs::remove_file(part)?)
    }
}
