// SPDX-License-Identifier: GPL-2.0

//! Where image, configuration and modules are in what the user has named.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::image::{self, FileFormat, HEAD};
use crate::fsutil;

/// The image in a build folder.
const BUILT_IMAGE: &str = "arch/x86/boot/bzImage";

/// Archives of modules that builds leave.
const ARCHIVES: [&str; 4] = [
    "modules.tar.xz",
    "modules.tar.zst",
    "modules.tar.gz",
    "modules.tar",
];

/// The parts of a kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    /// A bzImage or an ELF file.
    pub image: PathBuf,
    /// The configuration it was built with.
    pub config: Option<PathBuf>,
    /// Its modules.
    pub modules: Option<ModulesAt>,
}

/// Where modules are.
#[derive(Debug, PartialEq, Eq)]
pub enum ModulesAt {
    /// Installed: a folder `lib/modules/RELEASE`, or one that holds such a folder.
    Folder(PathBuf),
    /// In the folder they were built in, with the list `modules.order`.
    BuildFolder(PathBuf),
    /// In a tar archive with `lib/modules/RELEASE`.
    Archive(PathBuf),
    /// In a Debian package.
    Package(PathBuf),
}

impl ModulesAt {
    /// What the user has named.
    pub fn of(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(
                match path.join("modules.order").is_file() && is_build_folder(path) {
                    true => Self::BuildFolder(path.to_owned()),
                    false => Self::Folder(path.to_owned()),
                },
            );
        }
        Ok(match image::format(&first_bytes(path)?) {
            Some(FileFormat::Deb) => Self::Package(path.to_owned()),
            _ => Self::Archive(path.to_owned()),
        })
    }
}

/// The absolute path of a file or folder that has to be there; `option` has named it.
pub fn existing(path: &Path, option: &str) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("{option} names {}, which cannot be found", path.display()))
}

/// A whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// As many bytes as say what a file is.
pub fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEAD as u64).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

/// The build folder that the user has named, by itself or by an image in it.
pub fn build_folder(path: &Path) -> Option<PathBuf> {
    let folder = match path.is_dir() {
        true => path,
        false if path.ends_with(BUILT_IMAGE) => path.ancestors().nth(4)?,
        false => path.parent()?,
    };
    is_build_folder(folder).then(|| folder.to_owned())
}

fn is_build_folder(folder: &Path) -> bool {
    folder.join(".config").is_file()
}

/// The parts that lie beside an image.
pub fn beside(image: &Path) -> Parts {
    if let Some(build) = build_folder(image) {
        return of_build(&build, image.to_owned());
    }
    let folder = image.parent().unwrap_or(Path::new("/"));
    let name = fsutil::name(image);
    let release = ["vmlinuz-", "vmlinux-"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix));
    let named = release.map(|release| folder.join(format!("config-{release}")));
    let config = [named, Some(folder.join("config"))];
    let modules = release.and_then(|release| {
        let root = folder.parent()?;
        let at = ["lib/modules", "usr/lib/modules"].map(|way| root.join(way).join(release));
        at.into_iter().find(|at| at.is_dir()).map(ModulesAt::Folder)
    });
    let installed = || is_installed(folder).then(|| ModulesAt::Folder(folder.to_owned()));
    Parts {
        image: image.to_owned(),
        config: config.into_iter().flatten().find(|file| file.is_file()),
        modules: modules.or_else(installed),
    }
}

