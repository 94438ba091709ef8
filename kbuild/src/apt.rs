// SPDX-License-Identifier: GPL-2.0

//! Asking the archive what it offers, and downloading it: the machine's own apt with a private state folder,
//! so that the machine's package lists and configuration stay as they are. apt verifies every signature.

mod package;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::digest::Digest;
use crate::fsutil;
use crate::mirror::Mirrors;
use crate::process;
use crate::session::Session;
use crate::suite::Suite;
use crate::ui::Step;
use crate::version::Version;

pub use package::Package;
use package::{parse_record, planned, records_of};

/// How old the package lists may be before the archive is asked again.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// One suite of the archive.
pub struct Apt<'s> {
    session: &'s Session,
    suite: Suite,
    state: PathBuf,
    sources: Vec<String>,
}

impl<'s> Apt<'s> {
    /// Opens a suite; no network is used before [`Apt::update`] or [`Apt::download`].
    pub fn new(session: &'s Session, suite: &Suite) -> Result<Self> {
        let mirrors = Mirrors::detect(session.options.mirror.as_deref())?;
        let sources = suite.sources(&mirrors)?;
        let key = Digest::new("apt", 1)
            .with_all("source", &sources)
            .with("prefs", suite.preferences());
        let state = session
            .cache
            .state_dir("apt")?
            .join(format!("{}-{}", suite.name, key.hex()));
        fs::create_dir_all(state.join("lists/partial"))?;
        fs::create_dir_all(state.join("cache/archives/partial"))?;
        fsutil::write_if_changed(&state.join("status"), b"")?;
        fsutil::write_if_changed(
            &state.join("sources.list"),
            (sources.join("\n") + "\n").as_bytes(),
        )?;
        fsutil::write_if_changed(&state.join("preferences"), suite.preferences().as_bytes())?;
        Ok(Self {
            session,
            suite: suite.clone(),
            state,
            sources,
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = process::tied(program);
        let state = self.state.display();
        for option in [
            format!("Dir::State={state}"),
            format!("Dir::State::lists={state}/lists"),
            format!("Dir::State::status={state}/status"),
            format!("Dir::Cache={state}/cache"),
            format!("Dir::Etc::sourcelist={state}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".into(),
            format!("Dir::Etc::preferences={state}/preferences"),
            "Dir::Etc::preferencesparts=/dev/null".into(),
            "APT::Architecture=amd64".into(),
            "APT::Architectures::=amd64".into(),
            // The cache may be where the user `_apt` may not go.
            "APT::Sandbox::User=root".into(),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Acquire::Retries=3".into(),
            "Acquire::http::Timeout=30".into(),
        ] {
            command.arg("-o").arg(option);
        }
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    /// Brings the package lists up to date if they are older than a day or `--refresh` was given.
    ///
    /// When the archive cannot be reached but older lists exist, those are used, with a note on the terminal.
    pub fn update(&self) -> Result<()> {
        let _lock = self
            .session
            .cache
            .lock(&format!("apt.{}", fsutil::name(&self.state)))?;
        let stamp = self.state.join("updated");
        let age = fs::metadata(&stamp)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age < FRESH) && !self.session.options.refresh {
            return Ok(());
        }
        let step = self.session.ui.step(format!(
            "Asking the archive what it offers ({})",
            self.suite.name
        ));
        let log = self.session.log(&format!("apt-update-{}", self.suite.name));
        let mut command = self.command("apt-get");
        command.args(["update", "-o", "APT::Update::Error-Mode=any"]);
        match process::run(
            &step,
            "reading the archive's package lists",
            &mut command,
            &log,
        ) {
            Ok(()) => {
                fs::write(stamp, self.sources.join("\n"))?;
                step.done("");
                Ok(())
            }
            Err(error) if age.is_some() => {
                drop(step);
                self.session.ui.line(&format!(
                    "    note: the archive cannot be read now, package lists of {} h ago are used (log: {})",
                    age.unwrap_or_default().as_secs() / 3600,
                    log.display()
                ));
                let _ = error;
                Ok(())
            }
            Err(error) => {
                let text = fs::read_to_string(&log).unwrap_or_default();
                Err(match hint(&text) {
                    Some(hint) => error.context(hint),
                    None => error.context(
                        "the Debian archive cannot be read: check the network, the proxy in apt's configuration, or name \
                         another mirror with --mirror URI",
                    ),
                })
            }
        }
    }

    /// All versions of all packages whose names begin with `prefix`, newest first for each name.
    pub fn offered(&self, prefix: &str) -> Result<Vec<Package>> {
        let names = process::output(
            "reading package names",
            self.command("apt-cache").args(["pkgnames", prefix]),
        )?;
        let mut names: Vec<_> = names.lines().collect();
        names.sort_unstable();
        if names.is_empty() {
            return Ok(vec![]);
        }
        // Virtual packages have names but no record; `show` then fails unless some other name has one.
        let mut command = self.command("apt-cache");
        command.arg("show").args(&names);
        let Ok(text) = process::output("reading package records", &mut command) else {
            return Ok(vec![]);
        };
        let mut packages: Vec<_> = text.split("\n\n").filter_map(parse_record).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| b.version.cmp(&a.version)));
        packages.dedup();
        Ok(packages)
    }

    /// One package in one version, or its newest one.
    pub fn package(&self, name: &str, version: Option<&Version>) -> Result<Package> {
        let all = self.offered(name)?;
        let mut exact = all.into_iter().filter(|p| p.name == name);
        let found = match version {
            Some(version) => exact.find(|p| p.version == *version),
            None => exact.next(),
        };
        found.with_context(|| {
            let version = version.map_or(String::new(), |v| format!(" {v}"));
            format!(
                "the archive (suite {}) has no package {name}{version}; mirrors in between updates do that for some \
                 minutes, `--refresh` asks again",
                self.suite.name
            )
        })
    }

    /// The version that an installation would take, backports' preferences included.
    pub fn candidate(&self, name: &str) -> Result<Version> {
        let mut command = self.command("apt-cache");
        let policy = process::output("reading package versions", command.args(["policy", name]))?;
        let version = policy
            .lines()
            .find_map(|line| line.trim().strip_prefix("Candidate: "));
        match version {
            Some(version) if version != "(none)" => Ok(Version::new(version)),
            _ => bail!(
                "the archive (suite {}) has no package {name}",
                self.suite.name
            ),
        }
    }

    /// Packages and what they depend on, in the versions that an installation would take.
    pub fn with_dependencies(&self, names: &[String]) -> Result<Vec<Package>> {
        let mut install = self.command("apt-get");
        install.args(["--simulate", "--no-install-recommends", "install"]);
        let plan = process::output("asking apt for dependencies", install.args(names))?;
        let planned: Vec<_> = planned(&plan).collect();
        let mut show = self.command("apt-cache");
        show.arg("show").args(&planned);
        let text = process::output("reading package records", &mut show)?;
        records_of(&planned, &text)
    }

    /// Downloads packages into a folder and returns their files, in order.
    pub fn download_into(
        &self,
        step: &Step,
        packages: &[Package],
        folder: &Path,
    ) -> Result<Vec<PathBuf>> {
        let bytes: u64 = packages.iter().map(|package| package.size).sum();
        fsutil::require_space(folder, bytes + (64 << 20))?;
        self.fetch(step, packages, folder)?;
        let files = fsutil::read_dir_sorted(folder)?;
        let file = |package: &Package| {
            let start = format!("{}_", package.name);
            let found = files
                .iter()
                .find(|path| fsutil::name(path).starts_with(&start));
            found
                .cloned()
                .with_context(|| format!("apt downloaded no file for {}", package.name))
        };
        packages.iter().map(file).collect()
    }

    /// Has apt download packages into a folder, under names of its own.
    fn fetch(&self, step: &Step, packages: &[Package], folder: &Path) -> Result<()> {
        let named = packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.version));
        let named: Vec<_> = named.collect();
        let mut command = self.command("apt-get");
        command.arg("download").current_dir(folder).args(&named);
        let log = self.session.log("download");
        process::run(step, "downloading packages", &mut command, &log).with_context(|| {
            format!(
                "the archive did not give us {}. If it replaced that version by a newer one, `--refresh` finds the newer one",
                named.join(", ")
            )
        })
    }

    /// Downloads packages and returns their files, in order. Files already here are not asked for again.
    pub fn download(&self, packages: &[Package]) -> Result<Vec<PathBuf>> {
        let store = self.session.cache.state_dir("debs")?;
        let _lock = self.session.cache.lock("debs")?;
        let wanted: Vec<_> = packages
            .iter()
            .filter(|p| !store.join(p.stored_name()).exists())
            .collect();
        if !wanted.is_empty() {
            let bytes: u64 = wanted.iter().map(|p| p.size).sum();
            let title = match wanted.as_slice() {
                [one] => format!("Downloading {}", one.name),
                many => format!("Downloading {} packages", many.len()),
            };
            let step = self
                .session
                .ui
                .step(format!("{title} ({})", fsutil::human(bytes)));
            // We hold the lock: a folder here was left by a run that was killed.
            for path in fsutil::read_dir_sorted(&store)?
                .iter()
                .filter(|path| path.is_dir())
            {
                fsutil::remove_all(path)?;
            }
            let partial = tempfile::tempdir_in(&store)?;
            let wanted: Vec<Package> = wanted.into_iter().cloned().collect();
            let files = self.download_into(&step, &wanted, partial.path())?;
            for (package, file) in wanted.iter().zip(files) {
                fs::rename(file, store.join(package.stored_name()))?;
            }
            step.done("");
        }
        Ok(packages
            .iter()
            .map(|p| store.join(p.stored_name()))
            .collect())
    }
}

