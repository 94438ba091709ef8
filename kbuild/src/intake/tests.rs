// SPDX-License-Identifier: GPL-2.0

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::image::{self, FileFormat};
use super::needs::{Role, Wanted};
use super::parts::{self, ModulesAt};
use super::*;

const RELEASE: &str = "6.12.48+deb13-amd64";

const CONFIG: &str = "CONFIG_XEN=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_BINFMT_ELF=y\nCONFIG_BINFMT_SCRIPT=y\n\
    CONFIG_DEVTMPFS=y\nCONFIG_PROC_FS=y\nCONFIG_SYSFS=y\nCONFIG_TMPFS=y\nCONFIG_XEN_XENBUS_FRONTEND=y\nCONFIG_HVC_XEN=y\n\
    CONFIG_XEN_PV=y\nCONFIG_XEN_PVH=y\nCONFIG_XEN_PVHVM_GUEST=y\nCONFIG_XEN_BLKDEV_FRONTEND=m\n\
    CONFIG_EXT4_FS=y\n";

/// A bzImage as far as its setup header goes.
fn bzimage(version: &str) -> Vec<u8> {
    let mut image = vec![0; 0x400];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    image[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    image[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
    image
}

fn note(name: &[u8; 4], number: u32) -> Vec<u8> {
    let mut note: Vec<u8> = [4u32, 8, number]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    note.extend(name);
    note.extend([0; 8]);
    note
}

/// An ELF file for x86-64 (elf(5)) with one segment of notes, and what else it holds behind that.
fn vmlinux(notes: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2u16, 62].into_iter().flat_map(u16::to_le_bytes));
    file.extend(1u32.to_le_bytes());
    file.extend([0u64, 64, 0].into_iter().flat_map(u64::to_le_bytes));
    file.extend(0u32.to_le_bytes());
    file.extend(
        [64u16, 56, 1, 64, 0, 0]
            .into_iter()
            .flat_map(u16::to_le_bytes),
    );
    file.extend([4u32, 4].into_iter().flat_map(u32::to_le_bytes));
    let len = notes.len() as u64;
    file.extend(
        [120u64, 0, 0, len, len, 4]
            .into_iter()
            .flat_map(u64::to_le_bytes),
    );
    file.extend(notes);
    file.extend(rest);
    file
}

fn packed(text: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(b"IKCFG_ST".to_vec(), Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    let mut out = out.finish().unwrap();
    out.extend(b"IKCFG_ED and more");
    out
}

#[test]
fn formats_are_told_by_their_first_bytes() {
    assert_eq!(image::format(&bzimage("6.1")), Some(FileFormat::BzImage));
    assert_eq!(image::format(&vmlinux(&[], &[])), Some(FileFormat::Elf));
    assert_eq!(
        image::format(b"!<arch>\ndebian-binary   "),
        Some(FileFormat::Deb)
    );
    assert_eq!(image::format(b"#!/bin/sh\n"), None);
    assert_eq!(image::format(b""), None);
}

#[test]
fn a_release_is_read_from_either_image() {
    let text = format!("{RELEASE} (debian-kernel@lists.debian.org) #1 SMP");
    assert_eq!(image::release(&bzimage(&text)).as_deref(), Some(RELEASE));
    let elf = vmlinux(
        &[],
        format!("Linux version %s\0Linux version {text}\0").as_bytes(),
    );
    assert_eq!(image::release(&elf).as_deref(), Some(RELEASE));
    // It becomes a folder's name.
    assert_eq!(image::release(&bzimage("../../etc #1")), None);
    assert_eq!(image::release(&vmlinux(&[], b"no banner")), None);
}

#[test]
fn entry_points_are_read_from_the_notes() {
    let points = |notes: &[u8]| image::entry_points(&vmlinux(notes, &[])).unwrap();
    let [pv, pvh, linux] = [note(b"Xen\0", 1), note(b"Xen\0", 18), note(b"LNX\0", 18)];
    assert_eq!(points(&[]), EntryPoints::default());
    assert_eq!(points(&linux), EntryPoints::default());
    assert_eq!(
        points(&pvh),
        EntryPoints {
            pv: false,
            pvh: true
        }
    );
    let all = [linux, pv, pvh].concat();
    assert_eq!(
        points(&all),
        EntryPoints {
            pv: true,
            pvh: true
        }
    );
}

#[test]
fn a_configuration_is_unpacked_from_the_image() {
    let elf = vmlinux(&note(b"Xen\0", 1), &packed(CONFIG));
    assert_eq!(image::configuration(&elf).as_deref(), Some(CONFIG));
    assert_eq!(
        image::configuration(&vmlinux(&[], b"IKCFG_ST\x1f\x8bno gzip file")),
        None
    );
}

proptest! {
    #[test]
    fn broken_files_are_no_panic(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
        let text = format!("Linux version {RELEASE} ");
        let rest = [text.as_bytes(), &packed(CONFIG)].concat();
        for mut file in [vmlinux(&[note(b"Xen\0", 1), note(b"Xen\0", 18)].concat(), &rest), bzimage(RELEASE)] {
            let at = at % file.len();
            file[at] = byte;
            file.truncate(file.len() - cut % file.len());
            let _ = image::release(&file).inspect(|name| assert!(!name.contains('/')));
            let _ = (image::entry_points(&file), image::configuration(&file), image::format(&file));
        }
    }

    #[test]
    fn noise_is_no_panic(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        let file = vmlinux(&noise, &noise);
        let _ = (image::entry_points(&file), image::release(&file), image::configuration(&file));
        let _ = (image::entry_points(&noise), image::release(&noise));
    }
}

fn write(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let file = root.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// A folder that a kernel was built in.
fn build_folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, ".config", CONFIG);
    write(
        root,
        "include/config/kernel.release",
        format!("{RELEASE}\n"),
    );
    write(root, "modules.order", "drivers/block/xen-blkfront.o\n");
    write(root, "drivers/block/xen-blkfront.ko", "module");
    write(root, "arch/x86/boot/bzImage", bzimage(RELEASE));
    dir
}