/// The parts in a folder: one that a kernel was built in, tuxmake's output, or an installed kernel's.
///
/// # Errors
///
/// What is missing, and what to do.
pub fn in_folder(folder: &Path) -> Result<Parts> {
    if is_build_folder(folder) {
        let images = [BUILT_IMAGE, "vmlinux"].map(|name| folder.join(name));
        let image = images.into_iter().find(|image| image.is_file());
        let image = image.with_context(|| {
            format!(
                "{} has neither {BUILT_IMAGE} nor vmlinux: run make there first",
                folder.display()
            )
        })?;
        return Ok(of_build(folder, image));
    }
    for name in ["bzImage", "vmlinuz", "vmlinux"] {
        let image = folder.join(name);
        if !image.is_file() {
            continue;
        }
        let archive = ARCHIVES.map(|name| folder.join(name));
        let archive = archive.into_iter().find(|file| file.is_file());
        let found = beside(&image);
        let modules = archive.map(ModulesAt::Archive).or(found.modules);
        return Ok(Parts { modules, ..found });
    }
    in_package(folder).with_context(|| {
        format!(
            "{} is neither a folder that a kernel was built in (.config), nor tuxmake's output (bzImage, config, \
             modules.tar.xz), nor an installed kernel's (lib/modules/RELEASE with vmlinuz)",
            folder.display()
        )
    })
}

/// The parts in an unpacked package.
pub fn in_package(root: &Path) -> Result<Parts> {
    let mut images: Vec<PathBuf> = Vec::new();
    for folder in installed_folders(root) {
        images.extend(Some(folder.join("vmlinuz")).filter(|file| file.is_file()));
    }
    if let Ok(files) = fsutil::read_dir_sorted(&root.join("boot")) {
        let is_image = |file: &PathBuf| fsutil::name(file).starts_with("vmlinuz-");
        images.extend(files.into_iter().filter(is_image));
    }
    match images.as_slice() {
        [] => bail!(
            "it has no /boot/vmlinuz-RELEASE and no vmlinuz in /usr/lib/modules/RELEASE; a package without \
             a version in its name often only depends on the one with the kernel"
        ),
        [image] => Ok(beside(image)),
        // Both places in one package: the same kernel.
        [image, boot] if boot.starts_with(root.join("boot")) && image.parent() != boot.parent() => {
            Ok(beside(image))
        }
        _ => bail!("it has several kernels: name one of them"),
    }
}

/// The folders `lib/modules/RELEASE` below a root folder.
pub fn installed_folders(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for way in ["usr/lib/modules", "lib/modules"] {
        let folder = root.join(way);
        // A link to the other one would be counted twice.
        if folder.canonicalize().is_ok_and(|real| real == folder) || found.is_empty() {
            found.extend(fsutil::read_dir_sorted(&folder).unwrap_or_default());
        }
    }
    found.retain(|path| path.is_dir());
    found
}

/// Whether this is a folder `lib/modules/RELEASE`.
pub fn is_installed(folder: &Path) -> bool {
    let marks = ["kernel", "modules.dep", "modules.builtin"];
    let starts_as_release = fsutil::name(folder).starts_with(|c: char| c.is_ascii_digit());
    starts_as_release && marks.iter().any(|mark| folder.join(mark).exists())
}

fn of_build(folder: &Path, image: PathBuf) -> Parts {
    let has_modules = folder.join("modules.order").is_file();
    Parts {
        image,
        config: Some(folder.join(".config")),
        modules: has_modules.then(|| ModulesAt::BuildFolder(folder.to_owned())),
    }
}

/// The one folder `lib/modules/RELEASE` in what was named, which has to be `release`.
pub fn of_release(root: &Path, release: &str, named: &Path) -> Result<PathBuf> {
    let folders = match is_installed(root) {
        true => vec![root.to_owned()],
        false => installed_folders(root),
    };
    if let Some(folder) = folders.iter().find(|path| fsutil::name(path) == release) {
        return Ok(folder.clone());
    }
    ensure!(
        !folders.is_empty(),
        "{} holds no modules: no folder lib/modules/RELEASE",
        named.display()
    );
    let others: Vec<_> = folders.iter().map(|path| fsutil::name(path)).collect();
    bail!(
        "the modules in {} are for {}, the kernel is {release}: name those that were built with it",
        named.display(),
        others.join(", ")
    )
}
