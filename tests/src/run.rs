// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask run`: one command on a kernel that is tried, as a guest's or as dom0's, and how that ended.
//!
//! An error from here means that nothing was learnt of the kernel: the machine or the toolstack failed. What the kernel did
//! is an [`Ending`].

mod deadline;
mod dom0;
mod domain_end;
mod guest;
mod guest_devices;
mod place;
mod solo;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Error, Result};
use kbuild::intake::needs::Role;
use kbuild::{Images, Session};

use crate::console::{self, Severity};
use crate::error::TimedOut;
use crate::guest::Driver;
use crate::topology::Topology;

pub use agent::message::Exit;
pub use guest::{guest, in_guest, on_host};
pub use guest_devices::SHARED_MODULES as ROOT_MODULES;

/// How many of a console's last lines are shown when a kernel has died.
const LAST_LINES: usize = 20;

/// How many there may be, if it takes so many to see what it began with. A panic's back trace is 30 lines long.
const MAX_LAST_LINES: usize = 100;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the kernel runs as.
    pub role: Role,
    /// On what it runs.
    pub machine: RunMachine,
    /// The machine, with memory for the guest.
    pub topology: Topology,
    /// Whose drivers: those of a guest's devices, or those behind dom0's device files.
    pub driver: Driver,
    /// A guest's virtual processors.
    pub vcpus: u32,
    /// A guest's memory in MiB.
    pub memory: u32,
    /// The root of a guest's command.
    pub root: RootAt,
    /// The folder in which the command starts, if that is in a [shared](RootAt::Shared) root.
    pub folder: PathBuf,
    /// Whether a guest reaches this machine's network.
    pub network: bool,
    /// Words for the command line of a guest's kernel.
    pub args: String,
    /// Program and arguments, or one text for a shell; empty for a shell.
    pub command: Vec<String>,
    /// How long boot and command may take, by this machine's clock.
    pub timeout: Option<Duration>,
    /// Whether the command reads this program's standard input.
    pub input: bool,
    /// Whether the machine boots although there is a snapshot of it.
    pub boots: bool,
}

/// What a kernel runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMachine {
    /// A hypervisor with a dom0, as [`Options::topology`] says.
    Hypervisor,
    /// QEMU's own Xen interface, by KVM; no dom0.
    QemuXen,
}

/// Where the root of a guest's command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootAt {
    /// In memory: the guest's own.
    Initramfs,
    /// On the guest's first disk, with the file system of this module.
    Disk(&'static str),
    /// In a folder of this machine ([`Images::shared_folder`]), below an overlay in the guest's memory.
    Shared,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The command ended.
    Ended(Exit),
    /// The kernel died, ended, or hangs; why.
    Died(String),
    /// The time was over.
    TimedOut,
}

/// What there is to tell of a run.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// How it ended.
    pub ending: Ending,
    /// How long the kernel took until a command could be run; none if it never came to that.
    pub boot: Option<Duration>,
    /// How long the command took.
    pub command: Duration,
    /// What kernels complained about.
    pub complaints: Vec<String>,
    /// The console of the kernel that was tried.
    pub console: PathBuf,
}

impl RunReport {
    /// Notes how long the command took, of all the time since the start: nothing if none was run.
    fn command_took(&mut self, since_start: Duration) {
        self.command = self
            .boot
            .map_or(Duration::ZERO, |boot| since_start.saturating_sub(boot));
    }
}

/// Takes what a command writes, with the number of the stream: 1 or 2.
pub type Sink<'s> = dyn FnMut(u8, &[u8]) + 's;

/// Starts a machine and runs the command.
///
/// # Errors
///
/// If nothing was learnt of the kernel.
pub fn run(
    session: &Session,
    images: &Images,
    options: &Options,
    sink: &mut Sink<'_>,
) -> Result<RunReport> {
    let dir = session.logs().join("run");
    match options.machine {
        RunMachine::QemuXen => solo::run(session, images, options, &dir, sink),
        RunMachine::Hypervisor if options.role.is_dom0() => {
            dom0::run(session, images, options, &dir, sink)
        }
        RunMachine::Hypervisor => guest::run(session, images, options, &dir, sink),
    }
}

impl RunReport {
    /// The last lines of the kernel's console: those from where it began to complain, if that was lately.
    pub fn last_lines(&self) -> Vec<String> {
        let text = fs::read(&self.console).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&text))
    }
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let late = lines.len().saturating_sub(MAX_LAST_LINES);
    let complaint = lines[late..]
        .iter()
        .position(|line| console::judge(line) != Severity::Fine)
        .map(|index| late + index);
    let from = lines.len().saturating_sub(LAST_LINES);
    let from = complaint.map_or(from, |line| line.min(from));
    lines[from..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

/// Whether an error says that something did not answer or come up in time.
fn is_hang(error: &Error) -> bool {
    error.chain().any(|cause| cause.is::<TimedOut>())
}

/// Where a machine's console is.
fn machine_console(dir: &Path) -> PathBuf {
    dir.join("xen-and-dom0.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_was_not_run_took_no_time() {
        let mut report = RunReport {
            ending: Ending::TimedOut,
            boot: None,
            command: Duration::MAX,
            complaints: vec![],
            console: PathBuf::new(),
        };
        let since_start = Duration::from_secs(9);
        report.command_took(since_start);
        assert_eq!(report.command, Duration::ZERO);
        report.boot = Some(Duration::from_secs(8));
        report.command_took(since_start);
        assert_eq!(report.command, Duration::from_secs(1));
    }

    #[test]
    fn last_lines_begin_where_the_kernel_complained() {
        let quiet = (0..200).map(|n| format!("line {n}\r\n"));
        let quiet = quiet.collect::<Vec<_>>().concat();
        let lines = last_lines(&quiet);
        assert_eq!(lines.len(), LAST_LINES);
        assert_eq!(lines.last().unwrap(), "line 199");

        let trace = " ? caller+0x1/0x2\n".repeat(40);
        let panic = "[ 9.1] Kernel panic - not syncing: sysrq triggered crash";
        let lines = last_lines(&format!("{quiet}{panic}\n{trace}"));
        assert_eq!(lines[0], panic);
        assert_eq!(lines.len(), 41);

        // One of long ago has nothing to do with the end.
        assert_eq!(last_lines(&format!("{panic}\n{quiet}")).len(), LAST_LINES);
        // One within the last few lines does not make them fewer.
        let lines = last_lines(&format!("{quiet}{panic}\n"));
        assert_eq!(lines.len(), LAST_LINES);
        assert_eq!(last_lines(""), Vec::<String>::new());
    }
}
