// SPDX-License-Identifier: GPL-2.0

//! The kernel as dom0's.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use kbuild::{Images, Session};

use super::deadline::Deadline;
use super::{Ending, Options, RunReport, Sink, is_hang, machine_console, place};
use crate::attempts::MAX_RUNS;
use crate::health::Lost;
use crate::host::Host;
use crate::machine::{Machine, Root};

/// What the console says if it is dom0's kernel that has ended, and not the hypervisor.
const DOM0_DIED: [&str; 3] = [
    "Kernel panic - not syncing",
    "Hardware Dom0 crashed",
    "Hardware Dom0 halted",
];

/// What dom0's initramfs (kbuild/src/image/files/dom0-initrd) says before it switches the machine off.
const INITRAMFS_FAILS: [&str; 3] = [
    "dom0 finds no disks",
    "dom0's root disk cannot be mounted",
    "dom0's payload disk cannot be mounted",
];

/// Boots the machine and runs the command in dom0. A dom0 that is lost by a triple fault before it answers is booted again:
/// the emulator can be the cause.
pub fn run(
    session: &Session,
    images: &Images,
    options: &Options,
    dir: &Path,
    sink: &mut Sink<'_>,
) -> Result<RunReport> {
    let mut run = 1;
    loop {
        let step = session.ui.step(format!("Booting {}", options.topology));
        let machine = Machine::start(images, &options.topology, dir, Root::Temporary)?;
        let deadline = Deadline::start(options.timeout, machine.health());
        let report = |ending| RunReport {
            ending,
            boot: None,
            command: Duration::ZERO,
            complaints: vec![],
            console: machine_console(dir),
        };
        match Host::booted(machine, &options.topology) {
            Ok(host) => {
                step.done(&format!("dom0 runs {}", host.kernel));
                return in_dom0(&host, options, &deadline, report, sink);
            }
            Err(_) if deadline.is_over() => return Ok(report(Ending::TimedOut)),
            Err(error) if is_lost(&error) && run < MAX_RUNS => {
                session.ui.line(&format!("    note: {error:#}; once more"));
                run += 1;
            }
            Err(error) => {
                let console = fs::read(machine_console(dir)).unwrap_or_default();
                return match gave_up(&String::from_utf8_lossy(&console)) {
                    Some(why) => Ok(report(Ending::Died(why))),
                    None => died(error).map(report),
                };
            }
        }
    }
}

fn in_dom0(
    host: &Host,
    options: &Options,
    deadline: &Deadline,
    report: impl Fn(Ending) -> RunReport,
    sink: &mut Sink<'_>,
) -> Result<RunReport> {
    let started = Instant::now();
    let result = place::run_in(host.dom0(), options, &[], "bash", sink);
    let ending = match result {
        Ok(exit) => Ending::Ended(exit),
        Err(_) if deadline.is_over() => Ending::TimedOut,
        Err(error) => {
            let why = host.health().death().unwrap_or_default();
            died(error.context(why)).context("the machine has failed")?
        }
    };
    Ok(RunReport {
        boot: Some(host.boot_time),
        command: started.elapsed(),
        complaints: host.health().take_complaints(),
        ..report(ending)
    })
}

fn is_lost(error: &Error) -> bool {
    error.is::<Lost>()
}

/// Why dom0's initramfs has given up, if it has: the kernel runs, but finds no disks or cannot use them.
fn gave_up(console: &str) -> Option<String> {
    let said = |line: &str| {
        line.split_once("paravane: ")
            .map(|(_, said)| said.trim().to_owned())
    };
    let is_failure = |said: &String| INITRAMFS_FAILS.contains(&said.as_str());
    console.lines().filter_map(said).find(is_failure)
}

/// Why dom0 does not answer; the error itself if that is not its kernel's fault.
fn died(error: Error) -> Result<Ending> {
    let text = format!("{error:#}");
    let is_dom0s = DOM0_DIED.iter().any(|mark| text.contains(mark));
    match is_dom0s || is_hang(&error) || is_lost(&error) {
        true => Ok(Ending::Died(text)),
        false => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::TimedOut;
    use anyhow::anyhow;

    #[test]
    fn only_what_the_kernel_did_is_an_ending() {
        let panic = anyhow!("Xen or dom0 died: [ 1.0] Kernel panic - not syncing: x")
            .context("see the log");
        assert!(matches!(died(panic), Ok(Ending::Died(_))));
        let hang =
            Error::from(TimedOut("dom0 did not answer".into())).context("it did not come up");
        assert!(matches!(died(hang), Ok(Ending::Died(_))));
        assert!(died(anyhow!("Xen or dom0 died: (XEN) Panic on CPU 0:")).is_err());
        assert!(died(anyhow!("QEMU ended (ended with status 1)")).is_err());
    }

    #[test]
    fn an_initramfs_that_gives_up_says_why() {
        let initramfs = include_str!("../../../kbuild/src/image/files/dom0-initrd");
        for said in INITRAMFS_FAILS {
            assert!(
                initramfs.contains(said),
                "the initramfs does not say {said:?}"
            );
            let console = format!(
                "[ 1.0] EXT4-fs (vda): x\r\nparavane: {said}\r\n[ 2.0] reboot: Power down\n"
            );
            assert_eq!(gave_up(&console).as_deref(), Some(said));
        }
        assert_eq!(gave_up("paravane: 9.1 dom0 runs 6.12\n"), None);
    }
}
