// SPDX-License-Identifier: GPL-2.0

//! Unpacking Debian packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::process::{self, Running};

/// Unpacks packages over each other into `dir` without running any of their scripts.
pub fn unpack(debs: &[PathBuf], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    for deb in debs {
        unpack_some(deb, dir, &[])?;
    }
    Ok(())
}

/// Unpacks a package with further options for tar, such as `--exclude=PATTERN`.
pub fn unpack_some(deb: &Path, dir: &Path, tar_options: &[&str]) -> Result<()> {
    let what = "unpacking a package";
    let mut dpkg = process::tied("dpkg-deb");
    dpkg.arg("--fsys-tarfile")
        .arg(deb)
        .stdout(std::process::Stdio::piped());
    let mut dpkg = Running::start(what, &mut dpkg)?;
    let mut tar = process::tied("tar");
    tar.args(["-x", "-p", "--no-same-owner", "-C"])
        .arg(dir)
        .args(tar_options)
        .stdin(dpkg.stdout()?);
    let tar = Running::start(what, &mut tar)?.wait()?;
    let dpkg = dpkg.wait()?;
    if !tar.success() || !dpkg.success() {
        bail!(
            "{} cannot be unpacked into {}",
            deb.display(),
            dir.display()
        );
    }
    Ok(())
}
