// SPDX-License-Identifier: GPL-2.0

//! Programs that the kernel runs for a network device (XDP), compiled from `tests/bpf`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fsutil;
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// A key over the sources.
pub fn key(session: &Session) -> Result<String> {
    let mut all = String::new();
    for source in sources(session)? {
        let text = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
        all += &format!("{}\n{text}\n", fsutil::name(&source));
    }
    Ok(all)
}

/// Compiles each source `NAME.c` to `NAME.o` in the folder `to`, which is made.
pub fn build(session: &Session, step: &Step, sandbox: &Sandbox, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for source in sources(session)? {
        let object = Path::new(&fsutil::name(&source)).with_extension("o");
        let mut clang = sandbox
            .command("clang")
            .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror", "-c"])
            .args(["/source.c", "-o"])
            .arg(format!("/objects/{}", object.display()))
            .ro_bind(&source, "/source.c")
            .bind(to, "/objects")
            .build()?;
        process::run(
            step,
            "compiling a program for network devices",
            &mut clang,
            &session.log("bpf"),
        )?;
    }
    Ok(())
}

fn sources(session: &Session) -> Result<Vec<PathBuf>> {
    let mut files = fsutil::read_dir_sorted(&session.workspace().join("tests/bpf"))?;
    files.retain(|file| file.extension().is_some_and(|ext| ext == "c"));
    Ok(files)
}
