// SPDX-License-Identifier: GPL-2.0

//! The build sandbox: a Debian suite's toolchain and QEMU in a folder, entered with bubblewrap.
//!
//! Inside, everything looks the same on every machine: fixed paths, a fixed environment, no network, the
//! sandbox's own files read-only, and no process survives the command that was started. The same way works
//! for root and for everybody else: inside a user namespace the caller appears as root.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::cache::CacheEntry;
use crate::digest::Digest;
use crate::fsutil;
use crate::host::{self, Containment};
use crate::packages;
use crate::resolve;
use crate::session::Session;
use crate::suite::Suite;
use crate::ui::Step;

/// Room for the packages and what they hold, in bytes.
const ROOM: u64 = 2_500_000_000;

/// A sandbox of one Debian suite. Cheap to clone; keeps its cache entry from `clean`.
#[derive(Clone)]
pub struct Sandbox {
    entry: Arc<CacheEntry>,
    suite: String,
    containment: Containment,
}

impl Sandbox {
    /// Finds the suite's sandbox in the cache or makes it (a minute or two).
    pub fn open(session: &Session, suite: &Suite) -> Result<Self> {
        let containment = host::containment()?;
        let name = Self::name(session, suite)?;
        let entry = session.cache.get_or_make("sandbox", &name, ROOM, |dir| {
            let title = format!("Making the build sandbox (Debian {})", suite.name);
            let step = session.ui.step_before(title, "what is built in it");
            make(session, &step, suite, dir)?;
            step.done("");
            Ok(())
        })?;
        Ok(Self {
            entry: Arc::new(entry),
            suite: suite.name.clone(),
            containment,
        })
    }

    /// The key that the suite's current sandbox has or will have: see [`Sandbox::key`].
    pub fn name(session: &Session, suite: &Suite) -> Result<String> {
        let mut key = Digest::new("sandbox", 3)
            .with("preferences", suite.preferences())
            .with_all("pocket", &suite.pockets)
            .with_all("package", &suite.sandbox)
            .with_all("left out", LEFT_OUT);
        for (package, version) in resolve::tools(session, suite)? {
            key = key.with(&package, version.as_str());
        }
        Ok(format!("{}-{}", suite.name, key.hex()))
    }

    /// The Debian suite inside.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// The folder that holds the sandbox's files, for reading (headers, firmware).
    pub fn root(&self) -> &Path {
        self.entry.path()
    }

    /// The cache key; whatever is built with this sandbox's tools should have it in its own key.
    pub fn key(&self) -> String {
        fsutil::name(self.entry.path())
    }

    /// A folder in which what is built of the work tree with this sandbox's cargo stays. Each work tree has its own: they
    /// have the same place in the sandbox, and cargo compares times, which tell nothing of another tree's files.
    pub fn work_dir(&self, session: &Session, what: &str) -> Result<PathBuf> {
        let tree = Digest::new("work tree", 1)
            .with("path", session.workspace().as_os_str().as_encoded_bytes())
            .hex();
        let name = format!("{what}-{}-{tree}", self.key());
        let dir = session.cache.state_dir("work")?.join(name);
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        Ok(dir)
    }

    /// A command inside. It has no network and sees only the sandbox and what is bound into it.
    ///
    /// It is killed when the *thread* that started it ends: start it from one that waits for it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> SandboxCommand {
        SandboxCommand {
            sandbox: self.clone(),
            program: program.as_ref().to_owned(),
            args: vec![],
            mounts: vec![],
            empty: vec![],
            env: vec![],
            current_dir: None,
            network: false,
        }
    }
}

/// Files of packages that are large and that no build here reads: LLVM's own static libraries, and of the compiler's source
/// what is not its library.
const LEFT_OUT: [&str; 3] = [
    "./usr/lib/llvm-*/lib/*.a",
    "./usr/src/rustc-*/compiler",
    "./usr/src/rustc-*/src",
];

/// Links that packages' scripts would make, and what they lead to, in `/usr/bin`.
const ALTERNATIVES: [(&str, &str); 5] = [
    ("awk", "mawk"),
    ("c++", "g++"),
    ("cc", "gcc"),
    ("which", "which.debianutils"),
    ("yacc", "bison.yacc"),
];

/// Files in `/etc` that packages' scripts would make, and what they copy for that.
const CONFIGURATION: [(&str, &str); 3] = [
    ("group", "usr/share/base-passwd/group.master"),
    ("nsswitch.conf", "usr/share/libc-bin/nsswitch.conf"),
    ("passwd", "usr/share/base-passwd/passwd.master"),
];

/// Makes the sandbox in an empty folder.
fn make(session: &Session, step: &Step, suite: &Suite, dir: &Path) -> Result<()> {
    let mut names = suite.sandbox.clone();
    names.push(packages::ESSENTIAL.to_owned());
    packages::unpack_with_dependencies(session, step, suite, &names, &LEFT_OUT, dir)?;
    for (name, program) in ALTERNATIVES {
        if dir.join("usr/bin").join(program).exists() {
            symlink(program, dir.join("usr/bin").join(name))?;
        }
    }
    let etc = dir.join("etc");
    for (file, master) in CONFIGURATION {
        fs::copy(dir.join(master), etc.join(file))?;
    }
    // The machine's own are mounted over these where a command has the network.
    for file in ["resolv.conf", "hosts"] {
        fs::write(etc.join(file), "")?;
    }
    Ok(())
}

