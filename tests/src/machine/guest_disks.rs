// SPDX-License-Identifier: GPL-2.0

//! Files of the user's as disks of a guest, by way of dom0.
//!
//! A machine that goes on from a snapshot was booted without them. So it always has [`MAX_DISKS`] disks for this, each of
//! which says that it has [`SIZE`] bytes and is empty where there is no file; dom0 cuts off what is beyond the file's end.
//! What a guest writes is lost: it goes to an overlay.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kbuild::SandboxCommand;

use crate::snapshot;

/// How many disks of files a guest may have.
pub const MAX_DISKS: usize = 2;

/// Bytes that dom0 believes each of them to have.
const SIZE: u64 = 1 << 40;

/// What is behind a disk without a file, in the machine's folder.
const NOTHING: &str = "nothing.img";

/// A disk of a guest's, in dom0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDisk {
    /// The block device of the file's length.
    pub device: String,
    /// The shell commands that make it.
    pub make: String,
}

fn overlay(number: usize) -> String {
    format!("guest-disk-{number}.qcow2")
}

/// Checks files that are to be disks.
///
/// # Errors
///
/// If there are too many, one cannot be read, or is not a raw image.
pub fn check(files: &[PathBuf]) -> Result<()> {
    ensure!(
        files.len() <= MAX_DISKS,
        "a guest can have {MAX_DISKS} disks"
    );
    for file in files {
        let shown = file.display();
        let len = fs::metadata(file)
            .with_context(|| format!("{shown} cannot be a disk"))?
            .len();
        ensure!(
            file.is_file() && len > 0,
            "{shown} cannot be a disk: it is no file, or empty"
        );
        ensure!(len <= SIZE, "{shown} is too large for a disk");
        let mut magic = [0; 4];
        std::io::Read::read(&mut File::open(file)?, &mut magic)
            .with_context(|| format!("{shown} cannot be read"))?;
        ensure!(
            &magic != b"QFI\xfb",
            "{shown} is a qcow2 image: disks have to be raw ones (qemu-img convert -O raw)"
        );
    }
    Ok(())
}

/// Makes the overlays in the machine's folder, and shows QEMU what is behind them.
pub fn prepare(
    dir: &Path,
    files: &[PathBuf],
    mut command: SandboxCommand,
) -> Result<SandboxCommand> {
    File::create(dir.join(NOTHING))?;
    for number in 0..MAX_DISKS {
        let behind = match files.get(number) {
            Some(file) => {
                let inside = format!("/vm/guest-disk-{number}.img");
                command = command.ro_bind(file, &inside);
                inside
            }
            None => format!("/vm/run/{NOTHING}"),
        };
        snapshot::write_overlay(&dir.join(overlay(number)), &behind, SIZE)?;
    }
    Ok(command)
}

/// The drives: each an identifier, and its file as QEMU sees it.
pub fn drives() -> Vec<(String, String)> {
    let drive = |number| {
        let file = format!("/vm/run/{},format=qcow2", overlay(number));
        (format!("guest-disk-{number}"), file)
    };
    (0..MAX_DISKS).map(drive).collect()
}

/// Removes what [`prepare`] has made.
pub fn remove(dir: &Path) {
    for number in 0..MAX_DISKS {
        let _ = fs::remove_file(dir.join(overlay(number)));
    }
    let _ = fs::remove_file(dir.join(NOTHING));
}

/// The disks in dom0. Theirs are the last of its virtio disks.
pub fn in_dom0(files: &[PathBuf]) -> Result<Vec<FileDisk>> {
    let mut disks = Vec::new();
    for ((number, letter), file) in ('d'..).enumerate().zip(files) {
        let sectors = fs::metadata(file)?.len().div_ceil(512);
        let whole = format!("/dev/vd{letter}");
        disks.push(FileDisk {
            device: format!("/dev/mapper/file{number}"),
            // What dom0 read when it booted was of another file. Nobody but dmsetup makes the node: there is no udev.
            make: format!(
                "modprobe dm-mod && blockdev --flushbufs {whole} && \
                 DM_DISABLE_UDEV=1 dmsetup create file{number} --table '0 {sectors} linear {whole} 0'"
            ),
        });
    }
    Ok(disks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_ends_where_its_file_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        fs::write(&file, vec![0; 1025]).unwrap();
        let disks = in_dom0(&[file.clone(), file]).unwrap();
        assert!(
            disks[0].make.contains("'0 3 linear /dev/vdd 0'"),
            "{disks:?}"
        );
        assert!(disks[1].make.contains("/dev/vde 0'"), "{disks:?}");
        assert_ne!(disks[0].device, disks[1].device);
    }

    #[test]
    fn files_that_are_no_raw_images_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [raw, qcow, empty] = ["raw", "qcow", "empty"].map(|name| dir.path().join(name));
        fs::write(&raw, "data").unwrap();
        fs::write(&qcow, b"QFI\xfb....").unwrap();
        fs::write(&empty, "").unwrap();
        check(&[raw.clone(), raw.clone()]).unwrap();
        for bad in [
            vec![qcow],
            vec![empty],
            vec![dir.path().to_owned()],
            vec![raw; MAX_DISKS + 1],
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
        assert!(check(&[dir.path().join("nowhere")]).is_err());
    }
}
