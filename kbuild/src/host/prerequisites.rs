// SPDX-License-Identifier: GPL-2.0

//! Installing what the machine itself lacks, once, however many branches of a preparation or runs of the tool need
//! it, and waits for other processes that install something.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::branches;
use crate::process;
use crate::session::Session;
use crate::ui::Step;

/// How long another process may hold apt's locks. Unattended upgrades of a fresh machine take some minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often apt is tried meanwhile.
const POLL: Duration = Duration::from_secs(2);

/// The machine's packages.
pub(super) struct Prerequisites<'a> {
    /// Lists the packages that are missing now.
    pub(super) missing: &'a (dyn Fn() -> Vec<&'static str> + Sync),
    /// Makes a command of the machine's apt-get.
    pub(super) apt: &'a (dyn Fn() -> Command + Sync),
    /// How long to wait for apt's locks.
    pub(super) patience: Duration,
}

impl Prerequisites<'_> {
    /// Installs what is missing. A second process waits for the first one and finds nothing missing.
    pub(super) fn install(&self, session: &Session) -> Result<()> {
        if (self.missing)().is_empty() {
            return Ok(());
        }
        let _lock = session.cache.lock("prerequisites")?;
        let missing = (self.missing)();
        if missing.is_empty() {
            return Ok(());
        }
        let list = missing.join(" ");
        let step = session
            .ui
            .step(format!("Installing prerequisites ({list})"));
        let log = session.log("prerequisites");
        self.run(&step, &["update"], &log)
            .with_context(|| format!("cannot prepare to install {list}"))?;
        let install = [
            &["install", "--yes", "--no-install-recommends"],
            &missing[..],
        ]
        .concat();
        self.run(&step, &install, &log)
            .with_context(|| match unreachable(&log) {
                true => format!(
                    "cannot install {list}: the archive that apt is configured with cannot be reached. Check the network and \
                     the proxy in apt's configuration"
                ),
                false => format!("cannot install {list}"),
            })?;
        let still = (self.missing)();
        if !still.is_empty() {
            bail!(
                "apt-get installed {list}, yet these are still missing: {} (log: {})",
                still.join(" "),
                log.display()
            );
        }
        step.done("");
        Ok(())
    }

    /// Runs apt-get, again and again while another process holds its locks.
    fn run(&self, step: &Step, args: &[&str], log: &Path) -> Result<()> {
        let what = format!("apt-get {}", args.first().unwrap_or(&""));
        let started = Instant::now();
        let mut told = String::new();
        loop {
            let before = fs::metadata(log).map_or(0, |meta| meta.len());
            let Err(error) = process::run(step, &what, (self.apt)().args(args), log) else {
                return Ok(());
            };
            branches::check()?;
            let output = fs::read(log).unwrap_or_default();
            let output = output.get(usize::try_from(before)?..).unwrap_or_default();
            let Some(holder) = holder(&String::from_utf8_lossy(output)) else {
                return Err(error);
            };
            let waited = started.elapsed();
            if waited > self.patience {
                bail!(
                    "{holder} has held apt's lock for {} s. Try again when it has ended (unattended upgrades of a fresh machine \
                     take some minutes); the log is {}",
                    waited.as_secs(),
                    log.display()
                );
            }
            if told != holder {
                step.say(&format!(
                    "waiting for {holder}, which holds apt's lock (at most {} s)",
                    self.patience.as_secs()
                ));
                told = holder;
            }
            thread::sleep(POLL.min(self.patience));
        }
    }
}

