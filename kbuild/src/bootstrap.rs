// SPDX-License-Identifier: GPL-2.0

//! Making a Debian root file system with mmdebstrap.
//!
//! One way for root and for everybody else: mmdebstrap makes a tar archive (as root directly, otherwise in a
//! user namespace), which is either kept (it remembers owners and modes; `mke2fs -d` takes it) or unpacked as
//! a folder that belongs to the caller.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::apt;
use crate::digest::Digest;
use crate::fsutil;
use crate::host;
use crate::mirror::Mirrors;
use crate::packages;
use crate::process::{self, Running, Tail};
use crate::session::Session;
use crate::suite::Suite;
use crate::ui::Step;

/// What to make.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    suite: Suite,
    variant: &'static str,
    include: Vec<String>,
    hooks: Vec<String>,
}

impl Bootstrap {
    /// A root file system of a suite with apt, its essential packages, and nothing else.
    pub fn new(suite: &Suite) -> Self {
        Self {
            suite: suite.clone(),
            variant: "apt",
            include: vec![],
            hooks: vec![],
        }
    }

    /// mmdebstrap's variant: `apt` (default), `minbase`, `essential`, `custom` …
    #[must_use]
    pub fn variant(mut self, variant: &'static str) -> Self {
        self.variant = variant;
        self
    }

    /// Adds packages.
    #[must_use]
    pub fn include<T: Into<String>>(mut self, packages: impl IntoIterator<Item = T>) -> Self {
        self.include.extend(packages.into_iter().map(Into::into));
        self
    }

    /// Adds a hook that runs at the end, inside mmdebstrap's namespace; `$1` is the root folder. See
    /// mmdebstrap(1), which also has special hooks such as `copy-in FILES DIR`.
    #[must_use]
    pub fn customize(mut self, hook: impl Into<String>) -> Self {
        self.hooks.push(format!("--customize-hook={}", hook.into()));
        self
    }

    /// A key over all that was asked for. The versions the archive has at the time are not part of it.
    pub fn digest(&self) -> String {
        Digest::new("bootstrap", 1)
            .with("suite", &self.suite.name)
            .with("preferences", self.suite.preferences())
            .with("variant", self.variant)
            .with_all("pocket", &self.suite.pockets)
            .with_all("include", &self.include)
            .with_all("hook", &self.hooks)
            .hex()
    }

    /// Makes a tar archive (not compressed) at `tar`.
    pub fn make_tar(&self, session: &Session, step: &Step, tar: &Path) -> Result<()> {
        let file = File::create(tar).with_context(|| format!("cannot write {}", tar.display()))?;
        self.make(session, step, |_| Ok(Stdio::from(file)))
    }

    /// Makes a folder whose files all belong to the caller. Device nodes are left out.
    pub fn make_dir(&self, session: &Session, step: &Step, dir: &Path) -> Result<()> {
        let mut tar = process::tied("tar");
        tar.args(["-x", "-p", "--no-same-owner", "--exclude=./dev/*", "-C"])
            .arg(dir);
        let mut unpack = None;
        self.make(session, step, |log| {
            tar.stdin(Stdio::piped()).stderr(process::open_log(log)?);
            let mut child = Running::start("unpacking a root file system", &mut tar)?;
            let stdin = child.stdin()?;
            unpack = Some(child);
            Ok(Stdio::from(stdin))
        })?;
        if let Some(child) = unpack {
            let status = child.wait()?;
            anyhow::ensure!(status.success(), "unpacking into {} failed", dir.display());
        }
        Ok(())
    }

