// SPDX-License-Identifier: GPL-2.0

//! What `cargo xtask run` says of a command's end and of a kernel's. Each command has a guest of its own, on the kernel's own
//! drivers, as there. And what a guest is given by options: disks, roots, the network.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use kbuild::Images;
use kbuild::intake::needs::Role;

use crate::context::{Ctx, Machines};
use crate::guest::{Driver, Mode};
use crate::host::Start;
use crate::matrix::Cell;
use crate::run::{self, Ending, Exit, Options, RootAt, RunMachine, RunReport};
use crate::scenario::Scenario;
use crate::topology::{Devices, Topology};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("run.{guest}_command_ends_with_its_own_status", own_status)
        .on_each(&[Cell::PVH.core(), Cell::PV.full()]),
    Scenario::new("run.{guest}_kernel_that_dies_is_told", dies)
        .on_each(&[Cell::PV, Cell::PVH.full()]),
    Scenario::new("run.{guest}_kernel_that_hangs_is_told", hangs)
        .on_each(&[Cell::PVH, Cell::PV.full()]),
    Scenario::alone(
        "run.root_disk_and_network_reach_a_guest",
        WITH_GUEST_KERNEL,
        devices,
    )
    .full(),
    Scenario::alone(
        "run.this_machines_files_are_a_guests_root",
        WITH_GUEST_KERNEL,
        shared_root,
    )
    .full(),
];

/// The machine that `cargo xtask run` has for guests.
const WITH_GUEST_KERNEL: Topology = Topology {
    devices: Devices::GuestKernel,
    ..Topology::PV
};

/// What a run wrote to standard output and standard error.
type Written = [String; 2];

