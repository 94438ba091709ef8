// SPDX-License-Identifier: GPL-2.0

//! Debian packages of the modules: their source for DKMS, the modules themselves for one kernel, and the settings with which
//! they are loaded in place of the C modules; all from one Debian source package, which any Debian can build.
//!
//! What is in them is in `kbuild/packaging`: `debian` is the source package's folder of that name, `dkms` what DKMS runs,
//! `config` the settings. Files that end in `.in` are completed here.

mod archive;
mod tree;
mod version;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::CacheEntry;
use crate::config::{KernelKind, Profile};
use crate::digest::Digest;
use crate::fsutil;
use crate::kernel::Kernel;
use crate::modules::{BuildOptions, Modules};
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::suite::Suite;
use crate::ui::Step;

use tree::Tree;

/// Room for the source package, its build and the packages, in bytes.
const ROOM: u64 = 100_000_000;

/// What packages are built and checked with, which is no part of the sandbox in which everything else is built.
const TOOLS: [&str; 6] = [
    "binutils",
    "debhelper",
    "dh-dkms",
    "dpkg-dev",
    "lintian",
    "shellcheck",
];

/// Where the sandbox sees the folder that the source package is built in.
const INSIDE: &str = "/build";

/// The source packages of a kernel of backports, as apt's preferences name them.
pub const KERNELS_SOURCES: [&str; 3] = ["src:linux", "src:linux-base", "src:linux-signed-amd64"];

/// The variable that names the distribution. A link in `/etc` does otherwise, which the script of a package makes.
const VENDOR: (&str, &str) = ("DEB_VENDOR", "Debian");

/// The packages in the cache.
pub struct DebianPackages {
    entry: CacheEntry,
    release: String,
    modules: Vec<String>,
}

impl DebianPackages {
    /// Finds or makes the packages of this work tree, with modules for a profile's kernel.
    ///
    /// # Errors
    ///
    /// The kernel is no package of a distribution, something does not build, or lintian finds an error.
    pub fn make(session: &Session, profile: &Profile) -> Result<Self> {
        if profile.kind != KernelKind::Binary {
            bail!(
                "the kernel {} is built here and has its modules with it: packages of modules are for a distribution's kernels",
                profile.name
            );
        }
        let (kernel, sandbox) = Kernel::open(session, profile)?;
        let modules = Modules::build(session, &sandbox, &kernel, BuildOptions::default())?;
        // The packages are the same whatever suite the kernel is from.
        let suite = session.config.suite(&session.config.profile(None)?.suite)?;
        let tools = Sandbox::open(session, &tools(suite))?;
        let version = version::of_tree(session.workspace())?;
        let work = session.cache.state_dir("work")?;
        let work = tempfile::tempdir_in(work)?;
        let tree = Tree {
            workspace: session.workspace(),
            version: &version,
            release: &kernel.release,
            min_series: &profile.min_series,
            modules: &modules.names(),
        };
        let source = work.path().join(format!("xen-rs-{}", version.text));
        tree.write(&source)?;
        let key = Digest::new("debian-packages", 1)
            .with("source", digest_of(&source)?)
            .with("modules", modules.key())
            .with("tools", tools.key())
            .hex();
        let name = format!("{}-{key}", kernel.release);
        let entry = session
            .cache
            .get_or_make_latest("packages", &name, ROOM, |dir| {
                let title = format!("Making Debian packages for {}", kernel.release);
                let step = session.ui.step(title);
                take_modules(
                    &modules,
                    &work.path().join("prebuilt").join(&kernel.release),
                )?;
                build(session, &step, &tools, work.path(), &source)?;
                check(session, &step, &tools, work.path())?;
                check_scripts(session, &step, &tools, &source)?;
                for file in made(work.path())? {
                    // They describe a build on a machine on which packages are installed.
                    if has_end(&file, "buildinfo") || has_end(&file, "changes") {
                        continue;
                    }
                    fs::copy(&file, dir.join(fsutil::name(&file)))?;
                }
                step.done("");
                Ok(())
            })?;
        Ok(Self {
            entry,
            release: kernel.release,
            modules: modules.names(),
        })
    }

    /// The folder that they are in.
    pub fn folder(&self) -> &Path {
        self.entry.path()
    }

    /// The kernel that modules are there for, as `uname -r` says it.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The names of the modules in them.
    pub fn modules(&self) -> &[String] {
        &self.modules
    }

