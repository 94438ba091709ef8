// SPDX-License-Identifier: GPL-2.0

//! Building an overlay kernel. The build folder stays in the cache and is built in again, so that a change of one line
//! in `linux-pv` takes seconds; what comes out is copied into an entry of its own, which no later build changes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::config::{Base, KernelConfig};
use super::objects::{Objects, check_never_panic};
use super::tree::{Source, Tree};
use super::{PLACE, SWITCHES, package, switched_on};
use crate::cache::CacheEntry;
use crate::config::Profile;
use crate::depmod::depmod;
use crate::diagnostics::Diagnostics;
use crate::digest::Digest;
use crate::fsutil::{self, read_text};
use crate::process;
use crate::sandbox::{Sandbox, SandboxCommand};
use crate::session::Session;
use crate::ui::Step;

/// Room for a build of the small configuration, in bytes. A distribution's takes four times as much.
const ROOM: u64 = 3_000_000_000;

/// What is to be built.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the source comes from.
    pub source: Source,
    /// What the configuration starts from.
    pub base: Base,
    /// Names of switches that are off, or `all`.
    pub without_rust: Vec<String>,
}

/// An overlay kernel that was built.
pub struct Built {
    /// What `uname -r` says.
    pub release: String,
    /// Image and modules in `usr/lib/modules/RELEASE`, which objects are in the image in `objects`, and the Debian
    /// package.
    pub files: CacheEntry,
    /// The source with the overlay in it.
    pub src: PathBuf,
    /// The build folder, which later builds change.
    pub build_dir: PathBuf,
}

impl Built {
    /// The list of what is in the image, one line a switch.
    pub fn objects(&self) -> Result<String> {
        read_text(&self.files.join("objects"))
    }

    /// The Debian package.
    pub fn package(&self) -> Result<PathBuf> {
        fsutil::read_dir_sorted(self.files.path())?
            .into_iter()
            .find(|path| path.extension().is_some_and(|ext| ext == "deb"))
            .context("the build has left no package: a bug of this tool, please report it with the run's logs")
    }
}

/// Finds the kernel in the cache or builds it.
pub fn build(
    session: &Session,
    sandbox: &Sandbox,
    profile: &Profile,
    request: &Request,
) -> Result<Built> {
    let on = switched_on(&request.without_rust)?;
    let wanted = KernelConfig::new(session, profile, &request.base, &on)?;
    let step = session
        .ui
        .step(format!("Building the kernel {}", profile.name));
    let tree = Tree::open(session, &step, sandbox, profile, &request.source)?;
    let local_version = format!("-{}", profile.name);
    let key = Digest::new("overlay", 1)
        .with("tree", &tree.key)
        .with("content", &tree.content)
        .with("config", wanted.text())
        .with("release", &local_version)
        .with_all("make", &profile.make)
        .with("sandbox", sandbox.key())
        .hex();
    // One folder for each profile and base. Profiles with other switches have folders of their own; `kernel --without-rust`
    // builds in that of its profile, and make builds again what the switches change.
    let name = format!("{}-{}", profile.name, request.base.name());
    let dir = tree.build_dir(&name);
    let src = tree.src();
    let mut fresh = false;
    let files = session.cache.get_or_make(
        "kernel",
        &format!("{}-{key}", profile.name),
        ROOM,
        |entry| {
            fresh = true;
            start(&step, &tree, &name, sandbox.key())?;
            let make = make(sandbox, profile, &src, &dir, &local_version);
            wanted.apply(session, &step, &make, [&src, &dir], &menus(&src)?)?;
            compile(session, &step, &make, &dir)?;
            let objects = Objects::of(sandbox, &dir)?;
            for switch in SWITCHES {
                objects.check(switch, on.contains(switch))?;
                if on.contains(switch) {
                    check_never_panic(sandbox, &dir, switch)?;
                }
            }
            fs::write(entry.join("objects"), objects.table(SWITCHES))?;
            let release = install(session, &step, &make, &dir, entry)?;
            depmod(session, &step, sandbox, entry, &release)?;
            package::make(session, &step, sandbox, entry, &release, entry)?;
            fs::write(entry.join("release"), &release)?;
            Ok(())
        },
    )?;
    tree.release()?;
    let release = read_text(&files.join("release"))?;
    match fresh {
        true => step.done(&release),
        // A step that is dropped says nothing.
        false => drop(step),
    }
    Ok(Built {
        release,
        files,
        src,
        build_dir: dir,
    })
}

