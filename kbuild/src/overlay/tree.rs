// SPDX-License-Identifier: GPL-2.0

//! The source an overlay kernel is built from: a copy in the cache, of a distribution's source package or of a folder
//! the user names, with `linux-pv` and the overlay's lines in it.
//!
//! The user's own folder is only read, unless the overlay is added to it on request ([`apply`]).

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use super::{PLACE, lines};
use crate::apt::{Apt, Package};
use crate::binary;
use crate::config::Profile;
use crate::digest::Digest;
use crate::fsutil::{self, read_text};
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::stage;
use crate::ui::Step;

/// Room for a kernel's source, in bytes.
const ROOM: u64 = 4_000_000_000;

/// What no kernel's build reads, as patterns for tar.
const LEFT_OUT: [&str; 2] = ["Documentation/*/*", "tools/testing/*"];

/// What a build has left in a folder that was also built in, as patterns for rsync.
const BUILT: [&str; 11] = [
    ".git",
    "*.o",
    "*.a",
    "*.ko",
    "*.rmeta",
    ".*.cmd",
    "/.config",
    "/include/config",
    "/include/generated",
    "/arch/*/include/generated",
    "/vmlinux*",
];

/// Where a source comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A distribution's package `linux-source-…`.
    Package(Package),
    /// A folder on this machine.
    Folder(PathBuf),
}

impl Source {
    /// A folder that holds a kernel's source.
    pub fn folder(path: &Path) -> Result<Self> {
        whole_source(path).map(Self::Folder)
    }

    fn key(&self) -> String {
        match self {
            Self::Package(package) => Digest::new("overlay-source", 1)
                .with("package", &package.sha256)
                .hex(),
            Self::Folder(path) => Digest::new("overlay-source", 1)
                .with("folder", path.to_string_lossy().as_bytes())
                .hex(),
        }
    }
}

/// A source with the overlay in it, and the folder that its builds go to.
pub struct Tree {
    /// The folder of source and builds.
    dir: PathBuf,
    /// A name that stays the same from run to run.
    pub key: String,
    /// A digest over what was added, and the source if it may change.
    pub content: String,
    lock: File,
}

impl Tree {
    /// Brings the copy up to date with its source and with the work tree. No other run changes it while this value
    /// lives.
    pub fn open(
        session: &Session,
        step: &Step,
        sandbox: &Sandbox,
        profile: &Profile,
        source: &Source,
    ) -> Result<Self> {
        let key = source.key();
        let dir = session
            .cache
            .state_dir("work")?
            .join(format!("overlay-{key}"));
        let lock = session.cache.lock(&format!("work.overlay-{key}"))?;
        let src = dir.join("src");
        let mut content = Digest::new("overlay-tree", 1);
        let from = match source {
            Source::Package(package) => {
                if !src.is_dir() {
                    unpack(session, step, profile, package, &dir)?;
                }
                src.clone()
            }
            Source::Folder(folder) => {
                mirror(session, step, sandbox, folder, &src)?;
                let changed = read_text(&dir.join("mirrored"))?;
                content = content.with("source", changed);
                folder.clone()
            }
        };
        check_series(&src, profile)?;
        apply_from(session, &from, &src)?;
        let content = content.with("overlay", digest_of_overlay(session)?).hex();
        Ok(Self {
            dir,
            key,
            content,
            lock,
        })
    }

    /// The source with the overlay in it.
    pub fn src(&self) -> PathBuf {
        self.dir.join("src")
    }

    /// The folder of a build.
    pub fn build_dir(&self, name: &str) -> PathBuf {
        self.dir.join(format!("O-{name}"))
    }

    /// A build of the same source that a new one may start as a copy of.
    pub fn sibling_of(&self, name: &str) -> Option<PathBuf> {
        let own = self.build_dir(name);
        let dirs = fsutil::read_dir_sorted(&self.dir).ok()?;
        let mut builds = dirs.into_iter().filter(|dir| {
            *dir != own && fsutil::name(dir).starts_with("O-") && dir.join("System.map").is_file()
        });
        builds.next()
    }

    /// Lets other runs build modules against the builds, or change them, and says what they are.
    pub fn release(self) -> Result<()> {
        flock(&self.lock, FlockOperation::Unlock)?;
        Ok(())
    }
}

/// The full path of a folder that holds a kernel's source.
fn whole_source(path: &Path) -> Result<PathBuf> {
    let path = path
        .canonicalize()
        .with_context(|| format!("there is no folder {}", path.display()))?;
    // A headers package has makefiles too, but no code to build a kernel from.
    for file in ["Kbuild", "Makefile", "drivers/xen/grant-table.c"] {
        if !path.join(file).is_file() {
            bail!(
                "{} holds no kernel source: there is no {file} in it. A headers package (linux-headers-...) is not enough; \
                 name the folder that a source package or a git tree was unpacked into",
                path.display()
            );
        }
    }
    Ok(path)
}

