// SPDX-License-Identifier: GPL-2.0

//! The exit status of `run`, by which scripts and `git bisect run` know what happened.

use vmtest::run::{Ending, Exit};

/// Nothing was learnt of the kernel: what `git bisect run` skips.
pub const CANNOT_TEST: u8 = 125;

/// The time was over, as timeout(1) says it.
pub const TIMED_OUT: u8 = 124;

/// The kernel failed, as virtme-ng says it.
pub const DIED: u8 = 255;

/// A command that was ended by a signal, as shells say it: this and the signal's number.
const SIGNAL: u8 = 128;

/// `git bisect run` gives up at this status and above.
const GIVES_UP: u8 = 128;

/// The status for how a run ended. With `bisect` the largest is 127.
pub fn of(ending: &Ending, bisect: bool) -> u8 {
    let status = match ending {
        Ending::Ended(Exit::Code(code)) => *code,
        Ending::Ended(Exit::Signal(signal)) => SIGNAL.saturating_add(*signal),
        Ending::Ended(Exit::TimedOut) | Ending::TimedOut => TIMED_OUT,
        Ending::Died(_) => DIED,
    };
    match bisect && status >= GIVES_UP {
        true => 1,
        false => status,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_commands_status_is_its_own() {
        for code in [0, 1, 4, 124, 125, 126, 127] {
            let ending = Ending::Ended(Exit::Code(code));
            assert_eq!((of(&ending, false), of(&ending, true)), (code, code));
        }
        let killed = Ending::Ended(Exit::Signal(9));
        assert_eq!((of(&killed, false), of(&killed, true)), (137, 1));
    }

    #[test]
    fn the_kernels_end_is_bad_and_never_ends_a_bisection() {
        let died = Ending::Died("panic".into());
        assert_eq!((of(&died, false), of(&died, true)), (255, 1));
        assert_eq!(of(&Ending::Ended(Exit::Code(255)), true), 1);
        assert_eq!(of(&Ending::TimedOut, true), 124);
    }

    /// Runs git in a folder, independently of the user's configuration. Returns whether it succeeded, and what it said.
    fn git(folder: &Path, words: &[&str]) -> (bool, String) {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=x",
                "-c",
                "user.email=x",
                "-c",
                "core.hooksPath=",
            ])
            .args(words)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(folder)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// What `git bisect run` makes of a history's statuses, as its manual has it: the last word of the first bad commit's message.
    fn by_the_manual(statuses: &[u8]) -> Option<String> {
        let mut first_bad = None;
        for (number, status) in statuses.iter().enumerate() {
            match status {
                128.. => return None,
                0 => assert_eq!(first_bad, None, "no history for a bisection"),
                &CANNOT_TEST => {}
                1..=127 => first_bad = first_bad.or(Some(number.to_string())),
            }
        }
        first_bad
    }

    /// A history in which each commit is a kernel's status in place of a build and a run of it; the last word of the first bad
    /// one's message, by `git bisect run`.
    fn bisect(statuses: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let git = |words: &[&str]| git(folder.path(), words);
        assert!(git(&["init", "-q"]).0);
        for (number, status) in statuses.iter().enumerate() {
            fs::write(
                folder.path().join("run"),
                format!("exit {status} # {number}\n"),
            )
            .unwrap();
            assert!(git(&["add", "run"]).0);
            let message = format!("commit {number}");
            let (committed, said) = git(&["commit", "-q", "-m", &message]);
            assert!(committed, "{said}");
        }
        let first = format!("HEAD~{}", statuses.len() - 1);
        assert!(git(&["bisect", "start", "HEAD", &first]).0);
        let (_, said) = git(&["bisect", "run", "sh", "run"]);
        let (_, before) = said
            .split_once("is the first bad commit")
            .unwrap_or_default();
        let message = before
            .lines()
            .find(|line| line.starts_with("    commit "))?;
        message.split(' ').next_back().map(str::to_owned)
    }

    /// Git itself where it is installed, its manual everywhere.
    fn finds(statuses: &[u8], first_bad: Option<&str>) {
        assert_eq!(
            by_the_manual(statuses).as_deref(),
            first_bad,
            "{statuses:?}"
        );
        if kbuild::host::find_program("git").is_some() {
            assert_eq!(bisect(statuses).as_deref(), first_bad, "{statuses:?}");
        }
    }

    #[test]
    fn git_finds_the_first_bad_commit_by_the_statuses_of_bisect() {
        let passed = of(&Ending::Ended(Exit::Code(0)), true);
        let died = || Ending::Died("Kernel panic".into());
        for bad in [
            Ending::Ended(Exit::Code(1)),
            Ending::Ended(Exit::Signal(11)),
            Ending::Ended(Exit::Code(127)),
            Ending::TimedOut,
            died(),
        ] {
            let bad = of(&bad, true);
            // Two in the middle cannot be built.
            let cannot = [CANNOT_TEST; 2];
            let history = [&[passed; 3][..], &cannot, &[passed], &[bad; 4]].concat();
            finds(&history, Some("6"));
        }
        // Without --bisect it gives up where the kernel dies.
        let status = of(&died(), false);
        finds(&[passed, passed, status, status], None);
    }
}