#[test]
fn a_build_folder_and_the_image_in_it_are_the_same_kernel() {
    let dir = build_folder();
    let image = dir.path().join("arch/x86/boot/bzImage");
    let parts = parts::in_folder(dir.path()).unwrap();
    assert_eq!(parts, parts::beside(&image));
    assert_eq!(parts.config, Some(dir.path().join(".config")));
    assert_eq!(
        parts.modules,
        Some(ModulesAt::BuildFolder(dir.path().to_owned()))
    );
    assert_eq!(parts::build_folder(&image), Some(dir.path().to_owned()));
    fs::remove_file(image).unwrap();
    let error = format!("{:#}", parts::in_folder(dir.path()).unwrap_err());
    assert!(error.contains("run make there first"), "{error}");
}

#[test]
fn modules_of_a_build_folder_get_the_installed_layout() {
    let (dir, to) = (build_folder(), tempfile::tempdir().unwrap());
    let source = ModulesAt::BuildFolder(dir.path().to_owned());
    let take = |release| modules::take(&source, release, to.path(), &to.path().join("m"));
    take(RELEASE).unwrap();
    assert!(
        to.path()
            .join("m/kernel/drivers/block/xen-blkfront.ko")
            .is_file()
    );
    let other = take("6.1.0").unwrap_err().to_string();
    assert!(
        other.contains(&format!("are for {RELEASE}, the kernel is 6.1.0")),
        "{other}"
    );
    write(
        dir.path(),
        "modules.order",
        "drivers/block/xen-blkfront.o\nfs/nowhere.o\n",
    );
    let missing = take(RELEASE).unwrap_err().to_string();
    assert!(missing.contains("fs/nowhere.ko is missing"), "{missing}");
    write(dir.path(), "modules.order", "../outside.o\n");
    assert!(take(RELEASE).is_err());
}

#[test]
fn tuxmakes_output_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "bzImage", bzimage(RELEASE));
    write(root, "config", CONFIG);
    write(root, "metadata.json", "{}");
    write(root, "modules.tar.xz", "");
    let parts = parts::in_folder(root).unwrap();
    assert_eq!(parts.image, root.join("bzImage"));
    assert_eq!(parts.config, Some(root.join("config")));
    assert_eq!(
        parts.modules,
        Some(ModulesAt::Archive(root.join("modules.tar.xz")))
    );
}

