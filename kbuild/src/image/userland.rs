// SPDX-License-Identifier: GPL-2.0

//! Debian for dom0 with Xen's tools, the hypervisor, and the programs of a guest's initramfs. Nothing here
//! depends on the kernel or on this work tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::cpio::Archive;
use super::disk;
use crate::cache::CacheEntry;
use crate::digest::Digest;
use crate::fsutil;
use crate::packages;
use crate::process;
use crate::resolve::XenPackages;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::suite::Suite;

/// Room for the unpacked folder, the archive and the disk, in bytes.
const ROOM: u64 = 2_000_000_000;

/// Free room on dom0's root disk, in bytes (sparse).
const FREE: u64 = 1 << 30;

/// What dom0 has besides Xen's own packages. They are unpacked, not configured: nothing here needs a running
/// service, and that saves a minute.
const PACKAGES: [&str; 26] = [
    "base-files",
    "bash",
    "bridge-utils",
    "busybox-static",
    "coreutils",
    "dash",
    "dmsetup",
    "e2fsprogs",
    "ethtool",
    "fdisk",
    "findutils",
    "fio",
    "grep",
    // A loader that guests read their kernel from their disk with.
    "grub-xen-host",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libc-bin",
    "mawk",
    "procps",
    "psmisc",
    // The device model of HVM guests, and a block back end.
    "qemu-system-xen",
    "sed",
    "tar",
    "tcpdump",
    "util-linux",
];

/// Programs of Debian that guests have next to busybox's.
const GUEST_PROGRAMS: [&str; 12] = [
    "/bin/dash",
    "/sbin/mke2fs",
    "/sbin/e2fsck",
    "/sbin/resize2fs",
    "/sbin/dumpe2fs",
    "/sbin/blkdiscard",
    "/sbin/blockdev",
    "/sbin/sfdisk",
    "/bin/dd",
    "/bin/lsblk",
    "/bin/sync",
    "/usr/bin/fallocate",
];

/// A guest has this only when it asks: with its libraries it is larger than all the rest.
const FIO: &str = "/usr/bin/fio";

/// What guests with a network have, in the place of busybox's programs of these names.
const NETWORK: [&str; 3] = ["/sbin/ip", "/sbin/ethtool", "/bin/ping"];

/// What dom0 does not boot by, and parts of a loader that are in its image already.
const LEFT_OUT: [&str; 2] = ["./boot/*.efi", "./usr/lib/grub"];

/// The userland in the cache.
#[derive(Clone)]
pub struct Userland {
    entry: Arc<CacheEntry>,
    /// The hypervisor's package version, as `4.20.4+63-g7abfd2bce2-0+deb13u1`.
    pub xen_version: String,
    /// Its series, as `4.20`.
    pub xen_series: String,
}

impl Userland {
    /// Finds it in the cache or makes it.
    pub fn open(session: &Session, suite: &Suite, xen: &XenPackages) -> Result<Self> {
        let names = package_names(xen);
        let key = Digest::new("userland", 3)
            .with("preferences", suite.preferences())
            .with_all("pocket", &suite.pockets)
            .with_all("package", &names)
            .with_all("left out", LEFT_OUT)
            .with("xen", xen.hypervisor.version.as_str())
            .hex();
        let name = format!("{}-xen-{}-{key}", suite.name, xen.series);
        let entry = session.cache.get_or_make("userland", &name, ROOM, |dir| {
            let title = format!(
                "Making dom0's root file system (Debian {}, Xen {})",
                suite.name, xen.series
            );
            let step = session.ui.step_before(title, "the machines' disks");
            let tree = dir.join("tree");
            fs::create_dir(&tree)?;
            packages::unpack_with_dependencies(session, &step, suite, &names, &LEFT_OUT, &tree)?;
            for folder in ["payload", "disks"] {
                fs::create_dir_all(tree.join(folder))?;
            }
            // Not needed before: it may be made meanwhile.
            let sandbox = Sandbox::open(session, suite)?;
            let mut cache = sandbox
                .command("ldconfig")
                .args(["-r", TREE])
                .bind(&tree, TREE)
                .build()?;
            process::output("making the dynamic linker's cache", &mut cache)?;
            let programs = Programs::ask(&sandbox, &tree)?;
            guest_programs(&tree, &programs)?.write_to(&dir.join("guest.cpio"))?;
            for (name, wanted) in [("fio", &[FIO][..]), ("network", &NETWORK[..])] {
                extra(&tree, &programs, wanted)?.write_to(&dir.join(format!("{name}.cpio")))?;
            }
            fs::copy(resolve_in(&tree, "/bin/busybox")?, dir.join("busybox"))?;
            hypervisor(&sandbox, &tree, &xen.series, &dir.join("xen"))?;
            disk::make(session, &step, &sandbox, &tree, &dir.join("root.img"), FREE)?;
            fsutil::remove_all(&tree)?;
            step.done("");
            Ok(())
        })?;
        Ok(Self {
            entry: Arc::new(entry),
            xen_version: xen.hypervisor.version.to_string(),
            xen_series: xen.series.clone(),
        })
    }

