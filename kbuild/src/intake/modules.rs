// SPDX-License-Identifier: GPL-2.0

//! Taking over a kernel's modules: from an installed folder, from the folder they were built in, or out of an archive.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail, ensure};
use walkdir::WalkDir;

use super::parts::{self, ModulesAt};
use crate::digest::Digest;
use crate::fsutil::{self, read_text};
use crate::process;

/// Folders of drivers that no virtual machine of ours has, below `kernel`; they are two thirds of a distribution's modules.
const LEFT_OUT: [&str; 6] = [
    "drivers/gpu/drm/amd",
    "drivers/infiniband",
    "drivers/media",
    "drivers/net/wireless",
    "drivers/staging",
    "sound",
];

/// Something that changes when a file or folder does. Files are read; of a folder's files only names, sizes and times are
/// taken.
pub fn stamp(path: &Path) -> Result<String> {
    if path.is_file() {
        let digest = Digest::new("file", 1).with("name", fsutil::name(path));
        // What lies beside it is part of the kernel.
        let around = match parts::beside(path).modules {
            Some(ModulesAt::Folder(at) | ModulesAt::BuildFolder(at)) => stamp(&at)?,
            _ => String::new(),
        };
        let content = parts::read(path)?;
        return Ok(digest.with("content", content).with("around", around).hex());
    }
    let mut digest = Digest::new("folder", 1).with("path", path.to_string_lossy().as_bytes());
    for entry in WalkDir::new(path).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
        let name = entry.file_name().to_string_lossy();
        let is_part = name.contains(".ko")
            || name.contains("Image")
            || name.starts_with("vmlinu")
            || name.starts_with("modules.")
            || name.ends_with("config");
        if !is_part || !entry.file_type().is_file() {
            continue;
        }
        let meta = entry.metadata()?;
        let time = meta
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let text = format!(
            "{} {} {}",
            entry.path().display(),
            meta.len(),
            time.as_nanos()
        );
        digest = digest.with("file", text);
    }
    Ok(digest.hex())
}

/// Unpacks a Debian package without running any of its scripts.
pub fn unpack_deb(deb: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut dpkg = process::tied("dpkg-deb");
    dpkg.arg("-x").arg(deb).arg(to);
    unpack(deb, "a Debian package", &mut dpkg)
}

fn unpack_archive(archive: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut tar = process::tied("tar");
    // It finds out how the archive is packed.
    tar.args(["-x", "--no-same-owner", "-f"]).arg(archive);
    tar.arg("-C").arg(to);
    unpack(archive, "a tar archive", &mut tar)
}

fn unpack(file: &Path, what: &str, command: &mut std::process::Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty());
        bail!(
            "{} is damaged, or not {what}: {}",
            file.display(),
            said.unwrap_or("it cannot be unpacked")
        );
    }
    Ok(())
}

/// Makes the folder `to` hold the modules of `release` and the lists about them. `scratch` is for what has to be unpacked.
pub fn take(source: &ModulesAt, release: &str, scratch: &Path, to: &Path) -> Result<()> {
    match source {
        ModulesAt::Folder(folder) => copy(&parts::of_release(folder, release, folder)?, to),
        ModulesAt::BuildFolder(folder) => from_build(folder, release, to),
        ModulesAt::Archive(file) => {
            unpack_archive(file, scratch)?;
            copy(&parts::of_release(scratch, release, file)?, to)
        }
        ModulesAt::Package(file) => {
            unpack_deb(file, scratch)?;
            copy(&parts::of_release(scratch, release, file)?, to)
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let kernel = from.join("kernel");
    let is_wanted = |path: &Path| !LEFT_OUT.iter().any(|left| path == kernel.join(left));
    let walk = WalkDir::new(from).follow_links(false).into_iter();
    for entry in walk.filter_entry(|entry| is_wanted(entry.path())) {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
        // Links (`build`, `source`) lead out of the folder.
    }
    Ok(())
}

/// Modules of a build folder, where they lie beside their sources: `modules.order` names them.
fn from_build(folder: &Path, release: &str, to: &Path) -> Result<()> {
    let built = folder.join("include/config/kernel.release");
    if built.is_file() {
        let built = read_text(&built)?;
        ensure!(
            built.trim() == release,
            "the modules in {} are for {}, the kernel is {release}: run make there to the end",
            folder.display(),
            built.trim()
        );
    }
    fs::create_dir_all(to)?;
    for list in [
        "modules.order",
        "modules.builtin",
        "modules.builtin.modinfo",
    ] {
        let from = folder.join(list);
        if from.is_file() {
            fs::copy(&from, to.join(list)).with_context(|| from.display().to_string())?;
        }
    }
    for line in read_text(&folder.join("modules.order"))?.lines() {
        // Objects since Linux 6.2 or so, modules before; with `kernel/` in front in old ones.
        let line = line.trim().trim_start_matches("kernel/");
        let stem = line.strip_suffix(".o").or(line.strip_suffix(".ko"));
        let Some(stem) = stem.filter(|stem| !stem.contains("..")) else {
            bail!(
                "{}/modules.order has a line that names no module: {line}",
                folder.display()
            );
        };
        let module = folder.join(format!("{stem}.ko"));
        ensure!(
            module.is_file(),
            "{} is missing: run `make modules` in {}",
            module.display(),
            folder.display()
        );
        let target = to.join("kernel").join(format!("{stem}.ko"));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&module, &target).with_context(|| module.display().to_string())?;
    }
    Ok(())
}
