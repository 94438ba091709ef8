// SPDX-License-Identifier: GPL-2.0

//! Debian's GRUB as on people's machines. With a BIOS, on a disk of its own: its first sector, the rest of it before the
//! first partition, and in that an ext4 file system with GRUB's configuration and what it is to boot. With UEFI, in a
//! folder that is to be a FAT file system, as a program where the firmware looks for one.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::disk;
use crate::apt::{self, Apt};
use crate::cache::CacheEntry;
use crate::deb;
use crate::digest::Digest;
use crate::process;
use crate::resolve;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::suite::Suite;

/// Room for the packages while they are unpacked, in bytes.
const ROOM: u64 = 128 << 20;

/// What GRUB needs besides its drivers; it loads no modules.
const MODULES: [&str; 6] = [
    "echo",
    "multiboot2",
    "normal",
    "part_msdos",
    "serial",
    "terminal",
];

/// What it runs on: the platform's name, where it looks for its configuration, its drivers of disks and file systems, and its
/// image's name.
const PLATFORMS: [(&str, &str, &[&str], &str); 2] = [
    (
        "i386-pc",
        "(hd0,msdos1)/boot/grub",
        &["biosdisk", "ext2"],
        CORE,
    ),
    // From wherever it was itself loaded.
    ("x86_64-efi", "/boot/grub", &["fat"], PROGRAM),
];
const CORE: &str = "core.img";
const PROGRAM: &str = "bootx64.efi";
/// The number of the first sector of a partition.
const BOOT: &str = "boot.img";
/// The firmware and an empty store of its variables.
const FIRMWARE: [&str; 2] = ["OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"];

/// Where the partition begins, in bytes: a MiB is usual, and GRUB has room before it.
const PARTITION: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Where the partition table begins in the first sector, with the disk's number before it.
const TABLE: usize = 446;
const NUMBER: usize = 440;

/// GRUB in the cache.
#[derive(Clone)]
pub struct Grub {
    entry: Arc<CacheEntry>,
    sandbox: Sandbox,
}

/// A file with its arguments.
#[derive(Clone, Debug)]
pub struct Loaded<'a> {
    /// Its name in `/boot` on the disk.
    pub name: &'a str,
    /// The file on this machine.
    pub file: &'a Path,
    /// What stands behind its name in GRUB's configuration.
    pub arguments: &'a str,
}

impl Grub {
    /// Finds it in the cache or makes it from the packages of a suite, whose tools' libraries `sandbox` has.
    pub fn open(session: &Session, sandbox: &Sandbox, suite: &Suite) -> Result<Self> {
        let packages = resolve::grub(session, suite)?;
        let key = Digest::new("grub", 2)
            .with("platforms", format!("{PLATFORMS:?} {MODULES:?}"))
            .with_all("package", packages.iter().map(apt::Package::stored_name))
            .hex();
        let entry = session.cache.get_or_make("grub", &key, ROOM, |dir| {
            let debs = Apt::new(session, suite)?.download(&packages)?;
            let step = session.ui.step("Making GRUB's images");
            let tree = tempfile::tempdir_in(dir)?;
            deb::unpack(&debs, tree.path())?;
            for (platform, prefix, drivers, name) in PLATFORMS {
                let mut make = sandbox
                    .command("/grub/usr/bin/grub-mkimage")
                    .args(["-O", platform, "-p", prefix])
                    .args(["-d", &format!("/grub/usr/lib/grub/{platform}")])
                    .args(["-o", &format!("/out/{name}")])
                    .args(drivers)
                    .args(MODULES)
                    // The one library that the sandbox has not.
                    .env("LD_LIBRARY_PATH", "/grub/usr/lib/x86_64-linux-gnu")
                    .ro_bind(tree.path(), "/grub")
                    .bind(dir, "/out")
                    .build()?;
                let log = session.log("grub-mkimage");
                process::run(&step, "making GRUB's image", &mut make, &log)?;
            }
            let folders = ["lib/grub/i386-pc", "share/OVMF", "share/OVMF"];
            for (folder, name) in folders.iter().zip([BOOT].iter().chain(&FIRMWARE)) {
                let file = tree.path().join("usr").join(folder).join(name);
                fs::copy(&file, dir.join(name))
                    .with_context(|| format!("a package has no {}", file.display()))?;
            }
            step.done("");
            Ok(())
        })?;
        Ok(Self {
            entry: Arc::new(entry),
            sandbox: sandbox.clone(),
        })
    }

    /// Writes a disk with one entry in GRUB's menu: a multiboot 2 image and its modules.
    pub fn write_disk(&self, image: &Path, hypervisor: &Loaded, modules: &[Loaded]) -> Result<()> {
        let (boot, core) = (self.read(BOOT)?, self.read(CORE)?);
        ensure!(
            core.len() as u64 <= PARTITION - SECTOR,
            "GRUB does not fit before the first partition"
        );
        let folder = image.parent().context("a disk lies in a folder")?;
        let tree = tempfile::tempdir_in(folder)?;
        lay(tree.path(), hypervisor, modules)?;
        let size = disk::make_at(&self.sandbox, tree.path(), image, PARTITION)?;
        let mut file = File::options().write(true).open(image)?;
        file.write_all(&first_sector(&boot, size)?)?;
        file.seek(SeekFrom::Start(SECTOR))?;
        file.write_all(&core)?;
        Ok(())
    }