/// A command in the making; [`SandboxCommand::build`] turns it into one of the standard library's.
#[derive(Clone)]
pub struct SandboxCommand {
    sandbox: Sandbox,
    program: OsString,
    args: Vec<OsString>,
    mounts: Vec<(&'static str, PathBuf, PathBuf)>,
    empty: Vec<PathBuf>,
    env: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
    network: bool,
}

impl SandboxCommand {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Makes a file or folder of the machine visible and writable at `inside`, an absolute path that does not
    /// lie below /usr, /etc or /var (those are read-only, nothing new can appear there).
    #[must_use]
    pub fn bind(mut self, outside: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.mounts.push((
            "--bind",
            outside.as_ref().to_owned(),
            inside.as_ref().to_owned(),
        ));
        self
    }

    /// Like [`SandboxCommand::bind`], read-only.
    #[must_use]
    pub fn ro_bind(mut self, outside: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.mounts.push((
            "--ro-bind",
            outside.as_ref().to_owned(),
            inside.as_ref().to_owned(),
        ));
        self
    }

    /// Makes an empty folder at `inside`.
    #[must_use]
    pub fn dir(mut self, inside: impl AsRef<Path>) -> Self {
        self.empty.push(inside.as_ref().to_owned());
        self
    }

    /// Makes a device such as `/dev/kvm` usable if the machine has it.
    #[must_use]
    pub fn device(mut self, path: impl AsRef<Path>) -> Self {
        self.mounts.push((
            "--dev-bind-try",
            path.as_ref().to_owned(),
            path.as_ref().to_owned(),
        ));
        self
    }

    /// Sets a variable. The environment outside is not inherited.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working folder, a path inside.
    #[must_use]
    pub fn current_dir(mut self, inside: impl AsRef<Path>) -> Self {
        self.current_dir = Some(inside.as_ref().to_owned());
        self
    }

    /// Gives the command the machine's network, name resolution and certificates.
    #[must_use]
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    /// The finished command, to be spawned with any standard input and output.
    pub fn build(&self) -> Result<Command> {
        let mut bwrap = Command::new("bwrap");
        self.namespaces(&mut bwrap);
        self.file_system(&mut bwrap)?;
        for (kind, outside, inside) in &self.mounts {
            bwrap.arg(kind).arg(outside).arg(inside);
        }
        for inside in &self.empty {
            bwrap.arg("--dir").arg(inside);
        }
        self.environment(&mut bwrap);
        bwrap
            .arg("--chdir")
            .arg(self.current_dir.as_deref().unwrap_or(Path::new("/")));
        bwrap.arg("--").arg(&self.program).args(&self.args);
        Ok(bwrap)
    }

    fn namespaces(&self, bwrap: &mut Command) {
        bwrap.args([
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--hostname",
            "paravane",
        ]);
        bwrap.arg("--die-with-parent");
        if self.sandbox.containment.user_namespace {
            bwrap.args(["--unshare-user", "--uid", "0", "--gid", "0"]);
        }
        if !self.network {
            bwrap.arg("--unshare-net");
        }
    }

    /// The root is an empty file system in memory with the sandbox's folders bound into it read-only, so that
    /// mount points can be made anywhere but below those.
    fn file_system(&self, bwrap: &mut Command) -> Result<()> {
        let root = self.sandbox.root();
        for path in fsutil::read_dir_sorted(root)? {
            let name = fsutil::name(&path);
            let inside = Path::new("/").join(&name);
            if path.is_symlink() {
                let target =
                    std::fs::read_link(&path).with_context(|| path.display().to_string())?;
                bwrap.arg("--symlink").arg(target).arg(inside);
            } else if matches!(name.as_str(), "usr" | "etc" | "var" | "opt") {
                bwrap.arg("--ro-bind").arg(&path).arg(inside);
            }
        }
        for dir in ["/tmp", "/var/tmp", "/run", "/root"] {
            bwrap.args(["--tmpfs", dir]);
        }
        bwrap.args(["--dev", "/dev"]);
        if self.sandbox.containment.fresh_proc {
            bwrap.args(["--proc", "/proc"]);
        } else {
            bwrap.args(["--ro-bind", "/proc", "/proc"]);
        }
        if self.network {
            for file in ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs"] {
                let inside = root.join(file.trim_start_matches('/'));
                // A mount needs an existing target; a sandbox without one has no use for the file either.
                if let (Ok(outside), true) = (std::fs::canonicalize(file), inside.exists()) {
                    bwrap.arg("--ro-bind").arg(outside).arg(file);
                }
            }
        }
        Ok(())
    }

    fn environment(&self, bwrap: &mut Command) {
        bwrap.arg("--clearenv");
        let fixed = [
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("KBUILD_BUILD_USER", "paravane"),
            ("KBUILD_BUILD_HOST", "sandbox"),
        ];
        for (name, value) in fixed {
            bwrap.args(["--setenv", name, value]);
        }
        if self.network {
            for name in [
                "http_proxy",
                "https_proxy",
                "no_proxy",
                "HTTP_PROXY",
                "HTTPS_PROXY",
                "NO_PROXY",
            ] {
                if let Some(value) = std::env::var_os(name) {
                    bwrap.args([OsStr::new("--setenv"), OsStr::new(name), &value]);
                }
            }
        }
        for (name, value) in &self.env {
            bwrap.arg("--setenv").arg(name).arg(value);
        }
    }
}
