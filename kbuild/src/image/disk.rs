// SPDX-License-Identifier: GPL-2.0

//! ext4 disk images filled from a folder, made without root by mke2fs.

use std::fs::File;
use std::path::Path;

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
    // Metadata takes a few percent; half a block is lost on average at each file's end.
    let files = walkdir::WalkDir::new(dir).into_iter().count() as u64;
    let size = fsutil::size_on_disk(dir) * 21 / 20 + files * 4096 + (16 << 20) + room;
    let file = File::create(image).with_context(|| format!("cannot write {}", image.display()))?;
    file.set_len(size.next_multiple_of(1 << 20))?;
    let mut mke2fs = sandbox
        .command("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0"])
        // The machine is thrown away after use: a journal would only cost time.
        .args([
            "-O",
            "^has_journal,^metadata_csum",
            "-E",
            "root_owner=0:0,nodiscard",
        ])
        .args(["-d", "/tree", "/image"])
        .ro_bind(dir, "/tree")
        .bind(image, "/image")
        .build()?;
    process::run(
        step,
        "making a disk image",
        &mut mke2fs,
        &session.log("mke2fs"),
    )
}
