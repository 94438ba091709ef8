// SPDX-License-Identifier: GPL-2.0

//! Kernels built from the distribution's source package with a configuration of ours: small, and with the
//! debug options that a distribution's kernel does without.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::apt::Apt;
use crate::binary;
use crate::cache::CacheEntry;
use crate::config::Profile;
use crate::depmod::depmod;
use crate::digest::Digest;
use crate::fsutil::read_text;
use crate::kconfig::KConfig;
use crate::process;
use crate::resolve::{self, KernelPackages};
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// Room for the whole source and a build of it, in bytes.
const ROOM: u64 = 6_000_000_000;

/// A kernel built here.
pub struct Built {
    /// What `uname -r` says.
    pub release: String,
    /// `src`, `O`, and `files` with image and modules.
    pub devel: CacheEntry,
}

/// Finds or builds the kernel of a source-built profile.
pub fn build(
    session: &Session,
    sandbox: &Sandbox,
    profile: &Profile,
    packages: &KernelPackages,
) -> Result<Built> {
    let fragment = fragments(session, profile)?;
    let local_version = format!("-{}", profile.name);
    let release = format!(
        "{}{local_version}",
        resolve::base_version(&packages.release)
    );
    let key = Digest::new("source-kernel", 1)
        .with("source", &packages.source.sha256)
        .with("fragment", &fragment)
        .with_all("make", &profile.make)
        .with("sandbox", sandbox.key())
        .hex();
    let name = format!("{release}-{key}");
    let devel = session.cache.get_or_make("devel", &name, ROOM, |dir| {
        let step = session
            .ui
            .step(format!("Building the kernel {release} from source"));
        let deb = Apt::new(session, session.config.suite(&profile.suite)?)?
            .download(std::slice::from_ref(&packages.source))?
            .pop()
            .context("the source package was not downloaded")?;
        step.note("unpacking the source");
        binary::unpack_source(&deb, dir, &["Documentation/*/*", "tools/testing/*"])?;
        fs::create_dir(dir.join("O"))?;
        fs::write(dir.join("O/fragment"), &fragment)?;
        configure(session, &step, sandbox, profile, dir, &fragment)?;
        compile(session, &step, sandbox, profile, dir, &local_version)?;
        depmod(session, &step, sandbox, &dir.join("files"), &release)?;
        trim(dir)?;
        step.done("");
        Ok(())
    })?;
    Ok(Built { release, devel })
}

/// All fragments of a profile in one text.
fn fragments(session: &Session, profile: &Profile) -> Result<String> {
    let texts: Result<Vec<_>> = profile
        .fragments
        .iter()
        .map(|file| read_text(&session.workspace().join(file)))
        .collect();
    Ok(texts?.concat())
}

fn make(sandbox: &Sandbox, profile: &Profile, dir: &Path) -> crate::SandboxCommand {
    sandbox
        .command("make")
        .args(["-C", "/kernel/src", "O=/kernel/O"])
        .args(&profile.make)
        .bind(dir, "/kernel")
}

/// Nothing but what the fragment asks for, and all of that: kconfig drops an option whose dependencies are missing without a message; here that is an error.
fn configure(
    session: &Session,
    step: &Step,
    sandbox: &Sandbox,
    profile: &Profile,
    dir: &Path,
    fragment: &str,
) -> Result<()> {
    let log = session.log("kernel-config");
    let mut command = make(sandbox, profile, dir)
        .arg("allnoconfig")
        .env("KCONFIG_ALLCONFIG", "/kernel/O/fragment")
        .build()?;
    process::run(step, "configuring the kernel", &mut command, &log)?;
    let got = KConfig::parse(&read_text(&dir.join("O/.config"))?);
    let unmet = KConfig::parse(fragment).unmet(&got);
    if !unmet.is_empty() {
        bail!(
            "the kernel's configuration does not take these options of the fragment (a dependency is missing, or the \
             option is gone in this version):\n    {}",
            unmet.join("\n    ")
        );
    }
    Ok(())
}

fn compile(
    session: &Session,
    step: &Step,
    sandbox: &Sandbox,
    profile: &Profile,
    dir: &Path,
    local_version: &str,
) -> Result<()> {
    let log = session.log("kernel-build");
    let jobs = format!("-j{}", session.jobs());
    let local = format!("LOCALVERSION={local_version}");
    let what = "building the kernel";
    let mut all = make(sandbox, profile, dir)
        .args([jobs.as_str(), local.as_str(), "bzImage", "modules"])
        .build()?;
    process::run(step, what, &mut all, &log)?;
    let mut install = make(sandbox, profile, dir)
        .args([jobs.as_str(), local.as_str(), "modules_install"])
        .args(["INSTALL_MOD_PATH=/kernel/files/usr", "DEPMOD=true"])
        .build()?;
    process::run(step, what, &mut install, &log)?;
    let release = read_text(&dir.join("O/include/config/kernel.release"))?;
    let release = release.trim();
    ensure!(
        release.ends_with(local_version),
        "the kernel calls itself {release}, without {local_version}"
    );
    let modules = dir.join("files/usr/lib/modules").join(release);
    fs::create_dir_all(&modules)?;
    fs::copy(dir.join("O/arch/x86/boot/bzImage"), modules.join("vmlinuz"))?;
    fs::copy(dir.join("O/.config"), modules.join("config"))?;
    fs::copy(dir.join("O/System.map"), modules.join("System.map"))?;
    for link in ["build", "source"] {
        let _ = fs::remove_file(modules.join(link));
    }
    Ok(())
}

/// Object files are half of the space, and no module's build reads them.
fn trim(dir: &Path) -> Result<()> {
    for top in [
        "arch", "block", "crypto", "drivers", "fs", "kernel", "lib", "mm", "net", "security",
    ] {
        for entry in walkdir::WalkDir::new(dir.join("O").join(top))
            .into_iter()
            .flatten()
        {
            if entry
                .path()
                .extension()
                .is_some_and(|ext| ext == "o" || ext == "a" || ext == "ko")
            {
                fs::remove_file(entry.path())?;
            }
        }
    }
    for file in ["O/vmlinux.o", "O/vmlinux.a"] {
        let _ = fs::remove_file(dir.join(file));
    }
    Ok(())
}
