// SPDX-License-Identifier: GPL-2.0

//! ext4 disk images filled from a folder, made without root by mke2fs.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::fsutil;
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// Makes `image` hold what is in `dir`, owned by root, with `room` bytes free. The file is sparse.
pub fn make(
    session: &Session,
    step: &Step,
    sandbox: &Sandbox,
    dir: &Path,
    image: &Path,
    room: u64,
) -> Result<()> {
    let (mut mke2fs, _) = prepare(sandbox, dir, image, 0, room)?;
    process::run(
        step,
        "making a disk image",
        &mut mke2fs,
        &session.log("mke2fs"),
    )
}

/// Makes the file system from byte `start` of the image on, with no free room; what is before `start` stays empty. Returns the
/// file system's length in bytes.
pub fn make_at(sandbox: &Sandbox, dir: &Path, image: &Path, start: u64) -> Result<u64> {
    let (mut mke2fs, size) = prepare(sandbox, dir, image, start, 0)?;
    process::output("making a disk image", &mut mke2fs)?;
    Ok(size)
}

/// Makes the file of zeroes. Returns what makes the file system in it, and how large that will be.
fn prepare(
    sandbox: &Sandbox,
    dir: &Path,
    image: &Path,
    start: u64,
    room: u64,
) -> Result<(Command, u64)> {
    let size = (size(dir) + room).next_multiple_of(1 << 20);
    let file = File::create(image).with_context(|| format!("cannot write {}", image.display()))?;
    file.set_len(start + size)?;
    let mke2fs = sandbox
        .command("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0"])
        // The machine is thrown away after use: a journal would only cost time.
        .args(["-O", "^has_journal,^metadata_csum", "-E"])
        .arg(format!("root_owner=0:0,nodiscard,offset={start}"))
        .args(["-d", "/tree", "/image"])
        .ro_bind(dir, "/tree")
        .bind(image, "/image")
        .build()?;
    Ok((mke2fs, size))
}

/// How many bytes a file system of what is in `dir` takes.
fn size(dir: &Path) -> u64 {
    // Metadata takes a few percent; half a block is lost on average at each file's end.
    let files = walkdir::WalkDir::new(dir).into_iter().count() as u64;
    fsutil::size_on_disk(dir) * 21 / 20 + files * 4096 + (16 << 20)
}
