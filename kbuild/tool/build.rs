// SPDX-License-Identifier: GPL-2.0

//! Packs the work tree for the program to carry.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use walkdir::{DirEntry, WalkDir};

/// What is at the work tree's root and belongs to it.
const SOURCES: [&str; 13] = [
    ".cargo",
    "CONTRIBUTING.md",
    "COPYING",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "docs",
    "hypervisor",
    "kbuild",
    "kernels.toml",
    "linux-pv",
    "protocol",
    "tests",
];

/// When all files were changed, as far as cargo is concerned: the archive depends on nothing but their content.
const CHANGED: u64 = 1_577_836_800;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo names no folder")?);
    let file = File::create(out.join("sources.tar.gz"))?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for name in SOURCES {
        let path = root.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        let all = WalkDir::new(&path).sort_by_file_name().into_iter();
        for entry in all.filter_entry(|entry| !is_built(entry)) {
            let entry = entry?;
            add(&mut archive, &root, entry.path())
                .with_context(|| format!("cannot pack {}", entry.path().display()))?;
        }
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

/// Whether something is left by a build or a fuzzer.
fn is_built(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    entry.file_type().is_dir()
        && ["target", "corpus", "artifacts"]
            .iter()
            .any(|built| name == *built)
}

fn add(archive: &mut tar::Builder<GzEncoder<File>>, root: &Path, path: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(path)?;
    let name = path.strip_prefix(root)?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata_in_mode(&meta, tar::HeaderMode::Deterministic);
    header.set_mtime(CHANGED);
    if meta.is_symlink() {
        archive.append_link(&mut header, name, fs::read_link(path)?)?;
    } else if meta.is_dir() {
        archive.append_data(&mut header, name, std::io::empty())?;
    } else {
        archive.append_data(&mut header, name, File::open(path)?)?;
    }
    Ok(())
}