/// Adds the overlay to a source folder, for those who build with tools of their own. `profile` says which kernels it is for.
pub fn apply(session: &Session, profile: &Profile, folder: &Path) -> Result<()> {
    let folder = whole_source(folder)?;
    check_series(&folder, profile)?;
    apply_from(session, &folder, &folder)
}

/// The lines first: they are what can be refused.
fn apply_from(session: &Session, from: &Path, to: &Path) -> Result<()> {
    lines::add_all(from, to)?;
    stage::sync(&session.workspace().join("linux-pv"), &to.join(PLACE))
}

/// A digest over everything in `linux-pv`.
fn digest_of_overlay(session: &Session) -> Result<String> {
    let root = session.workspace().join("linux-pv");
    let mut digest = Digest::new("linux-pv", 1);
    for entry in walkdir::WalkDir::new(&root)
        .follow_links(true)
        .sort_by_file_name()
    {
        let entry = entry.with_context(|| format!("cannot read {}", root.display()))?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(&root)?.to_string_lossy();
            digest = digest.with(&name, fs::read(entry.path())?);
        }
    }
    Ok(digest.hex())
}

fn unpack(
    session: &Session,
    step: &Step,
    profile: &Profile,
    package: &Package,
    dir: &Path,
) -> Result<()> {
    fsutil::require_space(session.cache.root(), ROOM)?;
    let deb = Apt::new(session, session.config.suite(&profile.suite)?)?
        .download(std::slice::from_ref(package))?
        .pop()
        .context("the source package was not downloaded")?;
    step.note("unpacking the source");
    // Under its name only when it is whole.
    let part = dir.join("part");
    fsutil::remove_all(&part)?;
    fs::create_dir_all(&part)?;
    binary::unpack_source(&deb, &part, &LEFT_OUT)?;
    fs::rename(part.join("src"), dir.join("src"))?;
    fsutil::remove_all(&part)
}

/// Makes `src` a copy of a folder, without what was built there; what did not change is not copied again. What was
/// changed is noted in the file `mirrored` beside `src`.
fn mirror(
    session: &Session,
    step: &Step,
    sandbox: &Sandbox,
    folder: &Path,
    src: &Path,
) -> Result<()> {
    if !src.is_dir() {
        fsutil::require_space(session.cache.root(), ROOM)?;
        fs::create_dir_all(src)?;
    }
    // What the overlay changes is taken from the folder when the lines are added.
    let ours = lines::files()
        .into_iter()
        .chain([PLACE.to_owned()])
        .map(|path| format!("--exclude=/{path}"));
    let mut rsync = sandbox
        .command("rsync")
        .args(["-rlpt", "--delete"])
        .args(BUILT.iter().map(|pattern| format!("--exclude={pattern}")))
        .args(ours)
        .args(["--out-format=%n", "/from/", "/to/"])
        .ro_bind(folder, "/from")
        .bind(src, "/to")
        .build()?;
    let mut changed = false;
    process::run_watched(
        step,
        "copying the kernel's source",
        &mut rsync,
        &session.log("kernel-source"),
        |line| changed |= !line.ends_with('/'),
    )?;
    let note = src.with_file_name("mirrored");
    if changed || !note.exists() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        fs::write(note, format!("{}\n", now.as_nanos()))?;
    }
    Ok(())
}

/// Says early that a kernel is too old; a newer one is tried.
fn check_series(src: &Path, profile: &Profile) -> Result<()> {
    let makefile = read_text(&src.join("Makefile"))?;
    let number = |name: &str| -> Option<u32> {
        let line = makefile.lines().find(|line| line.starts_with(name))?;
        line.split_once('=')?.1.trim().parse().ok()
    };
    let (Some(version), Some(patch)) = (number("VERSION"), number("PATCHLEVEL")) else {
        bail!(
            "{} does not say which kernel it is",
            src.join("Makefile").display()
        );
    };
    let mut wanted = profile
        .min_series
        .split('.')
        .map(|n| n.parse().unwrap_or(0));
    let wanted: (u32, u32) = (wanted.next().unwrap_or(0), wanted.next().unwrap_or(0));
    if (version, patch) < wanted {
        bail!(
            "the source is of kernel {version}.{patch}; the overlay needs {} or newer",
            profile.min_series
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_a_kernel_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Source::folder(dir.path()).is_err());
        assert!(Source::folder(&dir.path().join("nothing")).is_err());
        fs::create_dir_all(dir.path().join("drivers/xen")).unwrap();
        for file in ["Kbuild", "Makefile", "drivers/xen/grant-table.c"] {
            let error = Source::folder(dir.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("no {file} in it")), "{error}");
            fs::write(dir.path().join(file), "").unwrap();
        }
        assert!(Source::folder(dir.path()).is_ok());
    }
}
