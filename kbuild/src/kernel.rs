// SPDX-License-Identifier: GPL-2.0

//! A kernel ready for use: its files (image, modules) and what modules are built against.
//!
//! How the two come to be: `binary` for a distribution's kernel, `source` and `overlay` for those built here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use crate::apt::Apt;
use crate::branches;
use crate::cache::CacheEntry;
use crate::config::{KernelKind, Profile};
use crate::deb;
use crate::depmod::depmod;
use crate::digest::Digest;
use crate::kernel_packages;
use crate::overlay;
use crate::overlay::build::{Built, Request};
use crate::overlay::config::Base;
use crate::overlay::tree::Source;
use crate::resolve::{self, KernelPackages};
use crate::sandbox::{Sandbox, SandboxCommand};
use crate::session::Session;
use crate::{binary, source};

/// Room for the files of one kernel, in bytes.
const ROOM: u64 = 2_000_000_000;

/// Folders of drivers that no virtual machine of ours has; they are two thirds of the modules' size.
const LEFT_OUT: [&str; 6] = [
    "./usr/lib/modules/*/kernel/drivers/gpu/drm/amd",
    "./usr/lib/modules/*/kernel/drivers/infiniband",
    "./usr/lib/modules/*/kernel/drivers/media",
    "./usr/lib/modules/*/kernel/drivers/net/wireless",
    "./usr/lib/modules/*/kernel/drivers/staging",
    "./usr/lib/modules/*/kernel/sound",
];

/// A kernel that can be booted and built against.
#[derive(Clone)]
pub struct Kernel {
    /// The name of its profile in `kernels.toml`.
    pub profile: String,
    /// What `uname -r` says.
    pub release: String,
    /// The version of the packages it was taken or built from.
    pub version: String,
    /// Further arguments of make that everything for this kernel is built with.
    pub make: Vec<String>,
    files: PathBuf,
    devel: Devel,
    /// A kernel that was built with its modules, ours among them.
    has_our_modules: bool,
    /// Kept from `clean`.
    _entries: Vec<Arc<CacheEntry>>,
}

/// What modules are built against.
#[derive(Clone)]
struct Devel {
    src: PathBuf,
    build: PathBuf,
}

impl Devel {
    fn of(entry: &CacheEntry) -> Self {
        Self {
            src: entry.join("src"),
            build: entry.join("O"),
        }
    }
}

impl Kernel {
    /// Prepares a profile's kernel: downloads, metadata or build, all cached.
    ///
    /// What can be downloaded and unpacked without the sandbox is, while it is made.
    pub fn open(session: &Session, profile: &Profile) -> Result<(Self, Sandbox)> {
        let suite = session.config.suite(&profile.suite)?;
        branches::fork(|branches| {
            // The longest part, which needs the least to begin.
            let sandbox = branches.spawn(|| Sandbox::open(session, suite));
            let packages = resolve::kernel(session, profile)?;
            let kernel = match profile.kind {
                KernelKind::Binary => Self::open_binary(session, profile, &packages)?,
                KernelKind::Source | KernelKind::Overlay => {
                    kernel_packages::fetch(session, profile, &packages)?;
                    let sandbox = Sandbox::open(session, suite)?;
                    Self::build(session, &sandbox, profile, &packages)?
                }
            };
            Ok((kernel, sandbox.join()?))
        })
    }

    fn open_binary(
        session: &Session,
        profile: &Profile,
        packages: &KernelPackages,
    ) -> Result<Self> {
        branches::fork(|branches| {
            let files = branches.spawn(|| runtime_files(session, profile, packages));
            let devel = binary::metadata(session, profile, packages)?;
            let files = files.join()?;
            Ok(Self {
                release: packages.release.clone(),
                files: files.path().to_owned(),
                devel: Devel::of(&devel),
                _entries: vec![Arc::new(devel), Arc::new(files)],
                ..Self::named(profile, packages)
            })
        })
    }

    fn build(
        session: &Session,
        sandbox: &Sandbox,
        profile: &Profile,
        packages: &KernelPackages,
    ) -> Result<Self> {
        let named = Self::named(profile, packages);
        if profile.kind == KernelKind::Source {
            let built = source::build(session, sandbox, profile, packages)?;
            return Ok(Self {
                release: built.release,
                files: built.devel.join("files"),
                devel: Devel::of(&built.devel),
                _entries: vec![Arc::new(built.devel)],
                ..named
            });
        }
        let request = Request {
            source: Source::Package(packages.source.clone()),
            base: Base::Small,
            without_rust: profile.without_rust.clone(),
        };
        let built = overlay::build::build(session, sandbox, profile, &request)?;
        Ok(Self::of_overlay(built, named))
    }