/// What is asked for, but for the command and what differs.
fn options(role: Role, topology: Topology, command: &[&str]) -> Options {
    Options {
        role,
        machine: RunMachine::Hypervisor,
        topology,
        driver: Driver::C,
        vcpus: 1,
        memory: 384,
        root: RootAt::Initramfs,
        folder: "/".into(),
        network: false,
        args: String::new(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        timeout: None,
        input: false,
        boots: false,
    }
}

/// Runs a command in a guest of its own.
fn run(ctx: &mut Ctx<'_>, command: &[&str], timeout: Option<u32>) -> Result<(RunReport, Written)> {
    let role = match ctx.mode() {
        Mode::Pv => Role::PvGuest,
        Mode::Pvh => Role::PvhGuest,
        Mode::Hvm => Role::HvmGuest,
    };
    let options = Options {
        timeout: timeout.map(|secs| Duration::from_secs(secs.into())),
        ..options(role, *ctx.host.topology(), command)
    };
    let mut written = [vec![], vec![]];
    let (report, domain) = run::in_guest(
        ctx.host,
        &run::guest(&options),
        &options,
        &|_| (),
        &mut |stream, data| written[usize::from(stream != 1)].extend_from_slice(data),
    )?;
    drop(domain);
    let written = written.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if let Some(boot) = report.boot {
        ctx.note(format!(
            "{command:?}: up after {:.1} s, {:?}",
            boot.as_secs_f32(),
            report.ending
        ));
    }
    Ok((report, written))
}

fn own_status(ctx: &mut Ctx<'_>) -> Result<()> {
    let (report, _) = run(ctx, &["true"], None)?;
    ensure!(report.ending == Ending::Ended(Exit::Code(0)), "{report:?}");
    let (report, written) = run(ctx, &["echo out; echo err >&2; exit 7"], None)?;
    ensure!(report.ending == Ending::Ended(Exit::Code(7)), "{report:?}");
    ensure!(written == ["out\n", "err\n"], "{written:?}");
    Ok(())
}

fn dies(ctx: &mut Ctx<'_>) -> Result<()> {
    // What a command has written just before its kernel dies is on its way, and does not arrive.
    let pause = ctx.host.dom0().lengthened(3);
    let panics = format!("echo before; sleep {pause}; echo c > /proc/sysrq-trigger; sleep 100");
    let (report, written) = run(ctx, &[&panics], None)?;
    let is_panic = |why: &String| why.contains("Kernel panic");
    ensure!(
        matches!(&report.ending, Ending::Died(why) if is_panic(why)),
        "{report:?}"
    );
    ensure!(written[0] == "before\n", "{written:?}");
    ensure!(
        report.last_lines().iter().any(is_panic),
        "the last lines do not show it: {:?}",
        report.last_lines()
    );
    let (report, _) = run(ctx, &["busybox poweroff -f; sleep 100"], None)?;
    // By the toolstack, and not because it has become silent.
    let is_poweroff = |why: &String| why.contains("has ended (poweroff)");
    ensure!(
        matches!(&report.ending, Ending::Died(why) if is_poweroff(why)),
        "{report:?}"
    );
    Ok(())
}

/// A guest that stands still is told from one whose command takes long.
fn hangs(ctx: &mut Ctx<'_>) -> Result<()> {
    let timeout = ctx.host.dom0().lengthened(25);
    let (report, written) = run(ctx, &["echo slow; sleep 1000"], Some(timeout))?;
    ensure!(report.ending == Ending::TimedOut, "{report:?}");
    ensure!(written[0] == "slow\n", "{written:?}");
    let stop = ctx.host.dom0().spawn(
        "until xl list under-test >/dev/null 2>&1; do sleep 0.5; done; sleep $((10 * PACE)); xl pause under-test",
    )?;
    let (report, _) = run(ctx, &["sleep 1000"], None)?;
    ensure!(
        matches!(&report.ending, Ending::Died(why) if why.contains("hangs") || why.contains("did not")),
        "{report:?}"
    );
    stop.kill(9)
}

/// Runs a command in a guest of a machine of its own; returns what it wrote to standard output.
fn run_alone(machines: &mut Machines<'_>, images: &Images, options: &Options) -> Result<String> {
    let host = machines.start_with(images, &options.topology, Start::Snapshot)?;
    let mut written = Vec::new();
    let sink = &mut |stream: u8, data: &[u8]| match stream {
        1 => written.extend_from_slice(data),
        _ => eprint!("{}", String::from_utf8_lossy(data)),
    };
    let report = run::on_host(&host, images, options, &|_| (), sink)?;
    let written = String::from_utf8_lossy(&written).into_owned();
    ensure!(
        report.ending == Ending::Ended(Exit::Code(0)),
        "{report:?}; it wrote {written:?}"
    );
    Ok(written)
}

/// Writes a disk of so many bytes, with a mark at the beginning and at the end.
fn write_disk(file: &Path, bytes: usize) -> Result<Vec<u8>> {
    let mut content = vec![0; bytes];
    content[..5].copy_from_slice(b"first");
    content[bytes - 4..].copy_from_slice(b"last");
    fs::write(file, &content)?;
    Ok(content)
}

/// A disk has the file's length and content, and keeps nothing that the guest writes; the network leads to QEMU's.
fn devices(machines: &mut Machines<'_>) -> Result<()> {
    let file = machines.folder()?.join("disk.img");
    // No whole number of pages.
    let content = write_disk(&file, 3 * 512 + (1 << 20))?;
    let images = machines.images().clone();
    let images = images
        .with_guest_disks(vec![file.clone()])
        .with_network(true);
    let script = "cat /sys/block/xvda/size && head -c 5 /dev/xvda && tail -c 4 /dev/xvda && echo && \
        dd if=/dev/zero of=/dev/xvda bs=512 count=1 conv=fsync 2>/dev/null && \
        ping -c 1 -W $((10 * 10)) $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p') >/dev/null && echo pong";
    let options = Options {
        network: true,
        ..options(Role::PvhGuest, WITH_GUEST_KERNEL, &[script])
    };
    let written = run_alone(machines, &images, &options)?;
    ensure!(written == "2051\nfirstlast\npong\n", "{written:?}");
    ensure!(
        fs::read(&file)? == content,
        "the guest has changed the file"
    );
    Ok(())
}

/// The command sees a folder of this machine as its root, can write, and changes nothing here.
fn shared_root(machines: &mut Machines<'_>) -> Result<()> {
    let folder = machines.folder()?;
    fs::write(folder.join("here"), "content\n")?;
    let images = machines.images().clone();
    let images = images.with_shared_folder(Some("/".into()));
    let script = "pwd && cat here && echo new >here && cat here && test -e /proc/self && test -w /tmp && uname -r";
    let options = Options {
        root: RootAt::Shared,
        folder: folder.clone(),
        ..options(Role::PvGuest, WITH_GUEST_KERNEL, &[script])
    };
    let written = run_alone(machines, &images, &options)?;
    let wanted = format!("{}\ncontent\nnew\n", folder.display());
    ensure!(written.starts_with(&wanted), "{written:?}");
    ensure!(
        fs::read(folder.join("here"))? == b"content\n",
        "the guest has changed a file of this machine"
    );
    Ok(())
}