/// The machine's apt-get. Its messages are in English: one of them is read.
pub(super) fn apt_get() -> Command {
    let mut command = process::tied("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// How long apt's locks are waited for.
pub(super) const fn patience() -> Duration {
    PATIENCE
}

/// Whether apt could not reach an archive. `apt-get update` ends well all the same, and an installation then knows no package.
fn unreachable(log: &Path) -> bool {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).contains("Failed to fetch")
}

/// The process that holds a lock which apt-get could not get, such as "process 4711 (apt-get)".
fn holder(output: &str) -> Option<String> {
    let line = output
        .lines()
        .find(|line| line.contains("Could not get lock"))?;
    let holder = line
        .split_once("held by ")
        .map(|(_, rest)| rest.split(". ").next().unwrap_or(rest))
        .map(|text| text.trim_end_matches('.').trim().to_owned());
    Some(holder.unwrap_or_else(|| "another process".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use std::path::PathBuf;

    /// An apt-get that fails if another one runs, or while the file `locked` exists, and leaves a file when it has
    /// installed something.
    const APT: &str = r#"
        echo "$1" >>"$DIR/calls"
        if [ -e "$DIR/locked" ] || ! mkdir "$DIR/lock" 2>/dev/null; then
            echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (aptd)"
            exit 100
        fi
        sleep 0.2
        [ "$1" = update ] || touch "$DIR/installed"
        rmdir "$DIR/lock"
    "#;

    struct Machine {
        dir: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn session(&self) -> Session {
            let cache = Cache::at(self.path("cache")).unwrap();
            Session::for_tests(cache, self.dir.path())
        }

        fn install(&self, session: &Session, patience: Duration) -> Result<()> {
            let missing = || match self.path("installed").exists() {
                true => vec![],
                false => vec!["mmdebstrap"],
            };
            let apt = || {
                let mut command = Command::new("sh");
                command.args(["-c", APT, "apt-get"]);
                command.env("DIR", self.dir.path());
                command
            };
            Prerequisites {
                missing: &missing,
                apt: &apt,
                patience,
            }
            .install(session)
        }

        fn calls(&self) -> String {
            fs::read_to_string(self.path("calls")).unwrap_or_default()
        }
    }

    #[test]
    fn two_preparations_at_the_same_moment_install_once() {
        let machine = Machine::new();
        // Two branches of one run, and two runs.
        let (one, two) = (machine.session(), machine.session());
        thread::scope(|scope| {
            let all: Vec<_> = [&one, &one, &two]
                .map(|session| scope.spawn(|| machine.install(session, Duration::ZERO)))
                .into_iter()
                .collect();
            for each in all {
                each.join().unwrap().unwrap();
            }
        });
        assert_eq!(machine.calls(), "update\ninstall\n");
    }

    #[test]
    fn a_lock_that_somebody_else_holds_is_waited_for() {
        let machine = Machine::new();
        fs::write(machine.path("locked"), "").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(700));
                fs::remove_file(machine.path("locked")).unwrap();
            });
            machine
                .install(&machine.session(), Duration::from_secs(30))
                .unwrap();
        });
        assert!(machine.calls().starts_with("update\nupdate\n"));
    }

    #[test]
    fn a_lock_that_is_never_given_back_ends_in_the_holders_name() {
        let machine = Machine::new();
        fs::write(machine.path("locked"), "").unwrap();
        let failed = machine.install(&machine.session(), Duration::from_millis(100));
        let text = format!("{:#}", failed.unwrap_err());
        assert!(
            text.contains("process 4711 (aptd)") && text.contains("lock"),
            "{text}"
        );
        assert!(!machine.path("installed").exists());
    }

    #[test]
    fn an_archive_that_cannot_be_reached_is_told_from_a_missing_package() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let missing = "E: Unable to locate package mmdebstrap\n";
        fs::write(&log, missing).unwrap();
        assert!(!unreachable(&log));
        let failed = "W: Failed to fetch http://mirror/dists/trixie/InRelease  Temporary failure resolving 'mirror'\n";
        fs::write(&log, format!("{failed}{missing}")).unwrap();
        assert!(unreachable(&log));
    }

    #[test]
    fn other_failures_of_apt_are_not_waited_for() {
        assert_eq!(holder("E: Unable to locate package nonesuch"), None);
        let old = "E: Could not get lock /var/lib/dpkg/lock - open (11: Resource temporarily unavailable)";
        assert_eq!(holder(old).as_deref(), Some("another process"));
    }
}