    /// Dom0's root disk: ext4 without partitions, to be used through a snapshot.
    pub fn root_disk(&self) -> PathBuf {
        self.entry.join("root.img")
    }

    /// The hypervisor as an uncompressed multiboot image.
    pub fn xen(&self) -> PathBuf {
        self.entry.join("xen")
    }

    /// The initramfs part with a guest's programs.
    pub(super) fn guest_archive(&self) -> PathBuf {
        self.entry.join("guest.cpio")
    }

    /// The initramfs part with fio.
    pub(super) fn fio_archive(&self) -> PathBuf {
        self.entry.join("fio.cpio")
    }

    /// The initramfs part with the network's tools.
    pub(super) fn network_archive(&self) -> PathBuf {
        self.entry.join("network.cpio")
    }

    /// A static busybox.
    pub(super) fn busybox(&self) -> PathBuf {
        self.entry.join("busybox")
    }

    /// A key over the content.
    pub(super) fn key(&self) -> String {
        fsutil::name(self.entry.path())
    }
}

/// The names of all packages.
fn package_names(xen: &XenPackages) -> Vec<String> {
    let series = &xen.series;
    let xen = [
        format!("xen-hypervisor-{series}-amd64"),
        format!("xen-utils-{series}"),
        "xenstore-utils".into(),
    ];
    PACKAGES.into_iter().map(str::to_owned).chain(xen).collect()
}

/// Where commands in the sandbox see the root file system.
const TREE: &str = "/tree";

/// Where libraries lie in it: Debian's folder, and the one that fio's libraries name as their own run path.
const LIBRARY_PATH: &str = "/tree/lib/x86_64-linux-gnu:/tree/usr/lib/x86_64-linux-gnu/ceph";

/// What programs of the root file system say about themselves.
struct Programs {
    /// Absolute paths of the shared libraries a program needs, the dynamic linker among them.
    libraries: BTreeMap<String, Vec<String>>,
    /// Names of busybox's applets, as `usr/bin/tail`.
    applets: Vec<String>,
}

impl Programs {
    fn ask(sandbox: &Sandbox, tree: &Path) -> Result<Self> {
        let inside = |program: &str| sandbox.command(program).ro_bind(tree, TREE);
        let mut libraries = BTreeMap::new();
        for program in GUEST_PROGRAMS.iter().chain([&FIO]).chain(&NETWORK) {
            let file = resolve_in(tree, program)?;
            let mut loader = inside("/tree/lib64/ld-linux-x86-64.so.2")
                .args(["--library-path", LIBRARY_PATH, "--list"])
                .arg(Path::new(TREE).join(file.strip_prefix(tree)?))
                .build()?;
            let text = process::output("asking for a program's libraries", &mut loader)?;
            libraries.insert((*program).to_owned(), parse_libraries(&text)?);
        }
        let mut list = inside("/tree/bin/busybox").arg("--list-full").build()?;
        let applets = process::output("asking for busybox's applets", &mut list)?;
        let applets = applets.lines().map(str::to_owned).collect();
        Ok(Self { libraries, applets })
    }

    /// Adds a program and its libraries, at the same paths.
    fn add(&self, archive: &mut Archive, tree: &Path, program: &str) -> Result<()> {
        let libraries = self
            .libraries
            .get(program)
            .map(Vec::as_slice)
            .unwrap_or_default();
        for path in libraries.iter().map(String::as_str).chain([program]) {
            archive.host_file(path.trim_start_matches('/'), &resolve_in(tree, path)?)?;
        }
        Ok(())
    }
}

/// Reads what the dynamic linker lists for a program: `libm.so.6 => /tree/lib/…/libm.so.6 (0x…)`.
fn parse_libraries(text: &str) -> Result<Vec<String>> {
    if let Some(missing) = text.lines().find(|line| line.contains("not found")) {
        bail!(
            "a library is missing in dom0's root file system: {}",
            missing.trim()
        );
    }
    let path = |line: &str| {
        let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
        Some(path.strip_prefix(TREE).unwrap_or(path).to_owned())
    };
    Ok(text.lines().filter_map(path).collect())
}