    fn named(profile: &Profile, packages: &KernelPackages) -> Self {
        Self {
            profile: profile.name.clone(),
            release: String::new(),
            version: packages.version.to_string(),
            make: profile.make.clone(),
            files: PathBuf::new(),
            devel: Devel {
                src: PathBuf::new(),
                build: PathBuf::new(),
            },
            has_our_modules: false,
            _entries: Vec::new(),
        }
    }

    fn of_overlay(built: Built, named: Self) -> Self {
        Self {
            release: built.release,
            files: built.files.path().to_owned(),
            devel: Devel {
                src: built.src,
                build: built.build_dir,
            },
            has_our_modules: true,
            _entries: vec![Arc::new(built.files)],
            ..named
        }
    }

    /// A profile's kernel to boot only: nothing can be built against it, so nothing is prepared for that.
    pub fn open_to_boot(session: &Session, profile: &Profile) -> Result<(Self, Sandbox)> {
        if profile.kind != KernelKind::Binary {
            return Self::open(session, profile);
        }
        let suite = session.config.suite(&profile.suite)?;
        branches::fork(|branches| {
            let sandbox = branches.spawn(|| Sandbox::open(session, suite));
            let packages = resolve::kernel(session, profile)?;
            let files = runtime_files(session, profile, &packages)?;
            let kernel = Self {
                release: packages.release.clone(),
                files: files.path().to_owned(),
                _entries: vec![Arc::new(files)],
                ..Self::named(profile, &packages)
            };
            Ok((kernel, sandbox.join()?))
        })
    }

    /// A kernel of the user's, to boot only: see [`crate::intake`].
    pub(crate) fn of_user(release: &str, files: CacheEntry) -> Self {
        Self {
            profile: "user".into(),
            release: release.to_owned(),
            version: release.to_owned(),
            make: Vec::new(),
            files: files.path().to_owned(),
            devel: Devel {
                src: PathBuf::new(),
                build: PathBuf::new(),
            },
            has_our_modules: false,
            _entries: vec![Arc::new(files)],
        }
    }

    /// The folder with `vmlinuz`, `config`, `kernel/` and the `modules.*` lists.
    pub fn modules_dir(&self) -> PathBuf {
        self.files.join("usr/lib/modules").join(&self.release)
    }

    /// The kernel's image as its package has it, compressed.
    pub fn vmlinuz(&self) -> PathBuf {
        self.modules_dir().join("vmlinuz")
    }

    /// Shows a command in the sandbox what modules are built against: the source as `/kernel/src`, the build folder as
    /// `/kernel/O`, both read-only.
    pub fn show_devel(&self, command: SandboxCommand) -> SandboxCommand {
        command
            .ro_bind(&self.devel.src, "/kernel/src")
            .ro_bind(&self.devel.build, "/kernel/O")
    }

    /// The source, perhaps without parts that no build reads.
    pub fn source(&self) -> &Path {
        &self.devel.src
    }

    /// Our modules, if the kernel was built with them in its tree.
    pub fn our_modules(&self) -> Option<PathBuf> {
        let dir = self.modules_dir().join("kernel").join(overlay::PLACE);
        self.has_our_modules.then_some(dir)
    }

    /// A key that changes when the kernel or what modules are built against changes.
    pub fn key(&self) -> String {
        let name = |path: &Path| path.to_string_lossy().into_owned();
        // The folder above the build's, as older keys have it.
        let devel = self.devel.build.parent().unwrap_or(&self.devel.build);
        Digest::new("kernel", 1)
            .with("files", name(&self.files))
            .with("devel", name(devel))
            .hex()
    }
}

/// Unpacks image and modules and makes the lists that modprobe reads.
fn runtime_files(
    session: &Session,
    profile: &Profile,
    packages: &KernelPackages,
) -> Result<CacheEntry> {
    let suite = session.config.suite(&profile.suite)?;
    let key = packages
        .runtime
        .iter()
        .fold(Digest::new("kernel-files", 1), |digest, package| {
            digest.with("package", &package.sha256)
        })
        .with_all("left out", LEFT_OUT)
        .hex();
    let name = format!("{}-{key}", packages.release);
    session.cache.get_or_make("kernel", &name, ROOM, |dir| {
        let step = session
            .ui
            .step(format!("Unpacking the kernel {}", packages.release));
        let excludes: Vec<_> = LEFT_OUT
            .iter()
            .map(|dir| format!("--exclude={dir}"))
            .collect();
        let excludes: Vec<_> = excludes.iter().map(String::as_str).collect();
        let apt = Apt::new(session, suite)?;
        for deb in &apt.download(&packages.runtime)? {
            deb::unpack_some(deb, dir, &excludes)?;
        }
        let sandbox = Sandbox::open(session, suite)?;
        depmod(session, &step, &sandbox, dir, &packages.release)?;
        step.done("");
        Ok(())
    })
}
