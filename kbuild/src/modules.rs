// SPDX-License-Identifier: GPL-2.0

//! Building our kernel modules against a prepared kernel.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::cache::CacheEntry;
use crate::diagnostics::Diagnostics;
use crate::digest::Digest;
use crate::fsutil;
use crate::kernel::Kernel;
use crate::overlay::SWITCHES;
use crate::process;
use crate::resolve;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::stage;
use crate::symbols;

/// Where the sandbox sees the staged sources. Error messages name files below it, so it looks like the work
/// tree.
pub(crate) const INSIDE: &str = "/paravane/linux-pv";

/// Modules that were built.
#[derive(Clone)]
pub struct Modules {
    /// The kernel they are for, as `uname -r` says it.
    pub release: String,
    entry: Arc<CacheEntry>,
}

/// What to build with.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildOptions {
    /// Check with clippy, whose findings are errors.
    pub clippy: bool,
}

impl BuildOptions {
    /// Arguments of make. A check compiles the example of the API too.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self.clippy {
            true => &["CLIPPY=1", "CONFIG_XEN_SAMPLE_RS=m"],
            false => &[],
        }
    }
}

impl Modules {
    /// Builds the modules of the work tree; what did not change is not built again.
    pub fn build(
        session: &Session,
        sandbox: &Sandbox,
        kernel: &Kernel,
        options: BuildOptions,
    ) -> Result<Self> {
        // A kernel that brings them needs no second build.
        if let (Some(dir), false) = (kernel.our_modules(), options.clippy) {
            let mut kos = fsutil::read_dir_sorted(&dir)?;
            kos.retain(|file| file.is_file());
            return Ok(Self {
                release: kernel.release.clone(),
                entry: Arc::new(keep(session, &kernel.release, &kos)?),
            });
        }
        let what = if options.clippy { "clippy" } else { "build" };
        let work = WorkFolder::of_kernel(session, what, kernel)?;
        let make = |goals: &[&str]| make(session, sandbox, kernel, &work, options, goals);
        if options.clippy {
            // Only an overlay kernel has them, built in: out of tree they can be checked, but not linked into anything.
            let built_in: Vec<_> = SWITCHES.iter().map(|switch| switch.ours).collect();
            check_built_in(session, &kernel.release, &work, make(&built_in)?)?;
        }
        let make = make(&["modules"])?;
        Self::run(session, &kernel.release, &work, make, options)
    }

    /// Runs make and takes the modules out of the folder.
    pub(crate) fn run(
        session: &Session,
        release: &str,
        work: &WorkFolder,
        mut make: Command,
        options: BuildOptions,
    ) -> Result<Self> {
        let verb = if options.clippy {
            "Checking"
        } else {
            "Building"
        };
        let next = match options.clippy {
            true => "",
            false => "the machines' disks",
        };
        let title = format!("{verb} the modules for {release}");
        let step = session.ui.step_before(title, next);
        let log = session.log(if options.clippy {
            "clippy-modules"
        } else {
            "modules"
        });
        let mut diagnostics = Diagnostics::default();
        let what = "building the modules";
        let built =
            process::run_watched(&step, what, &mut make, &log, |line| diagnostics.line(line));
        if built.is_err() && diagnostics.has_error() || options.clippy && diagnostics.count > 0 {
            drop(step);
            // make would not repeat the warnings of what it has built.
            if options.clippy {
                fsutil::remove_all(&work.path)?;
            }
            let found = diagnostics.text();
            let why = symbols::mismatch(&found).map_or(String::new(), |why| format!("\n{why}"));
            bail!(
                "the modules do not build:\n{found}{why}\nThe whole log: {}",
                log.display()
            );
        }
        built?;
        let kos = built_kos(&work.path)?;
        if kos.is_empty() {
            bail!(
                "no module was built, though make reported success (log: {})",
                log.display()
            );
        }
        let modules = Self {
            release: release.to_owned(),
            entry: Arc::new(keep(session, release, &kos)?),
        };
        let warnings = match diagnostics.count {
            0 => String::new(),
            count => format!(" ({count} warnings, see {})", log.display()),
        };
        step.done(&format!("{}{warnings}", modules.names().join(", ")));
        Ok(modules)
    }

    /// The `.ko` files in alphabetical order.
    pub fn files(&self) -> Vec<PathBuf> {
        fsutil::read_dir_sorted(self.entry.path()).unwrap_or_default()
    }

