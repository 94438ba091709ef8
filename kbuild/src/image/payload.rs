// SPDX-License-Identifier: GPL-2.0

//! Everything in a machine that belongs to one kernel or to this work tree: dom0's initramfs, and a disk that
//! dom0 mounts read-only at `/payload` with
//!
//! - `lib/modules/RELEASE`: the kernel's modules for dom0, and ours in `updates/`;
//! - `boot/vmlinux` (`boot/vmlinuz` for HVM guests), `boot/guest.cpio`, and that with additions, as
//!   `boot/guest-fio.cpio`: what guests boot from;
//! - `lib/bpf`: programs for network devices ([`bpf`]);
//! - `bin/devfile-…` and others: calls on the toolstack's device files ([`programs`]);
//! - `lib/selftests`: the kernel's own tests of network devices ([`selftests`]);
//! - `bin/agent`, `sbin/setup`, `etc/inittab`: how dom0 starts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::kmods::{self, Dependencies};
use super::userland::Userland;
use super::{bpf, disk, programs, selftests, vmlinux};
use crate::cache::CacheEntry;
use crate::depmod::depmod;
use crate::digest::Digest;
use crate::fsutil;
use crate::kernel::Kernel;
use crate::modules::Modules;
use crate::sandbox::Sandbox;
use crate::session::Session;

/// Room for all parts, in bytes.
const ROOM: u64 = 1_500_000_000;

/// Modules dom0 needs to find its disks and us. ext4 of older kernels (6.12, for one) asks for a checksum by an alias, which no
/// list of what modules need has.
const DOM0_EARLY: [&str; 5] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "crc32c_generic",
    "ext4",
];

/// Modules dom0 uses later: Xen's, devices that tests put behind a backend, a device's errors, and this machine's files.
const DOM0: [&str; 34] = [
    "8021q",
    "9p",
    "9pnet_virtio",
    "aer_inject",
    "ahci",
    "brd",
    "bridge",
    "crc32c_generic",
    "dm-delay",
    "dm-flakey",
    "dm-linear",
    "dm-mod",
    "e1000",
    "e1000e",
    "ext4",
    "loop",
    "null_blk",
    "nvme",
    "scsi_debug",
    "sd_mod",
    "sym53c8xx",
    "virtio_net",
    "xen-blkback",
    "xen-blkfront",
    "xen_acpi_processor",
    "xen_dma_test",
    "xen-evtchn",
    "xen-gntalloc",
    "xen-gntdev",
    "xen_grant_test",
    "xen-netback",
    "xen-pciback",
    "xen-privcmd",
    "xenfs",
];

/// Modules of a guest.
pub(super) const GUEST: [&str; 17] = [
    "8021q",
    "crc32c_generic",
    "dm-mod",
    "e1000e",
    "ext4",
    "loop",
    "netconsole",
    "nvme",
    "xen-blkfront",
    "xen_call_test",
    "xen-evtchn",
    "xen-gntalloc",
    "xen-gntdev",
    "xen_grant_test",
    "xen-netfront",
    "xen-pcifront",
    "xenfs",
];

/// Modules of ours that guests have no use for: those behind device files that only the toolstack opens.
const DOM0_ONLY: [&str; 2] = ["xen_gntdev_rs", "xen_privcmd_rs"];

const DOM0_INITRD: &str = include_str!("files/dom0-initrd");
const DOM0_SETUP: &str = include_str!("files/dom0-setup");
const DOM0_INITTAB: &str = include_str!("files/dom0-inittab");
const GUEST_INIT: &str = include_str!("files/guest-init");
const GUEST_INITTAB: &str = include_str!("files/guest-inittab");

/// What a guest starts by.
pub(super) const GUEST_FILES: [&str; 2] = [GUEST_INIT, GUEST_INITTAB];

/// The payload in the cache.
#[derive(Clone)]
pub struct Payload {
    kernel: Arc<CacheEntry>,
    entry: Arc<CacheEntry>,
    from: Kernel,
    /// The kernel's release, as `uname -r` says it.
    pub release: String,
    /// Names of our modules in it.
    pub modules: Vec<String>,
}

