// SPDX-License-Identifier: GPL-2.0

//! The packages' version, which must grow from one to the next.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// When the sources of an installed program were changed, as seconds of Unix time: it keeps no times.
const CARRIED: u64 = 1_577_836_800;

/// A version and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeVersion {
    /// As the packages have it.
    pub text: String,
    /// As a changelog has it.
    pub date: String,
}

/// The version of a work tree: with the time of its last commit if it is a clone. Changes that are not committed change
/// nothing in it.
pub fn of_tree(workspace: &Path) -> Result<TreeVersion> {
    let mut git = Command::new("git");
    git.arg("-C").arg(workspace);
    git.args(["log", "-1", "--format=%ct"]);
    let is_clone = workspace.join(".git").exists();
    let committed = is_clone.then(|| process::output("asking git for the last commit", &mut git));
    match committed {
        Some(Ok(seconds)) => at(
            seconds.trim().parse().context("git names no time")?,
            |time| format!("{}+git{time}", env!("CARGO_PKG_VERSION")),
        ),
        _ => at(CARRIED, |_| env!("CARGO_PKG_VERSION").to_owned()),
    }
}

/// `text` gets the time as `YYYYMMDDHHMMSS`, in UTC.
fn at(seconds: u64, text: impl FnOnce(&str) -> String) -> Result<TreeVersion> {
    let date = |format: &str| {
        let mut date = Command::new("date");
        date.env("LC_ALL", "C.UTF-8");
        date.args(["--utc", "--date", &format!("@{seconds}"), format]);
        Ok::<_, anyhow::Error>(
            process::output("writing a date", &mut date)?
                .trim()
                .to_owned(),
        )
    };
    Ok(TreeVersion {
        text: text(&date("+%Y%m%d%H%M%S")?),
        date: date("+%a, %d %b %Y %H:%M:%S +0000")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_git_has_the_version_of_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let version = of_tree(dir.path()).unwrap();
        assert_eq!(version.text, env!("CARGO_PKG_VERSION"));
        assert_eq!(version.date, "Wed, 01 Jan 2020 00:00:00 +0000");
    }

    #[test]
    fn a_later_commit_has_a_greater_version() {
        let of = |seconds| at(seconds, |time| format!("1+git{time}")).unwrap().text;
        assert_eq!(of(1_795_168_800), "1+git20261120100000");
        assert!(crate::version::Version::new(of(9)) < crate::version::Version::new(of(100)));
    }
}