#[test]
fn an_installed_kernel_is_found_with_what_lies_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    write(&root, &format!("boot/vmlinuz-{RELEASE}"), bzimage(RELEASE));
    write(&root, &format!("boot/config-{RELEASE}"), CONFIG);
    let installed = root.join("usr/lib/modules").join(RELEASE);
    write(&installed, "modules.dep", "");
    let parts = parts::in_package(&root).unwrap();
    assert_eq!(parts.image, root.join(format!("boot/vmlinuz-{RELEASE}")));
    assert_eq!(
        parts.config,
        Some(root.join(format!("boot/config-{RELEASE}")))
    );
    assert_eq!(parts.modules, Some(ModulesAt::Folder(installed.clone())));

    // Debian's newer packages have all in one folder.
    fs::remove_dir_all(root.join("boot")).unwrap();
    write(&installed, "vmlinuz", bzimage(RELEASE));
    write(&installed, "config", CONFIG);
    let parts = parts::in_package(&root).unwrap();
    assert_eq!(parts.config, Some(installed.join("config")));
    assert_eq!(parts.modules, Some(ModulesAt::Folder(installed)));
}

#[test]
fn what_holds_no_kernel_is_refused_in_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let missing = parts::existing(&root.join("nowhere"), "--kernel").unwrap_err();
    assert!(missing.to_string().contains("--kernel names"), "{missing}");
    let empty = parts::in_folder(root).unwrap_err().to_string();
    assert!(
        empty.contains("neither a folder that a kernel was built in"),
        "{empty}"
    );
    write(root, "script", "#!/bin/sh\n");
    let script = find(&root.join("script"), &root.join("x"))
        .unwrap_err()
        .to_string();
    assert!(
        script.contains("is no kernel: neither a bzImage"),
        "{script}"
    );
    write(root, "cut.deb", "!<arch>\ndebian-binary   cut off");
    let cut = find(&root.join("cut.deb"), &root.join("x"))
        .unwrap_err()
        .to_string();
    assert!(
        cut.contains("cut.deb is damaged, or not a Debian package: "),
        "{cut}"
    );
    assert_eq!(cut.lines().count(), 1);
    write(root, "modules.tar.xz", "no archive");
    let source = ModulesAt::of(&root.join("modules.tar.xz")).unwrap();
    let broken = modules::take(&source, RELEASE, &root.join("y"), &root.join("z")).unwrap_err();
    assert!(
        broken
            .to_string()
            .contains("is damaged, or not a tar archive"),
        "{broken}"
    );
}

/// A Debian package made of a folder.
fn deb(root: &Path, to: &Path) {
    write(
        root,
        "DEBIAN/control",
        "Package: k\nVersion: 1\nArchitecture: all\nMaintainer: n <n@n>\nDescription: k\n",
    );
    let status = Command::new("dpkg-deb")
        .args(["-b", "--root-owner-group"])
        .args([root, to])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_package_is_unpacked_and_one_without_a_kernel_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let [root, meta, x] = ["root", "meta", "x"].map(|name| dir.path().join(name));
    write(&root, &format!("boot/vmlinuz-{RELEASE}"), bzimage(RELEASE));
    write(
        &root,
        &format!("usr/lib/modules/{RELEASE}/kernel/a.ko"),
        "module",
    );
    let file = dir.path().join("kernel.deb");
    deb(&root, &file);
    let parts = find(&file, &x).unwrap();
    assert!(parts.image.starts_with(&x) && parts.modules.is_some());
    fs::create_dir_all(&meta).unwrap();
    deb(&meta, &file);
    let error = find(&file, &dir.path().join("y")).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("kernel.deb holds no kernel: it has no /boot/vmlinuz"),
        "{error}"
    );
}

#[test]
fn an_archive_of_another_release_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(
        &root.join("tree"),
        &format!("lib/modules/{RELEASE}/kernel/a.ko"),
        "module",
    );
    let file = root.join("modules.tar");
    let tar = Command::new("tar")
        .arg("-cf")
        .arg(&file)
        .arg("-C")
        .arg(root.join("tree"))
        .arg("lib")
        .status();
    assert!(tar.unwrap().success());
    let source = ModulesAt::of(&file).unwrap();
    let take = |release, name| modules::take(&source, release, &root.join(name), &root.join("to"));
    take(RELEASE, "x").unwrap();
    assert!(root.join("to/kernel/a.ko").is_file());
    let error = take("6.13.0", "y").unwrap_err().to_string();
    assert!(
        error.contains(&format!("are for {RELEASE}, the kernel is 6.13.0")),
        "{error}"
    );
}

