// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask fuzz`: the targets of tests/fuzz under libFuzzer.

mod binaries;
mod finding;
mod output;
mod record;
mod round;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kbuild::{Sandbox, Session};

use crate::cli::Fuzz;
use binaries::Binaries;
use record::Record;
use round::Round;

/// A file for each target, named after it, in the work tree.
const TARGETS: &str = "tests/fuzz/fuzz_targets";

/// The least time for which a target runs.
const LEAST: Duration = Duration::from_secs(1);

/// Lists the targets, or runs them.
pub fn run(session: &Session, args: &Fuzz) -> Result<ExitCode> {
    let names = chosen(&targets(session)?, &args.targets)?;
    if args.list {
        let record = Record::read(&record_file(session)?)?;
        for name in names {
            println!("{name:16} {:>17}", round::grouped(record.of(&name)));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let profile = session.config.profile(None)?;
    let sandbox = Sandbox::open(session, session.config.suite(&profile.suite)?)?;
    let jobs = args.jobs.map_or_else(|| session.jobs(), usize::from);
    let time = share(args.time, names.len(), jobs);
    let ended = targets_for(session, &sandbox, &names, time, jobs)?;
    let record = Record::read(&record_file(session)?)?;
    print!("{}", round::table(&ended, &record));
    Ok(match round::findings(&ended) {
        None => ExitCode::SUCCESS,
        Some(findings) => {
            println!(
                "\n{findings}These inputs are tests now: `cargo test -p xen-fuzz --test regressions` fails until \
                 what they show is mended."
            );
            ExitCode::FAILURE
        }
    })
}

/// Runs every target for a moment.
///
/// # Errors
///
/// If an input breaks a promise.
pub fn briefly(session: &Session, sandbox: &Sandbox, time: Duration) -> Result<()> {
    let names = targets(session)?;
    let ended = targets_for(session, sandbox, &names, time, session.jobs())?;
    if let Some(findings) = round::findings(&ended) {
        bail!("{findings}");
    }
    // A target that is not instrumented runs, and covers nothing.
    for (name, ended) in &ended {
        ensure!(ended.progress.edges > 0, "{name} covered nothing");
    }
    Ok(())
}

/// Builds the targets and runs each for a time. What they ran is recorded, whatever an interrupt leaves out.
fn targets_for(
    session: &Session,
    sandbox: &Sandbox,
    names: &[String],
    time: Duration,
    jobs: usize,
) -> Result<Vec<(String, round::Ended)>> {
    let _lock = session.cache.lock("fuzz")?;
    let round = Round {
        session,
        binaries: Binaries::build(session, sandbox)?,
        folder: session.cache.state_dir("fuzz")?,
        time,
        record: Mutex::new(record_file(session)?),
    };
    round.run(names, jobs)
}

/// Where it is recorded how many inputs were run.
fn record_file(session: &Session) -> Result<PathBuf> {
    Ok(session.cache.state_dir("fuzz")?.join("inputs.toml"))
}

/// The targets of the work tree, in the order of their names.
fn targets(session: &Session) -> Result<Vec<String>> {
    let folder = session.workspace().join(TARGETS);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_stem().context("a file without a name")?;
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Those of all targets that are asked for; all if none is.
fn chosen(all: &[String], asked: &[String]) -> Result<Vec<String>> {
    for name in asked {
        ensure!(
            all.contains(name),
            "there is no target {name}; there are {}",
            all.join(", ")
        );
    }
    let is_chosen = |name: &&String| asked.is_empty() || asked.contains(name);
    Ok(all.iter().filter(is_chosen).cloned().collect())
}

/// A target's share of a time in which `jobs` of `count` run side by side.
fn share(time: Duration, count: usize, jobs: usize) -> Duration {
    let turns = count.div_ceil(jobs.max(1));
    let turns = u32::try_from(turns).unwrap_or(u32::MAX).max(1);
    (time / turns).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_share_the_time() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!(share(minutes(60), 20, 2), minutes(6));
        assert_eq!(share(minutes(10), 1, 8), minutes(10));
        assert_eq!(share(minutes(3), 3, 2), minutes(3) / 2);
        assert_eq!(share(Duration::from_secs(2), 20, 1), LEAST);
    }

    #[test]
    fn unknown_targets_are_refused_and_none_is_all() {
        let all = ["a", "b"].map(str::to_owned);
        assert_eq!(chosen(&all, &[]).unwrap(), all);
        assert_eq!(chosen(&all, &["b".to_owned()]).unwrap(), ["b"]);
        let error = chosen(&all, &["c".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("there are a, b"), "{error}");
    }
}
