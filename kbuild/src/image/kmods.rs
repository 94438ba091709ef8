// SPDX-License-Identifier: GPL-2.0

//! The modules of a kernel that machines need, with all they depend on, uncompressed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fsutil::{self, read_text};
use crate::kernel::Kernel;
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// What `modules.dep` says, with paths relative to the modules' folder.
pub struct Dependencies {
    /// From a module's name (with `_` for `-`) to its file.
    files: BTreeMap<String, String>,
    /// From a file to the files it needs, the nearest first.
    needs: BTreeMap<String, Vec<String>>,
}

impl Dependencies {
    /// Reads a kernel's list.
    pub fn of(kernel: &Kernel) -> Result<Self> {
        Ok(Self::parse(&read_text(
            &kernel.modules_dir().join("modules.dep"),
        )?))
    }

    fn parse(text: &str) -> Self {
        let mut files = BTreeMap::new();
        let mut needs = BTreeMap::new();
        for (file, rest) in text.lines().filter_map(|line| line.split_once(':')) {
            files.insert(module_name(file), file.to_owned());
            needs.insert(
                file.to_owned(),
                rest.split_whitespace().map(str::to_owned).collect(),
            );
        }
        Self { files, needs }
    }

    /// The files of all modules.
    pub fn all(&self) -> Vec<String> {
        self.files.values().cloned().collect()
    }

    /// The files of some modules and of all they need, in an order in which `insmod` can load them. Names that
    /// are no module are left out: what one kernel has as a module another has built in.
    pub fn load_order(&self, modules: &[&str]) -> Vec<String> {
        let mut order: Vec<String> = Vec::new();
        for module in modules {
            let Some(file) = self.files.get(&module.replace('-', "_")) else {
                continue;
            };
            let needs = self.needs.get(file).map(Vec::as_slice).unwrap_or_default();
            for file in needs.iter().rev().chain([file]) {
                if !order.contains(file) {
                    order.push(file.clone());
                }
            }
        }
        order
    }
}

/// `xen_blkfront` of `kernel/drivers/block/xen-blkfront.ko.xz`.
pub fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split(".ko").next().unwrap_or(name).replace('-', "_")
}

/// Copies files of a kernel's modules folder, uncompressed, below `to` under the same relative paths.
/// Returns the new paths relative to `to`, in the same order.
pub fn copy(
    session: &Session,
    step: &Step,
    sandbox: &Sandbox,
    kernel: &Kernel,
    files: &[String],
    to: &Path,
) -> Result<Vec<PathBuf>> {
    let mut packed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut copied = Vec::new();
    for file in files {
        let target = to.join(file);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(kernel.modules_dir().join(file), &target)
            .with_context(|| format!("the kernel's package lacks {file}"))?;
        let mut name = file.clone();
        for (suffix, program) in [(".xz", "xz"), (".zst", "zstd"), (".gz", "gzip")] {
            if let Some(plain) = file.strip_suffix(suffix) {
                packed.entry(program).or_default().insert(file.clone());
                name = plain.to_owned();
            }
        }
        copied.push(PathBuf::from(name));
    }
    for (program, files) in packed {
        let mut unpack = sandbox
            .command(program)
            .args(["-d", "-q"])
            .args((program == "zstd").then_some("--rm"))
            .args(files.iter().map(|file| format!("/image/{file}")))
            .bind(to, "/image")
            .build()?;
        process::run(
            step,
            "unpacking modules",
            &mut unpack,
            &session.log("modules-unpack"),
        )?;
    }
    for file in &copied {
        anyhow::ensure!(
            to.join(file).exists(),
            "{} was not unpacked",
            file.display()
        );
    }
    Ok(copied)
}

/// Copies the small lists that depmod and modprobe read.
pub fn copy_lists(kernel: &Kernel, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for list in [
        "modules.order",
        "modules.builtin",
        "modules.builtin.modinfo",
    ] {
        let from = kernel.modules_dir().join(list);
        if from.exists() {
            fs::copy(&from, to.join(list)).with_context(|| from.display().to_string())?;
        }
    }
    Ok(())
}

/// A key over what a kernel's modules folder holds.
pub fn key(kernel: &Kernel) -> String {
    fsutil::name(&kernel.modules_dir()) + &kernel.key()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz\n\
        kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\nkernel/drivers/block/xen-blkfront.ko.xz:\n";

    #[test]
    fn needed_modules_come_first_and_once() {
        let deps = Dependencies::parse(LIST);
        assert_eq!(
            deps.load_order(&["ext4", "crc16", "xen_blkfront", "built-in"]),
            [
                "kernel/lib/crc16.ko.xz",
                "kernel/fs/jbd2/jbd2.ko.xz",
                "kernel/fs/ext4/ext4.ko.xz",
                "kernel/drivers/block/xen-blkfront.ko.xz"
            ]
        );
    }

    #[test]
    fn names_are_those_of_lsmod() {
        assert_eq!(
            module_name("kernel/drivers/block/xen-blkfront.ko.xz"),
            "xen_blkfront"
        );
        assert_eq!(module_name("updates/xen_rs.ko"), "xen_rs");
    }
}
