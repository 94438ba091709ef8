// SPDX-License-Identifier: GPL-2.0

//! A command on a fresh machine, how it ended, and what it left behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kbuild::process;

use super::root::{Root, User};
use super::system::UID;
use crate::error::TimedOut;

/// Where on the fresh machine the first process writes how the command ended.
const REPORT: &str = "/var/lib/fresh";

/// Enters a root: see the file.
const ENTER: &str = include_str!("enter.sh");

/// Runs a command as the first process: see the file.
const FIRST: &str = include_str!("first.sh");

/// Where a borrowed toolchain is seen.
const TOOLCHAIN: &str = "/opt/rust";

/// How many lines a message may have that says what is wrong.
const MESSAGE: usize = 40;

/// A command in the making.
pub struct Call<'r> {
    root: &'r Root,
    user: User,
    words: Vec<String>,
    env: Vec<(String, String)>,
    mounts: Vec<[String; 3]>,
    cache: String,
    network: bool,
    input: &'static str,
    limit: Duration,
}

impl<'r> Call<'r> {
    pub(super) fn new<T: AsRef<str>>(
        root: &'r Root,
        user: User,
        words: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            root,
            user,
            words: words
                .into_iter()
                .map(|word| word.as_ref().to_owned())
                .collect(),
            env: Vec::new(),
            mounts: Vec::new(),
            cache: format!("{}/.cache/paravane", user.home()),
            network: true,
            input: "",
            limit: Duration::from_secs(900),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Makes a file or folder of this machine visible at a path there, to be read only.
    #[must_use]
    pub fn bind(mut self, outside: &Path, inside: &str) -> Self {
        let outside = outside.display().to_string();
        self.mounts.push(["--bind".into(), outside, inside.into()]);
        self
    }

    /// Puts the tool's cache on a disk of so many MiB.
    #[must_use]
    pub fn cache_disk(mut self, mib: u32) -> Self {
        self.cache = "/mnt/disk/paravane".into();
        self.mounts
            .push(["--tmpfs".into(), mib.to_string(), "/mnt/disk".into()]);
        let cache = self.cache.clone();
        self.env("PARAVANE_CACHE", &cache)
    }

    /// Takes the network away.
    #[must_use]
    pub fn without_network(mut self) -> Self {
        self.network = false;
        self
    }

    /// What is typed.
    #[must_use]
    pub fn input(mut self, text: &'static str) -> Self {
        self.input = text;
        self
    }

    /// How long it may take by the clock on the wall, however slow this machine and its network are; a quarter of an hour if
    /// nothing is said. It is there to end what hangs.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end, which is no error whatever the status is.
    pub fn run(self) -> Result<Ended> {
        let what = self.words.join(" ");
        let report = self.root.path(REPORT);
        let _ = fs::remove_dir_all(&report);
        fs::create_dir_all(&report)?;
        let (out, err) = self.root.next_logs();
        let started = Instant::now();
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()
            .context("cannot start setpriv")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may have ended already.
            let _ = std::io::Write::write_all(&mut stdin, self.input.as_bytes());
        }
        let limit = self.limit;
        let mut watch = Watch::new(started);
        while child.try_wait()?.is_none() {
            watch.look(&[&out, &err]);
            if started.elapsed() > limit {
                // With unshare its first process ends, and with that all others.
                child.kill()?;
                child.wait()?;
                let why = format!(
                    "`{what}` did not end within {} s on a fresh machine (what it printed: {})",
                    limit.as_secs(),
                    err.display()
                );
                return Err(TimedOut(why).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.root.keep_logs(&self.cache, &out);
        let status = fs::read_to_string(report.join("status")).unwrap_or_default();
        let left = fs::read_to_string(report.join("left"));
        let (Ok(status), Ok(left)) = (status.trim().parse(), left) else {
            bail!(
                "`{what}` could not be run on a fresh machine: {}",
                read(&err)?.trim_end()
            );
        };
        Ok(Ended {
            status,
            stdout: read(&out)?,
            stderr: read(&err)?,
            left: left.lines().map(str::to_owned).collect(),
            took: started.elapsed(),
            first: watch.first,
            silence: watch.silence,
            what,
            log: err,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        // unshare takes no notice of SIGTERM while it waits.
        command.args(["--pdeathsig", "KILL", "--", "unshare"]);
        command.args(["--mount", "--propagation", "private", "--uts", "--ipc"]);
        command.args(["--pid", "--fork", "--kill-child"]);
        if !self.network {
            command.arg("--net");
        }
        command
            .args(["sh", "-c", ENTER, "enter.sh"])
            .arg(self.root.path("/"));
        command.args(self.mounts.iter().flatten());
        if let Some(toolchain) = self.root.toolchain() {
            command.arg("--bind").arg(toolchain).arg(TOOLCHAIN);
        }
        command.args(["--", "sh", "-c", FIRST, "first.sh", REPORT]);
        command.args(["/tmp", "/var/tmp", &format!("{}/.tmp", self.cache), "--"]);
        if self.user == User::Ordinary {
            command.args([
                "setpriv",
                &format!("--reuid={UID}"),
                &format!("--regid={UID}"),
                "--init-groups",
                "--",
            ]);
        }
        let home = self.user.home();
        command.args(["env", "-C", &format!("{home}/paravane")]);
        command.args(&self.words);

        command.env_clear();
        command.env(
            "PATH",
            format!("{TOOLCHAIN}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        );
        command.env("HOME", home).env("TERM", "dumb");
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// How long nothing is printed.
struct Watch {
    started: Instant,
    length: u64,
    last: Instant,
    first: Option<Duration>,
    silence: Duration,
}

impl Watch {
    fn new(started: Instant) -> Self {
        Self {
            started,
            length: 0,
            last: started,
            first: None,
            silence: Duration::ZERO,
        }
    }

    /// Looks whether the files have grown.
    fn look(&mut self, files: &[&Path]) {
        let lengths = files.iter().filter_map(|file| file.metadata().ok());
        let length = lengths.map(|meta| meta.len()).sum();
        self.silence = self.silence.max(self.last.elapsed());
        if length > self.length {
            self.length = length;
            self.last = Instant::now();
            self.first.get_or_insert(self.started.elapsed());
        }
    }
}

/// What of the environment reaches a fresh machine: the way to the network, and how slow this machine is.
const PASSED_ON: [&str; 7] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "PARAVANE_SLOW",
];

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The command's words, for messages.
    pub what: String,
    /// Its exit status, as shells have it: above 128 is a signal.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it printed as an error.
    pub stderr: String,
    /// Processes, mounts and temporary files that were not there before, a line each.
    pub left: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// When it first printed something.
    pub first: Option<Duration>,
    /// The longest time in which it printed nothing.
    pub silence: Duration,
    log: PathBuf,
}

impl Ended {
    /// Expects success.
    pub fn ends_well(&self) -> Result<()> {
        ensure!(
            self.status == 0,
            "`{}` ended with status {}:\n{}",
            self.what,
            self.status,
            self.end()
        );
        self.leaves_nothing()
    }

    /// Expects one message that says what is wrong and what to do, in which all these words are, and a status that is not
    /// zero.
    pub fn is_refused(&self, words: &[&str]) -> Result<()> {
        // A status above 128 is a signal's.
        ensure!(
            (1..128).contains(&self.status),
            "`{}` ended with status {}:\n{}",
            self.what,
            self.status,
            self.end()
        );
        let message = self.message()?;
        for word in words {
            ensure!(
                message.contains(word),
                "the message of `{}` does not say \"{word}\":\n{message}",
                self.what
            );
        }
        self.leaves_nothing()
    }

    /// The message at its end.
    pub fn message(&self) -> Result<&str> {
        let starts: Vec<_> = self
            .stderr
            .match_indices("error: ")
            .map(|(at, _)| at)
            .collect();
        let at_line_start = |at: &&usize| **at == 0 || self.stderr.as_bytes()[**at - 1] == b'\n';
        let starts: Vec<_> = starts.iter().filter(at_line_start).copied().collect();
        let [start] = starts[..] else {
            bail!(
                "`{}` says what is wrong {} times instead of once:\n{}",
                self.what,
                starts.len(),
                self.end()
            );
        };
        let message = self.stderr.get(start..).unwrap_or_default().trim_end();
        let lines = message.lines().count();
        ensure!(
            lines <= MESSAGE && !message.contains("panicked"),
            "the message of `{}` has {lines} lines:\n{message}",
            self.what
        );
        Ok(message)
    }

    fn leaves_nothing(&self) -> Result<()> {
        ensure!(
            self.left.is_empty(),
            "`{}` left this behind:\n    {}",
            self.what,
            self.left.join("\n    ")
        );
        Ok(())
    }

    /// The last lines of what it printed, and where all of it is.
    fn end(&self) -> String {
        let mut tail = process::Tail::default();
        self.stderr.lines().for_each(|line| tail.push(line));
        format!("{}\n(what it printed: {})", tail.text(), self.log.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: i32, stderr: &str) -> Ended {
        Ended {
            what: "tool".into(),
            status,
            stdout: String::new(),
            stderr: stderr.into(),
            left: vec![],
            took: Duration::ZERO,
            first: None,
            silence: Duration::ZERO,
            log: "/log".into(),
        }
    }

    #[test]
    fn a_refusal_is_one_message_and_a_status() {
        let text = "   ... Asking\nerror: no room at /mnt: free some\n";
        assert!(ended(1, text).is_refused(&["room", "/mnt"]).is_ok());
        assert!(ended(1, text).is_refused(&["network"]).is_err());
        assert!(ended(0, text).is_refused(&[]).is_err());
        assert!(ended(137, text).is_refused(&[]).is_err());
        assert!(ended(1, &text.repeat(2)).is_refused(&[]).is_err());
        assert!(ended(1, "nothing").is_refused(&[]).is_err());
    }

    #[test]
    fn what_is_left_behind_is_a_failure() {
        let mut ended = ended(0, "");
        assert!(ended.ends_well().is_ok());
        ended.left.push("process qemu".into());
        assert!(ended.ends_well().is_err());
    }
}