fn guest_programs(tree: &Path, programs: &Programs) -> Result<Archive> {
    let mut archive = Archive::default();
    for dir in ["dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp"] {
        archive.dir(dir);
    }
    archive.host_file("bin/busybox", &resolve_in(tree, "/bin/busybox")?)?;
    for program in GUEST_PROGRAMS {
        programs.add(&mut archive, tree, program)?;
    }
    archive
        // Not busybox's shell, which prefers its own applets to the programs above.
        .link("bin/sh", "dash")
        .link("sbin/mkfs.ext4", "mke2fs")
        .link("sbin/fsck.ext4", "e2fsck");
    // Debian's programs come before busybox's of the same name, wherever those are.
    let taken: Vec<_> = GUEST_PROGRAMS
        .iter()
        .filter_map(|path| path.rsplit('/').next())
        .collect();
    for applet in &programs.applets {
        let name = applet.rsplit('/').next().unwrap_or(applet);
        if !taken.contains(&name) {
            archive.link(applet, "/bin/busybox");
        }
    }
    Ok(archive)
}

/// A part of the initramfs that only some guests have.
fn extra(tree: &Path, programs: &Programs, wanted: &[&str]) -> Result<Archive> {
    let mut archive = Archive::default();
    for program in wanted {
        programs.add(&mut archive, tree, program)?;
    }
    Ok(archive)
}

/// Follows symbolic links as a process inside the root folder would see them.
fn resolve_in(tree: &Path, path: &str) -> Result<PathBuf> {
    let mut wanted: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut inside = PathBuf::new();
    let mut links = 0;
    while let Some(part) = wanted.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                inside.pop();
                continue;
            }
            _ => inside.push(&part),
        }
        let Ok(target) = fs::read_link(tree.join(&inside)) else {
            continue;
        };
        links += 1;
        if links > 40 {
            bail!("{path} is a loop of links in dom0's root file system");
        }
        inside.pop();
        if target.is_absolute() {
            inside = PathBuf::new();
        }
        wanted.extend(target.to_string_lossy().split('/').rev().map(str::to_owned));
    }
    let found = tree.join(inside);
    if !found.exists() {
        bail!("dom0's root file system has no {path}");
    }
    Ok(found)
}

/// Unpacks the hypervisor: QEMU's multiboot loader wants an ELF file.
fn hypervisor(sandbox: &Sandbox, tree: &Path, series: &str, out: &Path) -> Result<()> {
    let packed = fsutil::read_dir_sorted(&tree.join("boot"))?
        .into_iter()
        .find(|path| {
            let name = fsutil::name(path);
            name.starts_with(&format!("xen-{series}")) && name.ends_with(".gz")
        })
        .with_context(|| format!("the package of Xen {series} has no /boot/xen-{series}*.gz"))?;
    let mut gzip = sandbox.command("gzip").arg("-dc").build()?;
    let status = gzip
        .stdin(fs::File::open(&packed)?)
        .stdout(fs::File::create(out)?)
        .stderr(Stdio::null())
        .status()
        .context("cannot start gzip in the sandbox")?;
    if !status.success() {
        bail!(
            "{} cannot be unpacked: gzip {}",
            packed.display(),
            process::describe(status)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_the_linkers_list() {
        let text = "\tlinux-vdso.so.1 (0x0)\n\tlibm.so.6 => /tree/lib/x/libm.so.6 (0x1)\n\
            \t/lib64/ld-linux-x86-64.so.2 => /tree/lib64/ld-linux-x86-64.so.2 (0x2)\n";
        assert_eq!(
            parse_libraries(text).unwrap(),
            ["/lib/x/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
        assert!(parse_libraries("\tlibz.so => not found\n").is_err());
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path();
        fs::create_dir_all(tree.join("usr/lib")).unwrap();
        fs::write(tree.join("usr/lib/real"), "").unwrap();
        std::os::unix::fs::symlink("usr/lib", tree.join("lib")).unwrap();
        std::os::unix::fs::symlink("/lib/real", tree.join("usr/lib/absolute")).unwrap();
        std::os::unix::fs::symlink("../lib/absolute", tree.join("usr/lib/relative")).unwrap();
        let real = tree.join("usr/lib/real");
        assert_eq!(resolve_in(tree, "/lib/relative").unwrap(), real);
        assert!(resolve_in(tree, "/lib/missing").is_err());
    }
}
