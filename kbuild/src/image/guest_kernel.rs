// SPDX-License-Identifier: GPL-2.0

//! One guest's kernel and initramfs, on a disk of their own.
//!
//! A machine that goes on from a snapshot is given another disk each time, so the machine need not know which kernel its
//! guest will run: every such disk says that it has [`SIZE`] bytes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::kmods::{self, Dependencies};
use super::payload::{self, GUEST_FILES};
use super::userland::Userland;
use super::{disk, vmlinux};
use crate::cache::CacheEntry;
use crate::depmod::depmod;
use crate::digest::Digest;
use crate::fsutil;
use crate::kernel::Kernel;
use crate::modules::Modules;
use crate::sandbox::Sandbox;
use crate::session::Session;

/// Bytes of the disk, of which most are not there (the file is sparse).
const SIZE: u64 = 4 << 30;

/// Room for all parts, in bytes.
const ROOM: u64 = 1_000_000_000;

/// The initramfs, on the disk and beside it.
const INITRAMFS: &str = "initrd.cpio";

/// The image as it was brought, on the disk and beside it.
const KERNEL: &str = "vmlinuz";

/// A kernel whose modules take no more bytes than this has all of them in the initramfs, which is in memory.
const FEW: u64 = 24 << 20;

/// The disk in the cache.
#[derive(Clone)]
pub struct GuestKernel {
    entry: Arc<CacheEntry>,
    /// The kernel's release, as `uname -r` says it.
    pub release: String,
}

impl GuestKernel {
    /// Finds it in the cache or makes it. Without `modules` the guest has the kernel's own drivers only. `extra` are names of
    /// modules that it has in any case, if there are such.
    pub fn make(
        session: &Session,
        sandbox: &Sandbox,
        userland: &Userland,
        kernel: &Kernel,
        modules: Option<&Modules>,
        agent: &Path,
        extra: &[&str],
    ) -> Result<Self> {
        let key = Digest::new("guest-kernel", 2)
            .with("kernel", kmods::key(kernel))
            .with("modules", modules.map(Modules::key).unwrap_or_default())
            .with("userland", userland.key())
            .with("agent", fs::read(agent)?)
            .with_all("file", GUEST_FILES)
            .with_all("module", payload::GUEST)
            .with_all("extra", extra)
            .hex();
        let name = format!("{}-{key}", kernel.release);
        let entry = session
            .cache
            .get_or_make_latest("guest-kernel", &name, ROOM, |dir| {
                let step = session
                    .ui
                    .step(format!("Making a guest's disk of {}", kernel.release));
                let tree = dir.join("tree");
                let guest = dir.join("guest");
                let modules_dir = guest.join("usr/lib/modules").join(&kernel.release);
                fs::create_dir(&tree)?;
                kmods::copy_lists(kernel, &modules_dir)?;
                let files = wanted(kernel, extra)?;
                kmods::copy(session, &step, sandbox, kernel, &files, &modules_dir)?;
                if let Some(modules) = modules {
                    payload::add_our_modules(&modules.files(), &modules_dir, true)?;
                }
                depmod(session, &step, sandbox, &guest, &kernel.release)?;
                let mut archive = Archive::default();
                payload::add_guest_files(&mut archive, &guest.join("usr"), agent)?;
                let ours = dir.join("ours.cpio");
                archive.write_to(&ours)?;
                let parts = [userland.guest_archive(), userland.network_archive(), ours];
                payload::concatenate(&parts, &tree.join(INITRAMFS))?;
                vmlinux::extract(sandbox, &kernel.vmlinuz(), &tree.join("vmlinux"))?;
                fs::copy(kernel.vmlinuz(), tree.join(KERNEL))?;
                let image = dir.join("disk.img");
                disk::make(session, &step, sandbox, &tree, &image, 0)?;
                File::options()
                    .write(true)
                    .open(&image)?
                    .set_len(SIZE)
                    .context("cannot make the disk as large as all are")?;
                for file in [INITRAMFS, KERNEL] {
                    fs::rename(tree.join(file), dir.join(file))?;
                }
                for left in ["tree", "guest", "ours.cpio"] {
                    fsutil::remove_all(&dir.join(left))?;
                }
                step.done("");
                Ok(())
            })?;
        Ok(Self {
            entry: Arc::new(entry),
            release: kernel.release.clone(),
        })
    }

    /// The initramfs, for a machine that boots the kernel without a dom0.
    pub fn initramfs(&self) -> PathBuf {
        self.entry.join(INITRAMFS)
    }

    /// The kernel for such a machine, the image as it was brought.
    pub fn kernel(&self) -> PathBuf {
        self.entry.join(KERNEL)
    }

    /// An ext4 image with `vmlinux` (an ELF file), `vmlinuz` (the image as it was brought) and `initrd.cpio`.
    pub fn disk(&self) -> PathBuf {
        self.entry.join("disk.img")
    }
}

/// The modules that the guest gets: all if they are few, else those that guests of ours use and `extra`.
fn wanted(kernel: &Kernel, extra: &[&str]) -> Result<Vec<String>> {
    let dependencies = Dependencies::of(kernel)?;
    let all = dependencies.all();
    let size =
        |file: &String| fs::metadata(kernel.modules_dir().join(file)).map_or(0, |meta| meta.len());
    Ok(match all.iter().map(size).sum::<u64>() <= FEW {
        true => all,
        false => dependencies.load_order(&[&payload::GUEST, extra].concat()),
    })
}
