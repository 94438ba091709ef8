// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask clean`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use kbuild::cache::Listed;
use kbuild::{Session, fsutil};

use crate::cli::Clean;

/// How long an entry must have been unused for `--unused` to take it.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Shows the cache, and removes what was asked for.
pub fn run(session: &Session, args: &Clean) -> Result<ExitCode> {
    let mut listed = session.cache.list()?;
    listed.retain(|entry| !entry.path.is_symlink());
    listed.sort_by_key(|entry| std::cmp::Reverse(entry.bytes));
    println!("The cache is {}", session.cache.root().display());
    let (mut total, mut freed) = (0, 0);
    let mut code = ExitCode::SUCCESS;
    for entry in &listed {
        total += entry.bytes;
        let age = age_of(entry);
        let take = args.all
            || args.unused && age.is_some_and(|age| age > WEEK)
            || args.unused && entry.kind == ".tmp";
        let when = age.map_or(String::new(), |age| {
            format!(", used {} ago", human_age(age))
        });
        let line = format!(
            "{:>8}  {}/{}{when}",
            fsutil::human(entry.bytes),
            entry.kind,
            entry.name
        );
        if !take {
            // Small state (package lists, answers, logs) would hide what matters.
            if entry.bytes > 1_000_000 {
                println!("{line}");
            }
            continue;
        }
        match session.cache.remove(entry) {
            Ok(()) => {
                freed += entry.bytes;
                println!("{line}: removed");
            }
            Err(error) => {
                println!("{line}: kept, {error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    println!("{:>8}  in all", fsutil::human(total));
    if args.all || args.unused {
        println!("{:>8}  freed", fsutil::human(freed));
    } else {
        println!(
            "Nothing was removed. `--unused` removes what no run has used for a week, `--all` everything."
        );
    }
    Ok(code)
}

fn age_of(entry: &Listed) -> Option<Duration> {
    let changed = || entry.path.metadata().and_then(|meta| meta.modified()).ok();
    SystemTime::now()
        .duration_since(entry.used.or_else(changed)?)
        .ok()
}

fn human_age(age: Duration) -> String {
    match age.as_secs() {
        secs if secs < 3600 => format!("{} min", secs / 60),
        secs if secs < 48 * 3600 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}
