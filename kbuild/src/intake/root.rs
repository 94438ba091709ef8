// SPDX-License-Identifier: GPL-2.0

//! The root of a command: an image of a file system, a folder that one is made of, or a folder that the guest sees as it is.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use walkdir::WalkDir;

use super::needs::Need;
use super::parts;
use crate::cache::CacheEntry;
use crate::digest::Digest;
use crate::fsutil;
use crate::image::disk;
use crate::sandbox::Sandbox;
use crate::session::Session;

/// Largest size of the files of a folder that is copied, in bytes. The guest sees a larger one as it is.
const MAX_COPIED: u64 = 2 << 30;

/// Room that is left in the file system of a folder, in bytes (sparse).
const FREE: u64 = 256 << 20;

/// What a folder becomes.
pub(super) const EXT4: Need = ("EXT4_FS", "ext4");

/// Magic numbers, where they are, and what the kernel needs for the file system.
const MAGICS: [(u64, &[u8], Need); 6] = [
    (1080, b"\x53\xef", EXT4),
    (0, b"XFSB", ("XFS_FS", "xfs")),
    (0x1_0040, b"_BHRfS_M", ("BTRFS_FS", "btrfs")),
    (0, b"hsqs", ("SQUASHFS", "squashfs")),
    (1024, b"\xe2\xe1\xf5\xe0", ("EROFS_FS", "erofs")),
    (0x8001, b"CD001", ("ISO9660_FS", "isofs")),
];

/// What it takes to see a folder of this machine: 9P by way of dom0, and an overlay for what is written.
pub(super) const SHARED: [Need; 3] = [
    ("NET_9P_XEN", "9pnet_xen"),
    ("9P_FS", "9p"),
    ("OVERLAY_FS", "overlay"),
];

/// The root of a command.
pub enum CommandRoot {
    /// A disk.
    Image(RootImage),
    /// A folder of this machine, which the guest can only read.
    Shared(PathBuf),
}

impl CommandRoot {
    /// What a kernel needs to mount it.
    pub fn file_systems(&self) -> Vec<Need> {
        match self {
            Self::Image(image) => vec![image.file_system],
            Self::Shared(_) => SHARED.to_vec(),
        }
    }
}

/// An image that holds the root.
pub struct RootImage {
    /// The file.
    pub file: PathBuf,
    /// The kernel's option for its file system, and the module.
    pub file_system: Need,
    /// Kept from `clean`, if it was made here.
    _entry: Option<CacheEntry>,
}

/// Takes an image as it is, and makes one of a folder unless that is large, or this machine's root.
///
/// # Errors
///
/// If there is no such file or folder, or the image has no known file system.
pub fn open(session: &Session, sandbox: &Sandbox, path: &Path) -> Result<CommandRoot> {
    let path = parts::existing(path, "--root")?;
    if !path.is_dir() {
        return Ok(CommandRoot::Image(RootImage {
            file_system: file_system(&path)?,
            file: path,
            _entry: None,
        }));
    }
    let measured = match path.parent() {
        Some(_) => measure(&path)?,
        None => None,
    };
    let Some((size, stamp)) = measured else {
        return Ok(CommandRoot::Shared(path));
    };
    let entry = session
        .cache
        .get_or_make_latest("root", &stamp, size + FREE, |dir| {
            let step = session
                .ui
                .step(format!("Copying {} for the guest", path.display()));
            disk::make(session, &step, sandbox, &path, &dir.join("root.img"), FREE)?;
            step.done(&fsutil::human(size));
            Ok(())
        })?;
    Ok(CommandRoot::Image(RootImage {
        file: entry.join("root.img"),
        file_system: EXT4,
        _entry: Some(entry),
    }))
}

/// The size of a folder's files, and something that changes when one of them does; nothing if it is too large to be copied.
fn measure(folder: &Path) -> Result<Option<(u64, String)>> {
    let mut size = 0;
    let mut digest = Digest::new("root", 1).with("path", folder.as_os_str().as_encoded_bytes());
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let meta = entry.metadata()?;
        if meta.is_file() {
            size += meta.len();
        }
        if size > MAX_COPIED {
            return Ok(None);
        }
        let facts = [
            meta.mode().into(),
            meta.len(),
            meta.mtime() as u64,
            meta.mtime_nsec() as u64,
        ];
        digest = digest.with("entry", entry.path().as_os_str().as_encoded_bytes());
        digest = digest.with_all("fact", facts.map(u64::to_le_bytes));
    }
    Ok(Some((size, digest.hex())))
}

/// What the kernel needs for the file system of an image.
fn file_system(image: &Path) -> Result<Need> {
    let shown = image.display();
    let file = File::open(image).with_context(|| format!("cannot read {shown}"))?;
    ensure!(
        fs::metadata(image)?.is_file(),
        "{shown} is neither an image nor a folder"
    );
    let is_at = |at: u64, magic: &[u8]| {
        let mut found = vec![0; magic.len()];
        file.read_exact_at(&mut found, at).is_ok() && found == magic
    };
    if let Some((_, _, need)) = MAGICS.iter().find(|(at, magic, _)| is_at(*at, magic)) {
        return Ok(*need);
    }
    if is_at(510, b"\x55\xaa") {
        bail!("{shown} is an image of a whole disk: --root takes that of one file system");
    }
    bail!(
        "{shown} holds no file system that is known here (ext4, XFS, btrfs, SquashFS, EROFS, ISO 9660)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_told_by_their_magic_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        for (at, magic, need) in MAGICS {
            let mut bytes = vec![0; 70_000];
            bytes[at as usize..][..magic.len()].copy_from_slice(magic);
            fs::write(&image, bytes).unwrap();
            assert_eq!(file_system(&image).unwrap(), need);
        }
        let refusal = |bytes: &[u8]| {
            fs::write(&image, bytes).unwrap();
            file_system(&image).unwrap_err().to_string()
        };
        let mut disk = vec![0; 512];
        disk[510..].copy_from_slice(b"\x55\xaa");
        assert!(refusal(&disk).contains("a whole disk"));
        assert!(refusal(b"").contains("no file system that is known"));
    }

    #[test]
    fn a_folder_that_changes_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "one").unwrap();
        let measured = || measure(dir.path()).unwrap();
        let before = measured();
        assert_eq!(before.as_ref().unwrap().0, 3);
        assert_eq!(measured(), before);
        fs::write(dir.path().join("a"), "two and more").unwrap();
        assert_ne!(measured(), before);
        let large = File::create(dir.path().join("large")).unwrap();
        large.set_len(MAX_COPIED).unwrap();
        assert_eq!(measured(), None);
    }
}
