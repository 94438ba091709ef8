// SPDX-License-Identifier: GPL-2.0

//! The kernel as a guest's.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};
use kbuild::intake::needs::Role;
use kbuild::{Images, Session};

use super::deadline::Deadline;
use super::domain_end::EndWatcher;
use super::guest_devices::NotBroughtUp;
use super::{Ending, Options, RunReport, Sink, guest_devices, is_hang, place};
use crate::attempts::MAX_RUNS;
use crate::fault::{Culprit, Fault};
use crate::guest::{Domain, Guest, Mode};
use crate::host::{Host, Start};

/// The guest's name.
const NAME: &str = "under-test";

/// Mounts the disk with the guest's kernel. Dom0's kernel has read its beginning when the machine booted.
const MOUNT: &str = "blockdev --flushbufs /dev/vdc; mkdir -p /run/guest-kernel && \
    mount -t ext4 -o ro /dev/vdc /run/guest-kernel";

/// How a try ended.
enum Attempt {
    /// As it ended. The domain may be there still.
    Ended(RunReport, Domain),
    /// By a triple fault, before the command had written anything.
    Lost(Fault, RunReport),
}

/// Starts a machine, or has it go on from its snapshot, and runs the command in a guest.
pub fn run(
    session: &Session,
    images: &Images,
    options: &Options,
    dir: &Path,
    sink: &mut Sink<'_>,
) -> Result<RunReport> {
    let step = session.ui.step(format!("Starting {}", options.topology));
    let start = match options.boots {
        true => Start::Boot,
        false => Start::Snapshot,
    };
    let host = Host::start(images, &options.topology, dir, start)?;
    step.done(match host.is_from_snapshot {
        true => "from a snapshot",
        false => "it has booted",
    });
    let step = session.ui.step(format!("Booting the {}", options.role));
    on_host(&host, images, options, &|text| step.say(text), sink)
}

/// Runs the command in a guest of a machine that has [the devices for it](crate::topology::Devices::GuestKernel), which is of no
/// use for another one then.
///
/// # Errors
///
/// If nothing was learnt of the kernel.
pub fn on_host(
    host: &Host,
    images: &Images,
    options: &Options,
    say: &dyn Fn(&str),
    sink: &mut Sink<'_>,
) -> Result<RunReport> {
    host.dom0()
        .sh(MOUNT)
        .context("dom0 cannot read the disk with the kernel")?;
    let guest = guest(options)
        .initramfs("/run/guest-kernel/initrd.cpio")
        .line(&format!(
            "kernel = '/run/guest-kernel/{}'",
            match options.role {
                // The device model wants a bzImage; Xen need not unpack an ELF file.
                Role::HvmGuest => "vmlinuz",
                _ => "vmlinux",
            }
        ));
    let guest = guest_devices::add(host.dom0(), guest, images, options)?;
    let (report, domain) = in_guest(host, &guest, options, say, sink)?;
    // The machine is thrown away now: there is no need to take the guest down before.
    domain.into_iter().for_each(Domain::abandon);
    Ok(report)
}

/// The guest that the options describe, on the machine's own kernel.
pub fn guest(options: &Options) -> Guest {
    let mode = match options.role {
        Role::PvGuest | Role::PvDom0 => Mode::Pv,
        Role::PvhGuest | Role::PvhDom0 => Mode::Pvh,
        Role::HvmGuest => Mode::Hvm,
    };
    Guest::new(NAME, mode)
        .vcpus(options.vcpus)
        .memory(options.memory)
        .args(&options.args)
}

/// Runs the command in a guest of a machine that is up. A guest that is lost by a triple fault before its command has
/// written anything is created again: the emulator can be the cause. Returns the guest, too, if it was not lost.
///
/// `say` gets what there is to tell meanwhile.
///
/// # Errors
///
/// If nothing was learnt of the kernel.
pub fn in_guest(
    host: &Host,
    guest: &Guest,
    options: &Options,
    say: &dyn Fn(&str),
    sink: &mut Sink<'_>,
) -> Result<(RunReport, Option<Domain>)> {
    for run in 1.. {
        match attempt(host, guest, options, say, sink)? {
            Attempt::Ended(report, domain) => return Ok((report, Some(domain))),
            Attempt::Lost(fault, report) if run == MAX_RUNS => {
                if fault.culprit() == Culprit::Emulator {
                    bail!("the guest was lost {run} times; the last time, {fault}");
                }
                return Ok((report, None));
            }
            Attempt::Lost(fault, _) => say(&format!("{fault}; once more")),
        }
    }
    unreachable!("the last run ends the loop")
}

fn attempt(
    host: &Host,
    guest: &Guest,
    options: &Options,
    say: &dyn Fn(&str),
    sink: &mut Sink<'_>,
) -> Result<Attempt> {
    let domain = host.create_stopped(guest)?;
    let _end = EndWatcher::start(host.dom0(), &domain)?;
    let mut report = RunReport {
        ending: Ending::TimedOut,
        boot: None,
        command: Duration::ZERO,
        complaints: vec![],
        console: domain.console().to_owned(),
    };
    let deadline = Deadline::start(options.timeout, domain.health());
    let started = Instant::now();
    let mut has_written = false;
    let result = domain
        .unpause()
        .and_then(|()| host.await_agent(&domain))
        .and_then(|()| {
            let boot = started.elapsed();
            report.boot = Some(boot);
            say(&format!("up after {:.1} s", boot.as_secs_f32()));
            guest_devices::load(&domain, options, guest.disks())?;
            let mut sink = |stream: u8, data: &[u8]| {
                has_written = true;
                sink(stream, data);
            };
            guest_devices::mount_root(&domain, options.root)?;
            let (enter, shell) = guest_devices::enter(options);
            place::run_in(&domain, options, &enter, shell, &mut sink)
        });
    report.command_took(started.elapsed());
    let ended = match result {
        Ok(exit) => Ok(Ending::Ended(exit)),
        Err(_) if deadline.is_over() => Ok(Ending::TimedOut),
        Err(error) => {
            let lost = host.lost_domains();
            let fault = lost.into_iter().find(|fault| fault.domid == domain.domid());
            match fault {
                Some(fault) => {
                    report.ending = Ending::Died(fault.to_string());
                    if !has_written {
                        let _ = domain.destroy();
                        return Ok(Attempt::Lost(fault, report));
                    }
                    if fault.culprit() == Culprit::Emulator {
                        bail!("the guest was lost while its command ran: {fault}");
                    }
                    Ok(report.ending.clone())
                }
                None => died(host, &domain, error),
            }
        }
    };
    report.complaints = host.health().take_complaints();
    report.ending = ended?;
    Ok(Attempt::Ended(report, domain))
}

/// Why a guest does not answer any more; the error itself if that is not the guest's fault.
fn died(host: &Host, domain: &Domain, error: Error) -> Result<Ending> {
    if host.health().check().is_err() {
        return Err(error);
    }
    if let Some(why) = domain.health().death() {
        return Ok(Ending::Died(why));
    }
    if is_hang(&error) || error.is::<NotBroughtUp>() {
        return Ok(Ending::Died(format!("{error:#}")));
    }
    let there = host.dom0().run(&format!("xl domid {}", domain.name()))?;
    match there.succeeded() {
        true => Err(error),
        false => Ok(Ending::Died("the domain has ended".into())),
    }
}