fn facts(config: Option<&str>) -> Facts {
    Facts {
        release: RELEASE.into(),
        entry_points: EntryPoints {
            pv: true,
            pvh: true,
        },
        config: config.map(KConfig::parse),
        modules: BTreeSet::from(["xen_blkfront".to_owned()]),
        built_in: None,
        is_bzimage: true,
    }
}

/// The fragment that users merge into their configurations.
#[test]
fn a_kernel_with_the_fragment_has_all_that_every_role_needs() {
    let fragment = include_str!("../../../docs/examples/xen.config");
    let facts = facts(Some(fragment));
    for role in [
        Role::PvGuest,
        Role::PvhGuest,
        Role::HvmGuest,
        Role::PvDom0,
        Role::PvhDom0,
    ] {
        for root in [root::SHARED.to_vec(), vec![root::EXT4]] {
            let checked = facts.check(&Wanted {
                role,
                disk: true,
                network: true,
                by_port: true,
                file_systems: root,
            });
            checked.unwrap();
        }
    }
}

fn refusal(facts: &Facts, role: Role, disk: bool, network: bool) -> String {
    let wanted = Wanted {
        role,
        disk,
        network,
        by_port: false,
        file_systems: disk.then_some(("EXT4_FS", "ext4")).into_iter().collect(),
    };
    facts
        .check(&wanted)
        .err()
        .map_or(String::new(), |error| error.to_string())
}

#[test]
fn a_kernel_that_has_all_is_taken_and_each_lack_is_named() {
    let whole = facts(Some(CONFIG));
    for role in [Role::PvGuest, Role::PvhGuest, Role::HvmGuest] {
        assert_eq!(refusal(&whole, role, true, false), "");
    }
    let network = refusal(&whole, Role::PvGuest, false, true);
    assert!(
        network.ends_with("It lacks CONFIG_XEN_NETDEV_FRONTEND"),
        "{network}"
    );
    let no_ext4 = facts(Some(&CONFIG.replace("CONFIG_EXT4_FS=y\n", "")));
    let root = refusal(&no_ext4, Role::PvGuest, true, false);
    assert!(root.ends_with("It lacks CONFIG_EXT4_FS"), "{root}");
    let dom0 = refusal(&whole, Role::PvDom0, false, false);
    assert!(
        dom0.contains("CONFIG_XEN_PV_DOM0") && dom0.contains("CONFIG_VIRTIO_BLK"),
        "{dom0}"
    );
    let without = facts(Some(
        &CONFIG.replace("CONFIG_XEN_PVH=y", "# CONFIG_XEN_PVH is not set"),
    ));
    let pvh = refusal(&without, Role::PvhGuest, false, false);
    assert_eq!(
        pvh,
        format!("the kernel {RELEASE} cannot run as PVH guest. It lacks CONFIG_XEN_PVH")
    );
    let plain = Facts {
        modules: BTreeSet::new(),
        ..facts(Some(CONFIG))
    };
    let module = refusal(&plain, Role::PvGuest, true, false);
    assert!(
        module.contains("the module xen_blkfront") && module.contains("--modules"),
        "{module}"
    );
}

#[test]
fn without_a_configuration_notes_and_lists_decide() {
    let none = Facts {
        entry_points: EntryPoints::default(),
        ..facts(None)
    };
    assert!(refusal(&none, Role::PvhGuest, false, false).contains("note of a PVH entry"));
    assert!(refusal(&none, Role::PvGuest, false, false).contains("note of a PV entry"));
    assert_eq!(refusal(&facts(None), Role::PvGuest, true, true), "");
    let listed = Facts {
        built_in: Some(BTreeSet::new()),
        ..facts(None)
    };
    assert!(refusal(&listed, Role::PvGuest, true, true).contains("CONFIG_XEN_NETDEV_FRONTEND"));
    let elf = Facts {
        is_bzimage: false,
        ..facts(Some(CONFIG))
    };
    assert!(refusal(&elf, Role::HvmGuest, false, false).contains("a bzImage"));
}