    /// Fills a folder for UEFI in the same way.
    pub fn write_folder(&self, dir: &Path, hypervisor: &Loaded, modules: &[Loaded]) -> Result<()> {
        // Where firmware looks on a disk that it knows nothing of (UEFI 2.10, 3.5.1.1).
        let programs = dir.join("EFI/BOOT");
        fs::create_dir_all(&programs)?;
        fs::write(programs.join("BOOTX64.EFI"), self.read(PROGRAM)?)?;
        lay(dir, hypervisor, modules)
    }

    /// UEFI's firmware for QEMU, and its variables as they are at first, to be copied.
    pub fn firmware(&self) -> [PathBuf; 2] {
        FIRMWARE.map(|name| self.entry.join(name))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.entry.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Lays GRUB's configuration and what it boots into the root of a file system.
fn lay(root: &Path, hypervisor: &Loaded, modules: &[Loaded]) -> Result<()> {
    let boot = root.join("boot");
    fs::create_dir_all(boot.join("grub"))?;
    for one in modules.iter().chain([hypervisor]) {
        fs::copy(one.file, boot.join(one.name))
            .with_context(|| format!("cannot copy {}", one.file.display()))?;
    }
    fs::write(
        boot.join("grub/grub.cfg"),
        configuration(hypervisor, modules),
    )?;
    Ok(())
}

/// GRUB's first sector with a partition table of one partition of so many bytes.
fn first_sector(boot: &[u8], size: u64) -> Result<Vec<u8>> {
    let sector = boot.get(..SECTOR as usize);
    let mut sector = sector.context("GRUB's first sector is none")?.to_vec();
    let sectors = |bytes: u64| u32::try_from(bytes / SECTOR).context("the disk is too large");
    // Where the table is there is code for floppy disks in GRUB's file.
    sector[NUMBER..].fill(0);
    let mut entry = vec![0x80, 0xff, 0xff, 0xff, 0x83, 0xff, 0xff, 0xff];
    entry.extend(sectors(PARTITION)?.to_le_bytes());
    entry.extend(sectors(size)?.to_le_bytes());
    sector[TABLE..TABLE + entry.len()].copy_from_slice(&entry);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    Ok(sector)
}

fn configuration(hypervisor: &Loaded, modules: &[Loaded]) -> String {
    let line = |command: &str, one: &Loaded| {
        let arguments = escaped(one.arguments);
        format!("    {command} /boot/{} {arguments}\n", one.name)
    };
    let mut text = String::from(
        "serial --unit=0 --speed=115200\nterminal_output serial\nset timeout=0\nmenuentry Paravane {\n",
    );
    text += &line("multiboot2", hypervisor);
    modules
        .iter()
        .for_each(|module| text += &line("module2", module));
    text + "}\n"
}

/// Words as GRUB's shell takes them for what they are.
fn escaped(words: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " =.,:/+-_".contains(c);
    let mut text = String::new();
    for c in words.chars() {
        if !plain(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded<'a>(name: &'a str, arguments: &'a str) -> Loaded<'a> {
        Loaded {
            name,
            file: Path::new("/nowhere"),
            arguments,
        }
    }

    #[test]
    fn the_menu_has_the_lines_as_they_are() {
        let text = configuration(
            &loaded("paravane", "dom0_mem=1G com1=115200,8n1"),
            &[loaded("vmlinuz", "a=\"1;2\" $b"), loaded("initrd", "")],
        );
        assert!(text.contains("    multiboot2 /boot/paravane dom0_mem=1G com1=115200,8n1\n"));
        assert!(text.contains("    module2 /boot/vmlinuz a=\\\"1\\;2\\\" \\$b\n"));
        assert!(text.contains("    module2 /boot/initrd \n}\n"));
    }

    #[test]
    fn the_first_sector_has_grub_and_one_partition() {
        let boot: Vec<u8> = (0..512u32).map(|at| at as u8 | 1).collect();
        let sector = first_sector(&boot, 3 << 20).unwrap();
        assert_eq!(sector.len(), 512);
        assert_eq!(sector[..NUMBER], boot[..NUMBER]);
        assert_eq!(sector[TABLE + 4], 0x83);
        assert_eq!(sector[TABLE + 8..TABLE + 12], 2048u32.to_le_bytes());
        assert_eq!(sector[TABLE + 12..TABLE + 16], 6144u32.to_le_bytes());
        assert!(sector[TABLE + 16..510].iter().all(|byte| *byte == 0));
        assert!(first_sector(&boot[..511], 1 << 20).is_err());
    }
}