    /// Their names without folder and extension.
    pub fn names(&self) -> Vec<String> {
        self.files()
            .iter()
            .map(|file| fsutil::name(file).trim_end_matches(".ko").to_owned())
            .collect()
    }

    /// A key over their content.
    pub fn key(&self) -> String {
        fsutil::name(self.entry.path())
    }
}

/// The make that builds in a work folder against a kernel.
pub(crate) fn make(
    session: &Session,
    sandbox: &Sandbox,
    kernel: &Kernel,
    work: &WorkFolder,
    options: BuildOptions,
    goals: &[&str],
) -> Result<Command> {
    kernel
        .show_devel(sandbox.command("make"))
        .args(["-C", "/kernel/O", &format!("M={INSIDE}")])
        .arg(format!("-j{}", session.jobs()))
        .arg(format!(
            "LOCALVERSION={}",
            resolve::local_version(&kernel.release)
        ))
        .args(&kernel.make)
        .args(options.arguments())
        .args(goals)
        .bind(&work.path, INSIDE)
        .build()
}

/// Checks the objects that are no modules with clippy.
fn check_built_in(
    session: &Session,
    release: &str,
    work: &WorkFolder,
    mut make: Command,
) -> Result<()> {
    let step = session
        .ui
        .step(format!("Checking the built-in objects for {release}"));
    let log = session.log("clippy-built-in");
    let mut found = Diagnostics::default();
    let what = "checking the built-in objects";
    let checked = process::run_watched(&step, what, &mut make, &log, |line| found.line(line));
    if found.count > 0 {
        drop(step);
        // make would not repeat the warnings of what it has built.
        fsutil::remove_all(&work.path)?;
        bail!(
            "the built-in objects are not clean:\n{}\nThe whole log: {}",
            found.text(),
            log.display()
        );
    }
    checked?;
    step.done("");
    Ok(())
}

/// A staged copy of `linux-pv` with what was built in it; one run at a time works there.
pub(crate) struct WorkFolder {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl WorkFolder {
    /// Opens the folder for a kernel that this tool has made.
    pub(crate) fn of_kernel(session: &Session, what: &str, kernel: &Kernel) -> Result<Self> {
        Self::open(
            session,
            what,
            &format!("{}-{}", kernel.release, kernel.key()),
        )
    }

    /// Opens the folder for one kernel and brings it up to date with the work tree.
    pub(crate) fn open(session: &Session, what: &str, kernel: &str) -> Result<Self> {
        let path = session
            .cache
            .state_dir("work")?
            .join(format!("{what}-{kernel}"));
        let lock = session.cache.lock(&format!("work.{what}-{kernel}"))?;
        stage::sync(&session.workspace().join("linux-pv"), &path)?;
        Ok(Self { path, _lock: lock })
    }
}

/// The modules that make has built in a folder. Others may lie there that the work tree had before.
fn built_kos(dir: &Path) -> Result<Vec<PathBuf>> {
    let list = dir.join("modules.order");
    let order = fs::read_to_string(&list)
        .with_context(|| format!("make has left no {}", list.display()))?;
    let mut kos: Vec<PathBuf> = order
        .lines()
        .map(|object| dir.join(object).with_extension("ko"))
        .collect();
    kos.sort();
    Ok(kos)
}

/// Copies the modules into an entry of their own: the next build does not change them under a running test.
fn keep(session: &Session, release: &str, kos: &[PathBuf]) -> Result<CacheEntry> {
    let mut digest = Digest::new("modules", 1);
    for ko in kos {
        digest = digest.with(&fsutil::name(ko), fs::read(ko)?);
    }
    let name = format!("{release}-{}", digest.hex());
    session
        .cache
        .get_or_make_latest("modules", &name, 64 << 20, |dir| {
            for ko in kos {
                fs::copy(ko, dir.join(fsutil::name(ko)))?;
            }
            Ok(())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_earlier_trees_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["old.ko", "b.ko", "a.ko"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        fs::write(dir.path().join("modules.order"), "b.o\na.o\n").unwrap();
        let names: Vec<_> = built_kos(dir.path())
            .unwrap()
            .iter()
            .map(|ko| fsutil::name(ko))
            .collect();
        assert_eq!(names, ["a.ko", "b.ko"]);
    }
}
