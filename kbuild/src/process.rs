// SPDX-License-Identifier: GPL-2.0

//! Running commands: output into a log file and onto the step's line; on failure, one error that shows the
//! end of the output and names the log.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::branches::{self, Group};
use crate::ui::Step;

/// How many of the last lines an error shows.
const TAIL: usize = 25;

/// A host command that does not outlive us: the kernel sends it SIGTERM when the thread that started it ends.
///
/// Commands in the sandbox do not need this, bubblewrap does the same for them.
pub fn tied(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--", program]);
    command
}

/// A command that runs. It ends at once when its branch of the work is to end (see [`branches::fork`]).
pub struct Running {
    child: Child,
    group: Option<Group>,
}

impl Running {
    /// Starts a command in a process group of its own. `what` names the work in the error.
    pub fn start(what: &str, command: &mut Command) -> Result<Self> {
        branches::check()?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {program}, needed for {what}"))?;
        let group = Some(Group::of(&child));
        Ok(Self { child, group })
    }

    /// Its standard input, if that was made a pipe; once.
    pub fn stdin(&mut self) -> Result<ChildStdin> {
        self.child.stdin.take().context("no pipe to the command")
    }

    /// Its standard output, if that was made a pipe; once.
    pub fn stdout(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().context("no pipe from the command")
    }

    /// Its standard error, if that was made a pipe; once.
    pub fn stderr(&mut self) -> Result<std::process::ChildStderr> {
        self.child.stderr.take().context("no pipe from the command")
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// [`branches::Stopped`] if it was ended because another branch of the work failed.
    pub fn wait(mut self) -> Result<ExitStatus> {
        let status = self.reap()?;
        if !status.success() {
            branches::check()?;
        }
        Ok(status)
    }

    fn reap(&mut self) -> Result<ExitStatus> {
        drop(self.child.stdin.take());
        if self.group.is_some() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            let pid = pid.context("a process without a number")?;
            // Its number stays its own until the group is out of the list.
            waitid(
                WaitId::Pid(pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            )?;
            self.group = None;
        }
        Ok(self.child.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.group.is_some() {
            // Nobody reads what it has to say any more.
            let _ = self.child.kill();
            let _ = self.reap();
        }
    }
}

/// A readable form of a command, for logs and errors.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words
        .map(|word| {
            let word = word.to_string_lossy();
            if word.is_empty()
                || word.contains(|c: char| c.is_whitespace() || "'\"$|&;<>".contains(c))
            {
                format!("'{}'", word.replace('\'', r"'\''"))
            } else {
                word.into_owned()
            }
        })
        .collect();
    words.join(" ")
}

/// How a command ended, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}

/// Runs a command to its end with output appended to `log` and shown by `step`. `what` names the work in the
/// error, as in "building the modules".
pub fn run(step: &Step, what: &str, command: &mut Command, log: &Path) -> Result<()> {
    run_watched(step, what, command, log, |_| ())
}

/// Like [`run`], calling `watch` for every line of output.
pub fn run_watched(
    step: &Step,
    what: &str,
    command: &mut Command,
    log: &Path,
    mut watch: impl FnMut(&str),
) -> Result<()> {
    let mut log_file = open_log(log)?;
    writeln!(log_file, "$ {}", show(command))?;
    let (reader, writer) = pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let child = Running::start(what, command);
    // `Command` keeps its ends of the pipe; without them closed the reader would never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = child?;

    let mut tail = Tail::default();
    let mut reader = BufReader::new(File::from(reader));
    let mut raw = Vec::new();
    while reader.read_until(b'\n', &mut raw)? > 0 {
        log_file.write_all(&raw)?;
        let text = String::from_utf8_lossy(&raw);
        let line = text
            .trim_end_matches(['\r', '\n'])
            .rsplit('\r')
            .next()
            .unwrap_or_default();
        watch(line);
        step.note(line);
        tail.push(line);
        raw.clear();
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(failure(what, status, &tail.text(), log));
    }
    Ok(())
}

/// Runs a command and returns its standard output; its standard error becomes part of the error.
pub fn output(what: &str, command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}, needed for {what}"))?;
    if !out.status.success() {
        bail!(
            "{what} failed: {program} {}\n{}",
            describe(out.status),
            String::from_utf8_lossy(&out.stderr).trim_end()
        );
    }
    String::from_utf8(out.stdout)
        .with_context(|| format!("{program} printed something that is not text"))
}

/// Whether a command can be started and ends well; its output is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// The error of a command that failed.
pub fn failure(what: &str, status: ExitStatus, tail: &str, log: &Path) -> anyhow::Error {
    let hint = if tail.contains("No space left on device") {
        "\nThe disk is full: free some room (`cargo xtask clean --unused`) or point PARAVANE_CACHE at a larger disk."
    } else {
        ""
    };
    anyhow!(
        "{what} failed: the command {}\n{tail}\nThe whole log: {}{hint}",
        describe(status),
        log.display()
    )
}

/// Opens a log for appending, folders included.
pub fn open_log(log: &Path) -> Result<File> {
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent)?;
    }
    File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write the log {}", log.display()))
}

/// A close-on-exec pipe: reading end, writing end.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("cannot make a pipe")
}

/// The last lines of some output.
#[derive(Default)]
pub struct Tail(std::collections::VecDeque<String>);

impl Tail {
    /// Adds a line, forgetting the oldest one if there are enough.
    pub fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == TAIL {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    /// The lines, indented.
    pub fn text(&self) -> String {
        self.0
            .iter()
            .map(|line| format!("    | {line}"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Ui;

    #[test]
    fn failures_show_the_end_of_the_output_and_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("logs/x.log");
        let step = Ui::new(false).step("test");
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = run(&step, "the test", &mut command, &log)
            .unwrap_err()
            .to_string();
        assert!(error.contains("status 3") && error.contains("| out") && error.contains("| err"));
        assert!(error.contains("x.log"));
        assert!(fs::read_to_string(&log).unwrap().contains("out\n"));
    }

    #[test]
    fn commands_are_shown_quoted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo it's"]);
        assert_eq!(show(&command), r"sh -c 'echo it'\''s'");
    }
}