impl Payload {
    /// Finds it in the cache or makes it. Without `modules` the machines have the kernel's own drivers only.
    pub fn make(
        session: &Session,
        sandbox: &Sandbox,
        userland: &Userland,
        kernel: &Kernel,
        modules: Option<&Modules>,
        agent: &Path,
    ) -> Result<Self> {
        let kernel_part = KernelPart::open(session, sandbox, userland, kernel)?;
        let files = modules.map(Modules::files).unwrap_or_default();
        let key = Digest::new("payload", 5)
            .with("kernel", fsutil::name(kernel_part.path()))
            .with("modules", modules.map(Modules::key).unwrap_or_default())
            .with("agent", fs::read(agent)?)
            .with("bpf", bpf::key(session)?)
            .with("programs", programs::key(session)?)
            .with_all(
                "file",
                [DOM0_SETUP, DOM0_INITTAB, GUEST_INIT, GUEST_INITTAB],
            )
            .hex();
        let name = format!("{}-{key}", kernel.release);
        let entry = session
            .cache
            .get_or_make_latest("payload", &name, ROOM, |dir| {
                let step = session
                    .ui
                    .step_before("Making the machines' disks", "the boot");
                let tree = dir.join("tree");
                let part = |name| kernel_part.join(name);
                copy_tree(&part("dom0"), &tree)?;
                copy_tree(&part("guest"), &dir.join("guest"))?;
                for (root, is_guest) in [(&tree, false), (&dir.join("guest"), true)] {
                    let modules_dir = root.join("usr/lib/modules").join(&kernel.release);
                    add_our_modules(&files, &modules_dir, is_guest)?;
                    depmod(session, &step, sandbox, root, &kernel.release)?;
                }
                bpf::build(session, &step, sandbox, &tree.join("lib/bpf"))?;
                let mut guest = Archive::default();
                add_guest_files(&mut guest, &dir.join("guest/usr"), agent)?;
                guest.write_to(&dir.join("ours.cpio"))?;

                fs::create_dir_all(tree.join("boot"))?;
                copy_tree(&part("selftests"), &tree.join("lib/selftests"))?;
                let mut network = Archive::default();
                for folder in ["lib/bpf", "lib/selftests"] {
                    add_tree(&mut network, &tree.join(folder), Path::new(folder))?;
                }
                network.write_to(&dir.join("network.cpio"))?;
                let [ours, network] = ["ours.cpio", "network.cpio"].map(|name| dir.join(name));
                for (name, additions) in [
                    ("guest", vec![]),
                    ("guest-fio", vec![userland.fio_archive()]),
                    ("guest-net", vec![userland.network_archive(), network]),
                ] {
                    let parts = [
                        vec![userland.guest_archive()],
                        additions,
                        vec![ours.clone()],
                    ];
                    let archive = tree.join("boot").join(format!("{name}.cpio"));
                    concatenate(&parts.concat(), &archive)?;
                }
                fs::copy(part("vmlinux"), tree.join("boot/vmlinux"))?;
                fs::copy(kernel.vmlinuz(), tree.join("boot/vmlinuz"))?;
                for (name, mode, content) in [
                    ("sbin/setup", 0o755, DOM0_SETUP),
                    ("etc/inittab", 0o644, DOM0_INITTAB),
                ] {
                    write(&tree.join(name), mode, content)?;
                }
                programs::build(session, &step, sandbox, &tree.join("bin"))?;
                fs::copy(agent, tree.join("bin/agent"))?;
                disk::make(session, &step, sandbox, &tree, &dir.join("payload.img"), 0)?;
                for left in ["tree", "guest", "ours.cpio", "network.cpio"] {
                    fsutil::remove_all(&dir.join(left))?;
                }
                step.done("");
                Ok(())
            })?;
        Ok(Self {
            kernel: Arc::new(kernel_part),
            entry: Arc::new(entry),
            from: kernel.clone(),
            release: kernel.release.clone(),
            modules: modules.map(Modules::names).unwrap_or_default(),
        })
    }

    /// The ext4 image that machines have as their second disk.
    pub fn disk(&self) -> PathBuf {
        self.entry.join("payload.img")
    }

    /// The uncompressed kernel, for dom0.
    pub fn vmlinux(&self) -> PathBuf {
        self.kernel.join("vmlinux")
    }

    /// The kernel it was made for.
    pub(super) fn kernel(&self) -> &Kernel {
        &self.from
    }

    /// The kernel's image as its package has it, compressed.
    pub fn vmlinuz(&self) -> PathBuf {
        self.from.vmlinuz()
    }

    /// Dom0's initramfs.
    pub fn dom0_initrd(&self) -> PathBuf {
        self.kernel.join("dom0-initrd.cpio")
    }
}

