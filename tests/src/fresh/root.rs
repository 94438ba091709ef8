// SPDX-License-Identifier: GPL-2.0

//! A fresh machine's root folder: a copy that a scenario may do with as it likes, and that is removed at its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use kbuild::{Session, fsutil, process};

use super::call::Call;
use super::system::{self, HOME, System, UID};
use super::tree;

/// The user who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The administrator.
    Root,
    /// Somebody without rights but with subordinate ids, as `adduser` gives them.
    Ordinary,
}

impl User {
    /// The name in a scenario's.
    pub fn name(self) -> &'static str {
        match self {
            User::Root => "root",
            User::Ordinary => "user",
        }
    }

    /// Where they are at home.
    pub fn home(self) -> &'static str {
        match self {
            User::Root => "/root",
            User::Ordinary => HOME,
        }
    }
}

/// A root folder. The work tree is in both users' homes, in `paravane`, and the tool of the run that this is part of in
/// `/usr/local/bin/xtask`.
pub struct Root {
    dir: PathBuf,
    logs: PathBuf,
    toolchain: Option<PathBuf>,
    count: AtomicUsize,
    _lock: File,
}

impl Root {
    /// Copies a pristine root. What commands print goes to `logs`.
    pub(super) fn copy(
        session: &Session,
        system: System,
        pristine: &Path,
        logs: &Path,
    ) -> Result<Self> {
        let toolchain = match system.borrows_toolchain() {
            true => Some(tree::toolchain()?),
            false => None,
        };
        // As for the cache's entries: the lock's holder may remove what a run that was killed has left.
        let lock = session.cache.lock("fresh.root")?;
        let dir = session.cache.root().join(".tmp/fresh.root");
        fsutil::remove_all(&dir)?;
        fs::create_dir_all(&dir)?;
        let root = Self {
            dir,
            logs: logs.to_owned(),
            toolchain,
            count: AtomicUsize::new(0),
            _lock: lock,
        };
        let mut cp = process::tied("cp");
        cp.args(["-a", "--reflink=auto", "-T"])
            .arg(pristine.join("root"));
        process::output("copying a fresh machine's root", cp.arg(&root.dir))?;
        system::copy_settings(&root.dir)?;
        for user in [User::Root, User::Ordinary] {
            root.furnish(session, user)?;
        }
        // The tool may have been compiled again meanwhile; this is the file that runs.
        fs::copy("/proc/self/exe", root.path("/usr/local/bin/xtask"))
            .context("cannot copy this program")?;
        Ok(root)
    }

    /// Gives a user a clone of the work tree and this machine's settings of cargo, such as another registry.
    fn furnish(&self, session: &Session, user: User) -> Result<()> {
        let home = self.path(user.home());
        tree::copy(session.workspace(), &home.join("paravane"))?;
        let settings = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let settings =
            settings.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
        if let Some(file) = settings
            .map(|dir| dir.join("config.toml"))
            .filter(|file| file.is_file())
        {
            fs::create_dir_all(home.join(".cargo"))?;
            fs::copy(file, home.join(".cargo/config.toml"))?;
        }
        if user == User::Ordinary {
            let mut give = Command::new("chown");
            give.arg("-R").arg(format!("{UID}:{UID}")).arg(&home);
            process::output("giving the user their home", &mut give)?;
        }
        Ok(())
    }

    /// A file of the fresh machine, named by its absolute path there, as a file of this one.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.join(inside.trim_start_matches('/'))
    }

    /// This machine's toolchain, if it is lent to the fresh one.
    pub fn toolchain(&self) -> Option<&Path> {
        self.toolchain.as_deref()
    }

    /// New files for what a command prints: as output and as errors.
    pub(super) fn next_logs(&self) -> (PathBuf, PathBuf) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let file = |end| self.logs.join(format!("{number:02}.{end}"));
        (file("out"), file("err"))
    }

    /// Keeps the logs that the tool wrote into its cache, next to what it printed.
    pub(super) fn keep_logs(&self, cache: &str, printed: &Path) {
        let latest = self.path(cache).join("logs/latest");
        if let Ok(latest) = latest.canonicalize() {
            let mut cp = Command::new("cp");
            cp.arg("-rT")
                .arg(latest)
                .arg(printed.with_extension("logs"));
            process::succeeds(&mut cp);
        }
    }

    /// A command, run in the clone of the work tree. It has no standard input.
    pub fn call<T: AsRef<str>>(&self, user: User, words: impl IntoIterator<Item = T>) -> Call<'_> {
        Call::new(self, user, words)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Nothing is mounted in it here: mounts ended with the namespaces they were made in.
        let _ = fsutil::remove_all(&self.dir);
    }
}
