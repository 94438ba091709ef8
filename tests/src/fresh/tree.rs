// SPDX-License-Identifier: GPL-2.0

//! What is brought to a fresh machine: the work tree as it is, and the toolchain where the machine's own is too old.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use kbuild::process;

use crate::error::skip;

/// Copies the work tree, with changes that are not committed and without what is ignored, as a clone would have it.
pub(super) fn copy(workspace: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut pack = Command::new("tar");
    pack.args(["-c", "--null", "--no-recursion", "-C"]);
    pack.arg(workspace).args(["-T", "-"]);
    let mut unpack = Command::new("tar");
    unpack.args(["-x", "--no-same-owner", "-C"]).arg(to);

    let mut packing = pack
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start tar")?;
    let archive = packing
        .stdout
        .take()
        .context("tar has no standard output")?;
    let mut unpacking = unpack.stdin(Stdio::from(archive)).spawn()?;
    let names = files(workspace)?.join(&0);
    let mut list = packing.stdin.take().context("tar has no standard input")?;
    std::io::Write::write_all(&mut list, &names)?;
    drop(list);
    let fine = packing.wait()?.success() & unpacking.wait()?.success();
    ensure!(fine, "the work tree cannot be copied to {}", to.display());
    Ok(())
}

/// The work tree's files, relative to it.
fn files(workspace: &Path) -> Result<Vec<Vec<u8>>> {
    let mut git = Command::new("git");
    git.arg("-C").arg(workspace);
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let names = process::output("listing the work tree", &mut git).context(
        "fresh machines get the files that git knows: run the tests in a clone, with git installed",
    )?;
    let is_there = |name: &&[u8]| {
        let path = workspace.join(OsStr::from_bytes(name));
        !name.is_empty() && path.symlink_metadata().is_ok()
    };
    let names = names.as_bytes().split(|byte| *byte == 0);
    Ok(names.filter(is_there).map(<[u8]>::to_vec).collect())
}

/// The folder of the toolchain that runs this test, if it can be lent: rustup's toolchains are folders of their own, a
/// distribution's is spread over /usr.
pub(super) fn toolchain() -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    let sysroot = process::output(
        "asking for the toolchain",
        rustc.args(["--print", "sysroot"]),
    )?;
    let sysroot = PathBuf::from(sysroot.trim());
    if sysroot.starts_with("/usr") || !sysroot.join("bin/cargo").is_file() {
        return skip(format!(
            "the toolchain in {} cannot be lent to another system; one of rustup's can",
            sysroot.display()
        ));
    }
    Ok(sysroot)
}