/// The part that depends on the kernel only: `vmlinux`, `dom0-initrd.cpio`, the modules of dom0 and of guests in
/// `dom0/usr/lib/modules` and `guest/usr/lib/modules`, and the kernel's own tests in `selftests`.
struct KernelPart;

impl KernelPart {
    fn open(
        session: &Session,
        sandbox: &Sandbox,
        userland: &Userland,
        kernel: &Kernel,
    ) -> Result<CacheEntry> {
        let key = Digest::new("machine-kernel", 2)
            .with("kernel", kmods::key(kernel))
            .with("userland", userland.key())
            .with("initrd", DOM0_INITRD)
            .with_all("early", DOM0_EARLY)
            .with_all("dom0", DOM0)
            .with_all("guest", GUEST)
            .hex();
        let name = format!("{}-{key}", kernel.release);
        session
            .cache
            .get_or_make("machine-kernel", &name, ROOM, |dir| {
                let step = session
                    .ui
                    .step(format!("Unpacking {} for machines", kernel.release));
                vmlinux::extract(sandbox, &kernel.vmlinuz(), &dir.join("vmlinux"))?;
                let dependencies = Dependencies::of(kernel)?;
                for (place, wanted) in [("dom0", &DOM0[..]), ("guest", &GUEST[..])] {
                    let to = dir
                        .join(place)
                        .join("usr/lib/modules")
                        .join(&kernel.release);
                    kmods::copy_lists(kernel, &to)?;
                    let files = dependencies.load_order(wanted);
                    kmods::copy(session, &step, sandbox, kernel, &files, &to)?;
                }
                selftests::build(session, &step, sandbox, kernel, &dir.join("selftests"))?;
                let early = dir.join("early");
                let files = dependencies.load_order(&DOM0_EARLY);
                let order = kmods::copy(session, &step, sandbox, kernel, &files, &early)?;
                dom0_initrd(userland, &early, &order)?.write_to(&dir.join("dom0-initrd.cpio"))?;
                fsutil::remove_all(&early)?;
                step.done("");
                Ok(())
            })
    }
}

fn dom0_initrd(userland: &Userland, early: &Path, order: &[PathBuf]) -> Result<Archive> {
    let mut archive = Archive::default();
    for dir in ["dev", "proc", "root", "sys"] {
        archive.dir(dir);
    }
    archive
        .host_file("bin/busybox", &userland.busybox())?
        .link("bin/sh", "busybox");
    for (number, file) in order.iter().enumerate() {
        // The shell loads them in the order of their names.
        let name = format!("modules/{number:02}-{}", fsutil::name(file));
        archive.host_file(name, &early.join(file))?;
    }
    archive.file("init", 0o755, DOM0_INITRD);
    Ok(archive)
}

/// Copies our modules into a kernel's modules folder; a guest gets those that it has a use for.
pub(super) fn add_our_modules(files: &[PathBuf], modules_dir: &Path, is_guest: bool) -> Result<()> {
    let updates = modules_dir.join("updates");
    fs::create_dir_all(&updates)?;
    for file in files {
        let name = fsutil::name(file);
        if is_guest && DOM0_ONLY.contains(&kmods::module_name(&name).as_str()) {
            continue;
        }
        fs::copy(file, updates.join(name))?;
    }
    Ok(())
}

/// Adds to a guest's initramfs what it starts by, and the folder with its modules.
pub(super) fn add_guest_files(archive: &mut Archive, modules: &Path, agent: &Path) -> Result<()> {
    add_tree(archive, modules, Path::new(""))?;
    archive.host_file("bin/agent", agent)?;
    archive
        .file("init", 0o755, GUEST_INIT)
        .file("etc/inittab", 0o644, GUEST_INITTAB);
    Ok(())
}

fn write(path: &Path, mode: u32, content: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            // Linked, not copied: these files are only ever read.
            fs::hard_link(entry.path(), &target)
                .or_else(|_| fs::copy(entry.path(), &target).map(drop))?;
        }
    }
    Ok(())
}

fn add_tree(archive: &mut Archive, from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let name = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            archive.dir(name);
        } else {
            archive.host_file(name, entry.path())?;
        }
    }
    Ok(())
}

/// An initramfs may consist of several archives one after the other, each beginning at a multiple of four.
pub(super) fn concatenate(parts: &[PathBuf], to: &Path) -> Result<()> {
    let mut out = fs::File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    for part in parts {
        let mut file = fs::File::open(part).with_context(|| part.display().to_string())?;
        io::copy(&mut file, &mut out)?;
    }
    Ok(())
}