    fn make(
        &self,
        session: &Session,
        step: &Step,
        sink: impl FnOnce(&Path) -> Result<Stdio>,
    ) -> Result<()> {
        host::prepare_to_configure(session)?;
        let log = session.log(&format!("mmdebstrap-{}", self.suite.name));
        let what = format!("making a Debian {} root file system", self.suite.name);
        let mirrors = Mirrors::detect(session.options.mirror.as_deref())?;
        let scratch = Scratch::new(session)?;
        let mut command = self.command(&mirrors, &scratch)?;
        let mut log_file = process::open_log(&log)?;
        writeln!(log_file, "$ {}", process::show(&command))?;
        command
            .stdin(Stdio::null())
            .stdout(sink(&log)?)
            .stderr(Stdio::piped());
        let child = Running::start(&what, &mut command);
        // The command keeps the writing end of the pipe to tar; dropping it lets tar see the end.
        drop(command);
        let mut child = child?;
        let mut tail = Tail::default();
        for line in BufReader::new(child.stderr()?).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            writeln!(log_file, "{line}")?;
            step.note(line.trim_start_matches("I: "));
            tail.push(&line);
        }
        let status = child.wait()?;
        if !status.success() {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let error = process::failure(&what, status, &tail.text(), &log);
            return Err(match apt::hint(&text) {
                Some(hint) => error.context(hint),
                None => error,
            });
        }
        Ok(())
    }

    fn command(&self, mirrors: &Mirrors, scratch: &Scratch) -> Result<Command> {
        // As root it mounts a few things where the machine would keep them if it is killed; a namespace of its own ends with
        // it. Otherwise it makes one itself.
        let (mut command, mode) = match host::is_root() {
            true => {
                let mut command = process::tied("unshare");
                command.args(["--mount", "--propagation", "private", "--", "mmdebstrap"]);
                (command, "root")
            }
            false => (process::tied("mmdebstrap"), "unshare"),
        };
        command.args([
            format!("--mode={mode}"),
            "--format=tar".into(),
            format!("--variant={}", self.variant),
            "--architectures=amd64".into(),
            // A signature failure is reported by apt itself; this check is about empty folders.
            "--skip=check/empty".into(),
            "--aptopt=Acquire::Languages { \"none\"; }".into(),
            "--aptopt=Acquire::Retries \"3\"".into(),
            "--dpkgopt=force-unsafe-io".into(),
        ]);
        for line in apt::machine_options() {
            command.arg(format!("--aptopt={line}"));
        }
        for dir in packages::UNREAD {
            command.arg(format!("--dpkgopt=path-exclude=/usr/share/{dir}/*"));
        }
        let preferences = self.suite.preferences();
        if !preferences.is_empty() {
            let quoted = preferences.replace('\n', "\\n");
            command.arg(format!(
                "--setup-hook=mkdir -p \"$1/etc/apt/preferences.d\" && printf '{quoted}' > \"$1/etc/apt/preferences.d/backports\""
            ));
        }
        if !self.include.is_empty() {
            command.arg(format!("--include={}", self.include.join(",")));
        }
        command.args(&self.hooks);
        command.args([self.suite.name.as_str(), "-"]);
        command.args(self.suite.sources(mirrors)?);
        command.env("TMPDIR", scratch.0.path());
        command.env("LC_ALL", "C.UTF-8");
        Ok(command)
    }
}

/// A folder for mmdebstrap's temporary files, which may be left there when it is stopped.
struct Scratch(TempDir);

impl Scratch {
    /// On a disk, not in a /tmp in memory. Without root the folder must be open to the subordinate user ids, which a
    /// folder in the user's home seldom is.
    fn new(session: &Session) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("paravane-");
        let folder = match host::is_root() {
            true => builder.tempdir_in(session.cache.state_dir(".tmp")?)?,
            false => builder
                .permissions(fs::Permissions::from_mode(0o755))
                .tempdir_in("/var/tmp")?,
        };
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let left = fs::read_dir(self.0.path()).is_ok_and(|mut entries| entries.next().is_some());
        if left && !host::is_root() {
            // What is left belongs to subordinate user ids. It is as much as can be done; a folder that stays is no reason
            // for another error.
            let mut remove = Command::new("mmdebstrap");
            remove.args(["--unshare-helper", "rm", "-rf"]);
            let entries = fsutil::read_dir_sorted(self.0.path()).unwrap_or_default();
            process::succeeds(remove.args(entries));
        }
    }
}
