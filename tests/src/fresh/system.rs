// SPDX-License-Identifier: GPL-2.0

//! The roots that fresh machines are copies of: made once, kept in the cache, never entered.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::{Context, Result};
use kbuild::mirror::Mirrors;
use kbuild::packaging::KERNELS_SOURCES;
use kbuild::suite::Suite;
use kbuild::{Bootstrap, CacheEntry, Digest, Session, apt, process, resolve};

/// The ordinary user.
const USER: &str = "user";

/// The ordinary user's number, and that of the group.
pub(super) const UID: u32 = 1000;

/// Where the ordinary user is at home.
pub(super) const HOME: &str = "/home/user";

/// Room in bytes for a root and for the archive that it is unpacked from.
const ROOM: u64 = 3_000_000_000;

/// What a fresh machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Debian 13 with nothing but certificates. Commands that need no cargo run there.
    Bare,
    /// Debian 12 with the toolchain that runs this test, because its own cargo is too old.
    Debian12,
    /// Debian 13 with its own cargo.
    Debian13,
    /// Debian 13 with the kernel under test and its headers, and with both tools for initramfs.
    WithKernel,
}

impl System {
    /// Its name in a scenario's.
    pub fn name(self) -> &'static str {
        match self {
            System::Bare => "bare",
            System::Debian12 => "debian_12",
            System::Debian13 => "debian_13",
            System::WithKernel => "with_kernel",
        }
    }

    fn suite(self) -> &'static str {
        match self {
            System::Bare | System::Debian13 | System::WithKernel => "trixie",
            System::Debian12 => "bookworm",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            System::Bare => &["ca-certificates"],
            // What rustup asks for.
            System::Debian12 => &["ca-certificates", "gcc", "libc6-dev"],
            System::Debian13 => &["ca-certificates", "cargo"],
            System::WithKernel => &["ca-certificates", "dracut-core", "initramfs-tools", "zstd"],
        }
    }

    /// The packages of a kernel that it has besides.
    fn kernel(self, session: &Session) -> Result<Vec<String>> {
        if self != System::WithKernel {
            return Ok(vec![]);
        }
        let release = resolve::kernel(session, session.config.profile(None)?)?.release;
        Ok(["linux-image", "linux-headers"]
            .map(|package| format!("{package}-{release}"))
            .to_vec())
    }

    /// What it has from backports: the sources of its kernel's packages.
    fn backports(self) -> &'static [&'static str] {
        match self {
            System::WithKernel => &KERNELS_SOURCES,
            _ => &[],
        }
    }

    /// Whether it has the toolchain of this machine instead of one of its own.
    pub fn borrows_toolchain(self) -> bool {
        self == System::Debian12
    }
}

/// The system's root in the cache.
pub(super) fn pristine(session: &Session, system: System) -> Result<CacheEntry> {
    let mirrors = Mirrors::detect(session.options.mirror.as_deref())?;
    let name = system.suite();
    let mut pockets = vec![format!("{name}-updates"), format!("{name}-security")];
    let from_backports = system.backports();
    if !from_backports.is_empty() {
        pockets.push(format!("{name}-backports"));
    }
    let suite = Suite {
        name: name.into(),
        pockets,
        from_backports: from_backports.iter().copied().map(str::to_owned).collect(),
        sandbox: vec![],
    };
    let bootstrap = Bootstrap::new(&suite)
        .include(system.packages().iter().copied())
        .include(system.kernel(session)?);
    let key = Digest::new("fresh", 1)
        .with("bootstrap", bootstrap.digest())
        .with_all("source", suite.sources(&mirrors)?);
    let entry = format!("{name}-{}", key.hex());
    session.cache.get_or_make("fresh", &entry, ROOM, |dir| {
        let step = session
            .ui
            .step(format!("Making a fresh machine (Debian {name})"));
        let (tar, root) = (dir.join("root.tar"), dir.join("root"));
        bootstrap.make_tar(session, &step, &tar)?;
        fs::create_dir(&root)?;
        let mut unpack = process::tied("tar");
        unpack.args(["-x", "-p", "--numeric-owner", "--exclude=./dev/*", "-C"]);
        unpack.arg(&root).arg("-f").arg(&tar);
        let log = session.log("fresh-unpack");
        process::run(&step, "unpacking the root", &mut unpack, &log)?;
        fs::remove_file(&tar)?;
        add_user(&root)?;
        step.done("");
        Ok(())
    })
}

/// Adds the ordinary user. A root without the package passwd has no program for it.
fn add_user(root: &Path) -> Result<()> {
    let append = |file: &str, line: String| -> Result<()> {
        let path = root.join(file);
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        text += &line;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    append(
        "etc/passwd",
        format!("{USER}:x:{UID}:{UID}::{HOME}:/bin/bash\n"),
    )?;
    append("etc/group", format!("{USER}:x:{UID}:\n"))?;
    for file in ["etc/subuid", "etc/subgid"] {
        append(file, format!("{USER}:100000:65536\n"))?;
    }
    let home = root.join(HOME.trim_start_matches('/'));
    fs::create_dir(&home)?;
    chown(&home, Some(UID), Some(UID))?;
    Ok(())
}

/// Gives a copy of a root what this machine's administrator has set so that the archive can be reached: it may have changed
/// since the root was made.
pub(super) fn copy_settings(root: &Path) -> Result<()> {
    let options: String = apt::machine_options()
        .iter()
        .flat_map(|line| [line.as_str(), ";\n"])
        .collect();
    fs::write(root.join("etc/apt/apt.conf.d/99machine"), options)?;
    for file in [
        "etc/resolv.conf",
        "etc/hosts",
        "etc/ssl/certs/ca-certificates.crt",
    ] {
        let (from, to) = (Path::new("/").join(file), root.join(file));
        if from.exists() {
            // What is there may be a link to somewhere else.
            let _ = fs::remove_file(&to);
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}