    /// The packages, the source package's files, and `Packages`, with which the folder is an archive that apt reads.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        fsutil::read_dir_sorted(self.folder())
    }

    /// Copies them into a folder, which is made if it is not there; returns the copies. What another kernel's have left there
    /// stays part of the archive.
    pub fn copy_to(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let copy = |file: PathBuf| {
            let name = fsutil::name(&file);
            let to = folder.join(&name);
            if name == archive::LIST && to.exists() {
                let list = archive::merge(&fsutil::read_text(&to)?, &fsutil::read_text(&file)?);
                fs::write(&to, list).with_context(|| format!("cannot write {}", to.display()))?;
                return Ok(to);
            }
            fs::copy(&file, &to).with_context(|| format!("cannot write {}", to.display()))?;
            Ok(to)
        };
        self.files()?.into_iter().map(copy).collect()
    }
}

/// A suite's sandbox with the tools for packages.
fn tools(suite: &Suite) -> Suite {
    Suite {
        sandbox: TOOLS.map(str::to_owned).to_vec(),
        ..suite.clone()
    }
}

/// A key over the content of a folder.
fn digest_of(folder: &Path) -> Result<String> {
    let mut digest = Digest::new("folder", 1);
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(folder)?;
            digest = digest.with(&name.to_string_lossy(), fs::read(entry.path())?);
        }
    }
    Ok(digest.hex())
}

fn take_modules(modules: &Modules, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for file in modules.files() {
        fs::copy(&file, to.join(fsutil::name(&file)))?;
    }
    Ok(())
}

/// Builds the source package and from it the binary packages, with the modules that are there already.
fn build(
    session: &Session,
    step: &Step,
    tools: &Sandbox,
    work: &Path,
    source: &Path,
) -> Result<()> {
    let log = session.log("packages");
    // Nothing is installed in the sandbox, as dpkg sees it.
    let installed = work.join("dpkg");
    fs::create_dir(&installed)?;
    fs::write(installed.join("status"), "")?;
    let inside = Path::new(INSIDE).join(fsutil::name(source));
    let mut build = tools
        .command("dpkg-buildpackage")
        .args([
            "--no-check-builddeps",
            "--unsigned-source",
            "--unsigned-changes",
        ])
        .arg(format!("--admindir={INSIDE}/dpkg"))
        .env(VENDOR.0, VENDOR.1)
        .env("XEN_RS_PREBUILT", format!("{INSIDE}/prebuilt"))
        .bind(work, INSIDE)
        .current_dir(&inside)
        .build()?;
    process::run(step, "building the Debian packages", &mut build, &log)?;
    let mut list = tools
        .command("sh")
        .args(["-c", "dpkg-scanpackages --multiversion . >Packages"])
        .bind(work, INSIDE)
        .current_dir(INSIDE)
        .build()?;
    process::run(step, "listing the packages", &mut list, &log)
}

/// What Debian's own check of packages calls an error is one.
fn check(session: &Session, step: &Step, tools: &Sandbox, work: &Path) -> Result<()> {
    let changes = made(work)?
        .into_iter()
        .find(|file| has_end(file, "changes"))
        .context("dpkg-buildpackage has left no .changes")?;
    let mut lintian = tools
        .command("lintian")
        .args(["--allow-root", "--fail-on=error", "--display-info"])
        .arg(Path::new(INSIDE).join(fsutil::name(&changes)))
        .env(VENDOR.0, VENDOR.1)
        .bind(work, INSIDE)
        .current_dir(INSIDE)
        .build()?;
    process::run(
        step,
        "checking the packages with lintian",
        &mut lintian,
        &session.log("lintian"),
    )
}

fn has_end(file: &Path, wanted: &str) -> bool {
    file.extension().is_some_and(|end| end == wanted)
}

/// Scripts run as root where the packages are installed, on kernels that nobody has here.
fn check_scripts(session: &Session, step: &Step, tools: &Sandbox, source: &Path) -> Result<()> {
    let scripts = "shellcheck --severity=warning --shell=sh dkms/build dkms/metadata dkms/rustc-without-code debian/*.p*[mt] \
                   debian/*-hook";
    let mut shellcheck = tools
        .command("sh")
        .args(["-c", scripts])
        .ro_bind(source, INSIDE)
        .current_dir(INSIDE)
        .build()?;
    process::run(
        step,
        "checking the packages' scripts with shellcheck",
        &mut shellcheck,
        &session.log("shellcheck"),
    )
}

/// The files that the build has left beside its folder.
fn made(work: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fsutil::read_dir_sorted(work)?;
    files.retain(|file| file.is_file());
    Ok(files)
}