/// Makes the build folder, as a copy of another build of the same source if there is one: most objects are the same.
fn start(step: &Step, tree: &Tree, name: &str, toolchain: String) -> Result<()> {
    let dir = tree.build_dir(name);
    let stamp = dir.join(".paravane-toolchain");
    // Objects of another compiler are no use.
    if dir.is_dir() && fs::read_to_string(&stamp).is_ok_and(|old| old == toolchain) {
        return Ok(());
    }
    fsutil::remove_all(&dir)?;
    if let Some(other) = tree.sibling_of(name) {
        let same = fs::read_to_string(other.join(".paravane-toolchain"));
        if same.is_ok_and(|same| same == toolchain) {
            step.note("copying another build of the same source");
            let part = dir.with_extension("part");
            fsutil::remove_all(&part)?;
            let mut copy = process::tied("cp");
            copy.args(["-a", "--reflink=auto"]).arg(&other).arg(&part);
            process::output("copying a build", &mut copy)?;
            fs::rename(&part, &dir)?;
            return Ok(());
        }
    }
    fs::create_dir_all(&dir)?;
    fs::write(stamp, toolchain)?;
    Ok(())
}

/// The make of a kernel's build, without a goal.
fn make(
    sandbox: &Sandbox,
    profile: &Profile,
    src: &Path,
    dir: &Path,
    local_version: &str,
) -> SandboxCommand {
    sandbox
        .command("make")
        .args(["-C", "/kernel/src", "O=/kernel/O"])
        .arg(format!("LOCALVERSION={local_version}"))
        .args(&profile.make)
        .ro_bind(src, "/kernel/src")
        .bind(dir, "/kernel/O")
}

/// A digest over the Kconfig files that the overlay adds to or brings.
fn menus(src: &Path) -> Result<String> {
    let mut digest =
        Digest::new("menus", 1).with("kernel", fs::read(src.join("drivers/xen/Kconfig"))?);
    for entry in walkdir::WalkDir::new(src.join(PLACE)).sort_by_file_name() {
        let entry = entry?;
        if fsutil::name(entry.path()) == "Kconfig" {
            digest = digest.with("ours", fs::read(entry.path())?);
        }
    }
    Ok(digest.hex())
}

fn compile(session: &Session, step: &Step, make: &SandboxCommand, dir: &Path) -> Result<()> {
    let log = session.log("kernel-build");
    let mut all = make
        .clone()
        .arg(format!("-j{}", session.jobs()))
        .args(["bzImage", "modules"])
        .build()?;
    let mut diagnostics = Diagnostics::default();
    let built = process::run_watched(step, "building the kernel", &mut all, &log, |line| {
        diagnostics.line(line);
    });
    if built.is_err() && diagnostics.has_error() {
        anyhow::bail!(
            "the kernel does not build:\n{}\nThe whole log: {}",
            diagnostics.text(),
            log.display()
        );
    }
    built?;
    ensure!(
        dir.join("arch/x86/boot/bzImage").is_file(),
        "the build has left no image although it succeeded: a bug of this tool, please report it with {}",
        log.display()
    );
    Ok(())
}

/// Copies image and modules into `entry`; returns the release.
fn install(
    session: &Session,
    step: &Step,
    make: &SandboxCommand,
    dir: &Path,
    entry: &Path,
) -> Result<String> {
    let mut install = make
        .clone()
        .args([
            "modules_install",
            "INSTALL_MOD_PATH=/files/usr",
            "DEPMOD=true",
        ])
        .args(["INSTALL_MOD_STRIP=1"])
        .bind(entry, "/files")
        .build()?;
    process::run(
        step,
        "installing the modules",
        &mut install,
        &session.log("kernel-install"),
    )?;
    let release = read_text(&dir.join("include/config/kernel.release"))?;
    let release = release.trim().to_owned();
    let modules = entry.join("usr/lib/modules").join(&release);
    fs::create_dir_all(&modules)?;
    for (from, name) in [
        ("arch/x86/boot/bzImage", "vmlinuz"),
        (".config", "config"),
        ("System.map", "System.map"),
    ] {
        fs::copy(dir.join(from), modules.join(name)).with_context(|| from.to_owned())?;
    }
    for link in ["build", "source"] {
        let _ = fs::remove_file(modules.join(link));
    }
    Ok(release)
}
