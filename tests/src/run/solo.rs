// SPDX-License-Identifier: GPL-2.0

//! The kernel as the only guest of a machine without dom0: QEMU boots it, and its command arrives through a virtio port.
//!
//! So far there is QEMU's own Xen interface (docs/system/i386/xen.rst in QEMU), which only KVM has. No machine that can run it
//! was at hand: the command line is tested, and what it takes to get there; a run was not seen.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use agent::PORT;
use anyhow::{Context, Result, bail};
use kbuild::{Images, Session};

use super::deadline::Deadline;
use super::guest_devices::{self, NotBroughtUp};
use super::{Ending, Options, RootAt, RunReport, Sink, is_hang, place};
use crate::console::{Judge, Watcher};
use crate::health::Health;
use crate::host::{GUEST_LIMIT, GUEST_SILENCE};
use crate::machine::{BARE, JUDGED_EVERY, MITIGATIONS, SOCKET_LIMIT, connect};
use crate::nic;
use crate::pace::Pace;
use crate::remote::Place;

/// The version of Xen that the guest finds: 4.17, as QEMU's documentation has it. Its high half is the major one.
const XEN_VERSION: u32 = 4 << 16 | 17;

/// The console's log, in the machine's folder.
const CONSOLE: &str = "guest.log";

/// A word on the kernel's command line by which the guest's agent uses the port (tests/agent).
const BY_PORT: &str = "paravane.agent=port";

/// A running QEMU; dropping it kills it.
struct Solo {
    child: Child,
    health: Health,
    place: Place,
    _console: Watcher,
}

/// Starts the machine and runs the command.
pub fn run(
    session: &Session,
    images: &Images,
    options: &Options,
    dir: &Path,
    sink: &mut Sink<'_>,
) -> Result<RunReport> {
    let step = session
        .ui
        .step("Booting on QEMU's Xen interface".to_owned());
    let started = Instant::now();
    let solo = Solo::start(images, options, dir)?;
    let deadline = Deadline::start(options.timeout, &solo.health);
    let disks = images.guest_disks().len();
    let mut report = RunReport {
        ending: Ending::TimedOut,
        boot: None,
        command: Duration::ZERO,
        complaints: vec![],
        console: dir.join(CONSOLE),
    };
    let result = solo
        .place
        .comes_up(GUEST_LIMIT, GUEST_SILENCE)
        .and_then(|_| {
            let boot = started.elapsed();
            report.boot = Some(boot);
            step.say(&format!("up after {:.1} s", boot.as_secs_f32()));
            guest_devices::load(&solo.place, options, disks)?;
            guest_devices::mount_root(&solo.place, options.root)?;
            let (enter, shell) = guest_devices::enter(options);
            place::run_in(&solo.place, options, &enter, shell, sink)
        });
    report.command_took(started.elapsed());
    report.complaints = solo.health.take_complaints();
    report.ending = match result {
        Ok(exit) => Ending::Ended(exit),
        Err(_) if deadline.is_over() => Ending::TimedOut,
        Err(error) => match solo.health.death() {
            Some(why) => Ending::Died(why),
            None if is_hang(&error) || error.is::<NotBroughtUp>() => {
                Ending::Died(format!("{error:#}"))
            }
            None => return Err(error),
        },
    };
    Ok(report)
}

impl Solo {
    fn start(images: &Images, options: &Options, dir: &Path) -> Result<Self> {
        if options.root == RootAt::Shared {
            bail!("a folder of this machine as root needs a dom0");
        }
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let guest = images.guest_kernel()?;
        let mut command = images
            .qemu
            .command("qemu-system-x86_64")
            .args(arguments(options, images.guest_disks().len()))
            .device("/dev/kvm")
            .ro_bind(guest.kernel(), "/vm/kernel")
            .ro_bind(guest.initramfs(), "/vm/initrd")
            .bind(dir, "/vm/run")
            .current_dir("/vm/run");
        for (number, file) in images.guest_disks().iter().enumerate() {
            command = command.ro_bind(file, disk(number));
        }
        if options.network {
            command = command.network();
        }
        let errors = dir.join("qemu.log");
        let mut child = command
            .build()?
            .stdin(Stdio::null())
            .stdout(File::create(&errors)?)
            .stderr(File::options().append(true).open(&errors)?)
            .spawn()
            .context("cannot start QEMU in the sandbox")?;
        let (health, pace) = (Health::default(), Pace::of(child.id())?);
        let console: PathBuf = dir.join(CONSOLE);
        let mut judge = Judge::new("the guest", health.clone());
        let watcher = Watcher::start(console.clone(), JUDGED_EVERY, move |new| judge.push(new));
        let stream = pace.wait("QEMU to make its socket", SOCKET_LIMIT, || {
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(&errors).unwrap_or_default();
                let how = kbuild::process::describe(status);
                bail!("QEMU ended ({how}): {}", said.trim());
            }
            Ok(connect(dir, "agent.sock").ok())
        })?;
        let place = Place::connect("the guest", stream, &health, &pace, &console)?;
        Ok(Self {
            child,
            health,
            place,
            _console: watcher,
        })
    }
}

