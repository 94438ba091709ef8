// SPDX-License-Identifier: GPL-2.0

//! A kernel that the user brings along: an image, a Debian package, or a folder that a build has left.
//!
//! [`open`] recognises what it is, finds image, configuration and modules ([`parts`], [`image`]), and makes them a cache
//! entry with the layout of a distribution's kernel, so that images are made of it like of any other. What a kind of
//! domain needs of a kernel is compared with that before anything boots ([`needs`]).
//!
//! What does not live here: kernels that are built or downloaded by us ([`crate::kernel`]).

mod image;
mod modules;
pub mod needs;
mod parts;
pub mod root;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::CacheEntry;
use crate::depmod::depmod;
use crate::digest::Digest;
use crate::fsutil::{self, read_text};
use crate::image::kmods::module_name;
use crate::image::vmlinux;
use crate::kconfig::KConfig;
use crate::kernel::Kernel;
use crate::sandbox::Sandbox;
use crate::session::Session;

use image::FileFormat;
use parts::{ModulesAt, Parts};

pub use image::EntryPoints;

/// Room for an unpacked package and the entry, in bytes.
const ROOM: u64 = 2_000_000_000;

/// What is known about a kernel.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What `uname -r` says.
    pub release: String,
    /// The entry points that its ELF notes name.
    pub entry_points: EntryPoints,
    /// Its configuration, if it was found.
    pub config: Option<KConfig>,
    /// Names of the modules that are there, with `_` for `-`.
    pub modules: BTreeSet<String>,
    /// Names of what is built in and could be a module, if that is known.
    pub built_in: Option<BTreeSet<String>>,
    /// Whether the image is a bzImage, which boots without a loader that knows ELF.
    pub is_bzimage: bool,
}

/// A kernel of the user's, ready for images to be made of it.
pub struct UserKernel {
    /// Its files.
    pub kernel: Kernel,
    /// What is known about it.
    pub facts: Facts,
    /// The folder it was built in, if that was named: what our modules are built against.
    pub build: Option<PathBuf>,
}

/// Takes over the kernel at `path`, with the modules at `modules` in the place of those that lie beside it.
///
/// # Errors
///
/// One message that names the file: it is no kernel, it is damaged, it is not for x86-64, or the modules are those of
/// another release.
pub fn open(
    session: &Session,
    sandbox: &Sandbox,
    path: &Path,
    modules: Option<&Path>,
) -> Result<UserKernel> {
    let path = parts::existing(path, "--kernel")?;
    let modules = match modules {
        Some(modules) => Some(parts::existing(modules, "--modules")?),
        None => None,
    };
    let mut key = Digest::new("user-kernel", 1).with("kernel", modules::stamp(&path)?);
    if let Some(modules) = &modules {
        key = key.with("modules", modules::stamp(modules)?);
    }
    let name = format!("user-{}", key.hex());
    let entry = session
        .cache
        .get_or_make_latest("user-kernel", &name, ROOM, |dir| {
            let step = session
                .ui
                .step(format!("Looking at the kernel {}", path.display()));
            let release = fill(sandbox, &path, modules.as_deref(), dir)?;
            depmod(session, &step, sandbox, dir, &release)?;
            step.done(&release);
            Ok(())
        })?;
    let facts = facts(&entry)?;
    let build = parts::build_folder(&path);
    let kernel = Kernel::of_user(&facts.release, entry);
    Ok(UserKernel {
        kernel,
        facts,
        build,
    })
}

/// Where the unpacked kernel is in an entry.
fn unpacked(entry: &Path) -> PathBuf {
    entry.join("vmlinux")
}

/// Fills the folder of an entry; returns the kernel's release.
fn fill(sandbox: &Sandbox, path: &Path, modules: Option<&Path>, dir: &Path) -> Result<String> {
    let scratch = dir.join("scratch");
    fs::create_dir(&scratch)?;
    let found = find(path, &scratch.join("kernel"))?;
    let bytes = parts::read(&found.image)?;
    let format = image::format(&bytes);
    let vmlinux = unpacked(dir);
    match format {
        Some(FileFormat::Elf) => fs::write(&vmlinux, &bytes)?,
        _ => vmlinux::extract(sandbox, &found.image, &vmlinux)?,
    }
    let elf = fs::read(&vmlinux)?;
    image::entry_points(&elf)
        .with_context(|| format!("{} is no kernel for x86-64", found.image.display()))?;
    let release = image::release(&bytes)
        .or_else(|| image::release(&elf))
        .with_context(|| format!("{} does not say its version", found.image.display()))?;

    let to = dir.join("usr/lib/modules").join(&release);
    let source = match modules {
        Some(modules) => Some(ModulesAt::of(modules)?),
        None => found.modules,
    };
    match source {
        Some(source) => modules::take(&source, &release, &scratch.join("modules"), &to)?,
        None => fs::create_dir_all(&to)?,
    }
    fs::write(to.join("vmlinuz"), &bytes)?;
    let config = match image::configuration(&elf) {
        Some(text) => Some(text),
        None => found.config.map(|file| read_text(&file)).transpose()?,
    };
    if let Some(config) = config {
        fs::write(to.join("config"), config)?;
    }
    fsutil::remove_all(&scratch)?;
    Ok(release)
}

/// Finds the parts of what the user has named. A package is unpacked into `scratch`.
fn find(path: &Path, scratch: &Path) -> Result<Parts> {
    if path.is_dir() {
        return parts::in_folder(path);
    }
    let bytes = parts::first_bytes(path)?;
    match image::format(&bytes) {
        Some(FileFormat::Deb) => {
            modules::unpack_deb(path, scratch)?;
            parts::in_package(scratch)
                .with_context(|| format!("{} holds no kernel", path.display()))
        }
        Some(FileFormat::BzImage | FileFormat::Elf) => Ok(parts::beside(path)),
        None => bail!(
            "{} is no kernel: neither a bzImage, nor an ELF file (vmlinux), nor a Debian package",
            path.display()
        ),
    }
}

/// Reads what an entry tells.
fn facts(entry: &CacheEntry) -> Result<Facts> {
    let folders = fsutil::read_dir_sorted(&entry.join("usr/lib/modules"))?;
    let dir = folders.first().context("the kernel in the cache is gone")?;
    let config = dir.join("config");
    let config = match config.is_file() {
        true => Some(KConfig::parse(&read_text(&config)?)),
        false => None,
    };
    let names = |list: &str, cut: fn(&str) -> &str| -> Option<BTreeSet<String>> {
        let text = fs::read_to_string(dir.join(list)).ok()?;
        Some(text.lines().map(|line| module_name(cut(line))).collect())
    };
    Ok(Facts {
        release: fsutil::name(dir),
        entry_points: image::entry_points(&fs::read(unpacked(entry.path()))?)?,
        config,
        modules: names("modules.dep", before_colon).unwrap_or_default(),
        built_in: names("modules.builtin", |line| line).filter(|names| !names.is_empty()),
        is_bzimage: image::format(&parts::first_bytes(&dir.join("vmlinuz"))?)
            == Some(FileFormat::BzImage),
    })
}

/// The file that a line of modules.dep is about.
fn before_colon(line: &str) -> &str {
    line.split(':').next().unwrap_or(line)
}