/// What this machine's administrator decided about reaching archives (proxies, certificates, whether lists may
/// be out of date), as lines for an apt that does not read this machine's configuration.
pub fn machine_options() -> Vec<String> {
    let mut dump = Command::new("apt-config");
    match process::output("reading apt's configuration", dump.arg("dump")) {
        Ok(dump) => machine_options_in(&dump),
        Err(_) => vec![],
    }
}

fn machine_options_in(dump: &str) -> Vec<String> {
    let wanted = |line: &&str| {
        let lower = line.to_ascii_lowercase();
        let about = ["proxy", "cainfo", "check-valid-until", "check-date"];
        lower.starts_with("acquire::") && about.iter().any(|word| lower.contains(word))
    };
    dump.lines()
        .filter(wanted)
        .map(|line| line.trim_end_matches(';').to_owned())
        .collect()
}

/// What to do about a failure of apt, if its output tells.
pub fn hint(output: &str) -> Option<&'static str> {
    if output.contains("NO_PUBKEY")
        || output.contains("not signed")
        || output.contains("Missing key")
    {
        Some(
            "the archive's signature cannot be verified: this machine's debian-archive-keyring is too old. As root: \
             apt-get update && apt-get install debian-archive-keyring",
        )
    } else if output.contains("Could not resolve") || output.contains("Temporary failure resolving")
    {
        Some(
            "the mirror's name cannot be resolved: check the network, or name another mirror with --mirror URI",
        )
    } else if output.contains("No space left on device") {
        Some("the disk is full: free some room, or point PARAVANE_CACHE at a larger disk")
    } else if output.contains("newuidmap") || output.contains("subuid") {
        Some(
            "user namespaces with many ids are not set up for this user. As root: apt-get install uidmap, and give the \
             user a line in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER)",
        )
    } else if output.contains("is not valid yet") || output.contains("is expired") {
        Some(
            "the archive's lists are out of their time of validity: check this machine's clock. For a mirror that stands still \
             on purpose, set Acquire::Check-Valid-Until \"false\" in this machine's apt configuration",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_administrators_decisions_are_kept() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::http::Proxy \"http://p:3128\";\n\
            Acquire::Check-Valid-Until \"false\";\nAcquire::Languages \"\";\n";
        assert_eq!(
            machine_options_in(dump),
            [
                "Acquire::http::Proxy \"http://p:3128\"",
                "Acquire::Check-Valid-Until \"false\""
            ]
        );
    }

    #[test]
    fn known_failures_have_advice() {
        assert!(
            hint("W: GPG error: NO_PUBKEY 6ED0E7B82643E131")
                .unwrap()
                .contains("keyring")
        );
        assert!(hint("all is well").is_none());
    }
}
