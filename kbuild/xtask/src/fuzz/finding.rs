// SPDX-License-Identifier: GPL-2.0

//! An input that breaks a promise: made small, and kept as a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use kbuild::ui::Step;
use kbuild::{Digest, Session, process};

use super::binaries::Binaries;

/// Where the tests find them, in the work tree.
const REGRESSIONS: &str = "tests/fuzz/regressions";

/// How long to make an input smaller.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the smaller input is called while it is looked for.
const SMALLER: &str = "smaller";

/// The input that ended a run, in the run's folder: libFuzzer names it by what went wrong and a digest.
pub fn find(work: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(work).with_context(|| work.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ["crash-", "timeout-", "oom-"]
            .iter()
            .any(|kind| name.starts_with(kind))
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Removes what ended a run, and what was tried on the way to the smaller input.
pub fn forget(work: &Path) -> Result<()> {
    while let Some(found) = find(work)? {
        fs::remove_file(&found).with_context(|| found.display().to_string())?;
    }
    let smaller = work.join(SMALLER);
    match smaller.exists() {
        true => fs::remove_file(&smaller).with_context(|| smaller.display().to_string()),
        false => Ok(()),
    }
}

/// Makes an input smaller if that goes, and puts it where the tests find it.
pub fn keep(
    session: &Session,
    step: &Step,
    binaries: &Binaries,
    target: &str,
    found: &Path,
) -> Result<PathBuf> {
    let work = found.parent().context("an input without a folder")?;
    let name = found.file_name().context("an input without a name")?;
    let mut command = binaries
        .command(target, work)
        .arg("-minimize_crash=1")
        .arg(format!("-exact_artifact_path={SMALLER}"))
        .arg(format!("-max_total_time={}", PATIENCE.as_secs()))
        .arg(name)
        .build()?;
    // It ends with an error where the input goes no smaller.
    let log = session.log(&format!("fuzz-{target}-smaller"));
    let ended = process::run(step, "making the input smaller", &mut command, &log);
    let smaller = work.join(SMALLER);
    if let (Err(error), false) = (ended, smaller.exists()) {
        step.say(&format!("the input stays as it is: {error:#}"));
    }
    let input = fs::read(if smaller.exists() { &smaller } else { found })?;
    let digest = Digest::new("fuzz", 1).with("input", &input).hex();
    let folder = session.workspace().join(REGRESSIONS).join(target);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let kept = folder.join(digest);
    fs::write(&kept, input).with_context(|| format!("cannot write {}", kept.display()))?;
    Ok(kept)
}