impl Drop for Solo {
    fn drop(&mut self) {
        // The launcher takes its whole process namespace down with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where QEMU finds a disk.
fn disk(number: usize) -> String {
    format!("/vm/disk-{number}.img")
}

/// QEMU's arguments.
fn arguments(options: &Options, disks: usize) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["-M", "q35,usb=off", "-cpu", "host"]);
    // Without a split interrupt controller QEMU refuses to be Xen.
    let accel = format!("kvm,xen-version={XEN_VERSION:#x},kernel-irqchip=split");
    add(&["-accel", &accel]);
    add(&[
        "-m",
        &options.memory.to_string(),
        "-smp",
        &options.vcpus.to_string(),
    ]);
    add(&BARE);
    add(&["-no-reboot"]);
    let console = format!("file,id=console,path=/vm/run/{CONSOLE}");
    add(&[
        "-chardev",
        &console,
        "-device",
        "xen-console,chardev=console",
    ]);
    let line = format!(
        "console=hvc0 loglevel=7 panic=1 {MITIGATIONS} {BY_PORT} {}",
        options.args
    );
    add(&[
        "-kernel",
        "/vm/kernel",
        "-initrd",
        "/vm/initrd",
        "-append",
        &line,
    ]);
    for (number, letter) in (0..disks).zip('a'..) {
        let drive = format!(
            "if=none,id=disk-{number},format=raw,snapshot=on,file={}",
            disk(number)
        );
        add(&[
            "-drive",
            &drive,
            "-device",
            &format!("xen-disk,drive=disk-{number},vdev=xvd{letter}"),
        ]);
    }
    if options.network {
        let network = format!(
            "user,id=outside,net={}/24,host={},dns={}",
            nic::ipv4(0, 0),
            nic::ipv4(0, nic::GATEWAY),
            nic::ipv4(0, nic::NAMES)
        );
        add(&[
            "-netdev",
            &network,
            "-device",
            "xen-net-device,netdev=outside",
        ]);
    }
    add(&["-device", "virtio-serial-pci"]);
    add(&[
        "-chardev",
        "socket,id=agent,path=/vm/run/agent.sock,server=on,wait=off",
    ]);
    add(&[
        "-device",
        &format!("virtserialport,chardev=agent,name={PORT}"),
    ]);
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Driver;
    use crate::run::RunMachine;
    use crate::topology::Topology;
    use kbuild::intake::needs::Role;

    #[test]
    fn qemu_is_xen_with_xens_devices() {
        let options = Options {
            role: Role::HvmGuest,
            machine: RunMachine::QemuXen,
            topology: Topology::PV,
            driver: Driver::C,
            vcpus: 3,
            memory: 512,
            root: RootAt::Disk("ext4"),
            folder: "/".into(),
            network: true,
            args: "quiet".into(),
            command: vec![],
            timeout: None,
            input: false,
            boots: false,
        };
        let line = arguments(&options, 2).join(" ");
        for wanted in [
            "-accel kvm,xen-version=0x40011,kernel-irqchip=split",
            "-m 512 -smp 3",
            "xen-console,chardev=console",
            "xen-disk,drive=disk-0,vdev=xvda",
            "xen-disk,drive=disk-1,vdev=xvdb",
            "xen-net-device,netdev=outside",
            "paravane.agent=port quiet",
        ] {
            assert!(line.contains(wanted), "{wanted} in {line}");
        }
        let alone = Options {
            network: false,
            ..options
        };
        let line = arguments(&alone, 0).join(" ");
        assert!(
            !line.contains("xen-disk") && !line.contains("netdev"),
            "{line}"
        );
    }
}
