// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask boot`: boots Xen with dom0, creates guests whose disks and networks our frontends drive, shows with a
//! file system and with traffic ([`network`]) that the data arrives, and tells what ran.

mod network;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kbuild::branches::{self, Branch};
use kbuild::{Images, Session};

use crate::attempts::MAX_RUNS;
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest, Mode};
use crate::host::{Host, Start};
use crate::machine::{MONITOR, TRACE};
use crate::nic::Nic;
use crate::terminal;
use crate::topology::{Hypervisor, Topology};

use network::NetworkReport;

/// Where a console leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// A shell in dom0.
    Dom0,
    /// The first guest's console.
    DomU,
}

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The guests to create, in order.
    pub modes: Vec<Mode>,
    /// Virtual processors of each guest.
    pub vcpus: u32,
    /// Memory of each guest in MiB.
    pub memory: u32,
    /// Whose front ends drive the guests' disks and networks.
    pub driver: Driver,
    /// The machine, with memory for all guests.
    pub topology: Topology,
    /// Open a console at the end.
    pub console: Option<Console>,
    /// Keep the machine running at the end until interrupted.
    pub keep: bool,
    /// Where what the hypervisor did is written to, also if the boot fails. The machine has to be
    /// [traced](Topology::traced).
    pub trace: Option<PathBuf>,
}

/// What was seen in one guest.
struct GuestReport {
    name: String,
    mode: Mode,
    guest_type: String,
    modules: Vec<String>,
    device: String,
    files: u32,
    digest: String,
    took: Duration,
    network: NetworkReport,
}

/// Runs it all; returns the report's text.
pub fn run(session: &Session, images: &Images, options: &Options) -> Result<String> {
    let dir = session.logs().join("boot");
    let Some(to) = &options.trace else {
        return boot(session, images, options, &dir);
    };
    // Before the boot, which takes a while.
    File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    let booted = boot(session, images, options, &dir);
    let saved = fs::copy(dir.join(TRACE), to)
        .with_context(|| format!("there is no trace for {}", to.display()));
    match (booted, saved) {
        (Ok(text), Ok(_)) => Ok(text),
        (Ok(_), Err(error)) => Err(error),
        (Err(error), Ok(_)) => {
            Err(error.context(format!("what the hypervisor did is in {}", to.display())))
        }
        (Err(error), Err(_)) => Err(error),
    }
}

fn boot(session: &Session, images: &Images, options: &Options, dir: &Path) -> Result<String> {
    let started = Instant::now();
    for module in [options.driver.block_module(), options.driver.net_module()] {
        ensure!(
            !module.ends_with("_rs") || images.payload.modules.iter().any(|name| name == module),
            "the work tree built no module {module} (it built: {})",
            images.payload.modules.join(", ")
        );
    }
    let step = session.ui.step(format!("Booting {}", options.topology));
    let host = Host::start(images, &options.topology, dir, Start::Boot)?;
    step.done(&format!("dom0 runs {}", host.kernel));

    let mut result = guests(session, &host, options);
    for _ in 1..MAX_RUNS {
        if result.is_ok() {
            break;
        }
        let lost = host.lost_domains();
        let Some(fault) = lost.first() else { break };
        session.ui.line(&format!("    note: {fault}; once more"));
        result = host.clean().and_then(|()| guests(session, &host, options));
    }
    let result = result.and_then(|(domains, seen)| {
        let complaints = host.health().take_complaints();
        ensure!(
            complaints.is_empty(),
            "a kernel complained:\n{}",
            complaints.join("\n")
        );
        Ok((domains, seen))
    });
    let (domains, seen) = match result {
        Ok(found) => found,
        Err(error) => {
            host.keep_logs();
            return Err(error.context(format!("the logs of this boot are in {}", dir.display())));
        }
    };
    let mut text = describe(images, &host, &seen, started.elapsed())?;
    if let Some(trace) = host.record_trace()? {
        let _ = writeln!(text, "trace    {trace}");
    }
    if options.console.is_some() || options.keep {
        session.ui.suspend(|| println!("{text}"));
        stay(&host, &domains, options)?;
        host.record_trace()?;
        drop(domains);
        host.shutdown()?;
        return Ok(String::new());
    }
    let step = session.ui.step("Shutting down");
    for domain in domains {
        domain.shutdown()?;
    }
    host.clean()?;
    host.shutdown()?;
    step.done("");
    Ok(text)
}

fn guests(
    session: &Session,
    host: &Host,
    options: &Options,
) -> Result<(Vec<Domain>, Vec<GuestReport>)> {
    let names: Vec<_> = options.modes.iter().map(|mode| mode.name()).collect();
    let step = session
        .ui
        .step(format!("Creating guests ({})", names.join(", ")));
    let wanted = options.modes.iter().map(|mode| {
        let name = format!("{}-guest", mode.name());
        let disk = Disk::file(&format!("{name}.img"), "xvda").mib(256);
        Guest::new(&name, *mode)
            .vcpus(options.vcpus)
            .memory(options.memory)
            .disk(disk)
            .nic(Nic::new())
    });
    let domains = host.create_all(wanted)?;
    step.done("");
    let mut networks = Vec::new();
    for (domain, number) in domains.iter().zip(2..) {
        let name = domain.name();
        let step = session.ui.step(format!("Checking the network of {name}"));
        let network = network::check(host, domain, options.driver, number)
            .with_context(|| format!("the network of {name} does not work"))?;
        step.done(&network.summary());
        networks.push(network);
    }
    // Side by side: a guest's processors are busy with its checksums, and dom0 serves the other's disk meanwhile.
    let seen = branches::fork(|branches| {
        let check = |(domain, network): (&'_ Domain, NetworkReport)| {
            let name = domain.name();
            let step = session.ui.step(format!("Checking the disk of {name}"));
            let found = check(host, domain, options.driver, network)
                .with_context(|| format!("the disk of {name} does not work"))?;
            step.done(&format!("{} files verified in both domains", found.files));
            Ok(found)
        };
        let checks: Vec<_> = domains
            .iter()
            .zip(networks)
            .map(|of| branches.spawn(move || check(of)))
            .collect();
        checks.into_iter().map(Branch::join).collect()
    })?;
    Ok((domains, seen))
}

/// Makes a file system on the guest's disk, fills it, reads it back through a fresh mount, and compares what
/// dom0 finds in the file behind the disk.
fn check(
    host: &Host,
    guest: &Domain,
    driver: Driver,
    network: NetworkReport,
) -> Result<GuestReport> {
    let started = Instant::now();
    guest.load_blkfront(driver, "")?;
    let module = guest.driver_of("xvda")?;
    ensure!(
        module == driver.block_module(),
        "xvda is driven by {module}, not by {}",
        driver.block_module()
    );
    guest.sh("modprobe ext4 && mkfs.ext4 -q /dev/xvda && mount -t ext4 /dev/xvda /mnt")?;
    // A tree of files of all sizes up to 4 MiB with random content, and real programs.
    guest.sh(
        "set -e; mkdir -p /mnt/tree/random; cp -a /bin /sbin /lib /mnt/tree/\n\
         for i in 1 2 3 4 5 6 7 8; do dd if=/dev/urandom of=/mnt/tree/random/$i bs=$((i * i * 65536)) count=1 2>/dev/null; done",
    )?;
    let list = "find . -type f | sort | xargs sha256sum";
    let written = guest.sh(&format!(
        "cd /mnt/tree && {list} > /tmp/written && sha256sum < /tmp/written | cut -d ' ' -f 1 && wc -l < /tmp/written"
    ))?;
    // Unmounted and mounted again, the data comes from the disk and not from the page cache.
    guest.sh("umount /mnt && e2fsck -fn /dev/xvda && echo 3 > /proc/sys/vm/drop_caches && mount -t ext4 -o ro /dev/xvda /mnt")?;
    guest.sh(&format!(
        "cd /mnt/tree && {list} > /tmp/read && cmp /tmp/written /tmp/read && cd / && umount /mnt"
    ))?;
    let (digest, files) = written
        .split_once('\n')
        .context("the guest printed no digest")?;

    let image = format!("/disks/{}.img", guest.name());
    let mounted = format!("/mnt/{}", guest.name());
    let in_dom0 = host.dom0().sh(&format!(
        "mkdir -p {mounted} && mount -t ext4 -o loop,ro,noload {image} {mounted} && \
         (cd {mounted}/tree && {list}) | sha256sum | cut -d ' ' -f 1; umount {mounted}"
    ))?;
    ensure!(
        in_dom0 == digest,
        "dom0 reads {in_dom0}, the guest wrote {digest}"
    );
    let modules = guest.sh("lsmod | awk 'NR > 1 { print $1 }' | grep -E 'xen|_rs' | sort")?;
    Ok(GuestReport {
        name: guest.name().to_owned(),
        mode: guest.mode(),
        guest_type: guest.sh("cat /sys/hypervisor/guest_type")?,
        modules: modules.lines().map(str::to_owned).collect(),
        device: guest.sh("echo xvda, $(($(cat /sys/block/xvda/size) / 2048)) MiB, $(ls /sys/block/xvda/mq | wc -l) queues")?,
        files: files.trim().parse().context("the guest counted no files")?,
        digest: digest.to_owned(),
        took: started.elapsed(),
        network,
    })
}

fn describe(images: &Images, host: &Host, seen: &[GuestReport], took: Duration) -> Result<String> {
    let dom0 = host.dom0();
    let xen = dom0.sh("xl info | awk -F: '/^xen_(version|caps)/ { print $2 }' | xargs")?;
    let mut text = String::new();
    let toolstack = &images.userland.xen_version;
    let _ = match host.topology().hypervisor {
        Hypervisor::Xen => writeln!(text, "Xen      {xen} (package {toolstack})"),
        Hypervisor::Paravane => writeln!(text, "Paravane {xen} (toolstack {toolstack})"),
    };
    let mode = dom0.sh("cat /sys/hypervisor/guest_type")?;
    let _ = writeln!(
        text,
        "dom0     {mode}, kernel {}, up in {:.1} s",
        host.kernel,
        host.boot_time.as_secs_f32()
    );
    let modules = dom0.sh(
        "lsmod | awk '$1 ~ /^xen_(evtchn|gntalloc|gntdev|privcmd)/ { print $1 }' | sort | xargs",
    )?;
    let _ = writeln!(text, "         toolstack on {modules}");
    for guest in seen {
        let _ = writeln!(
            text,
            "{:<8} {} ({}), modules {}; {}",
            guest.mode.name(),
            guest.name,
            guest.guest_type,
            guest.modules.join(" "),
            guest.device
        );
        let _ = writeln!(
            text,
            "         ext4: {} files written, read back, and read by dom0, sha256 {}… equal; e2fsck clean; {:.1} s",
            guest.files,
            guest.digest.get(..16).unwrap_or(&guest.digest),
            guest.took.as_secs_f32()
        );
        for line in guest.network.describe() {
            let _ = writeln!(text, "         {line}");
        }
    }
    let _ = writeln!(
        text,
        "machine  {:.1} s in all; logs in {}",
        took.as_secs_f32(),
        host.dir().display()
    );
    Ok(text)
}

fn stay(host: &Host, domains: &[Domain], options: &Options) -> Result<()> {
    match (options.console, domains.first()) {
        (Some(Console::Dom0), _) => {
            println!("A shell in dom0; `exit` ends it.");
            terminal::attach(host.dom0(), &["bash", "-l"])?;
        }
        (Some(Console::DomU), Some(guest)) => {
            println!(
                "The console of {}; press Enter for a shell, {}.",
                guest.name(),
                terminal::leave_hint()
            );
            terminal::attach(host.dom0(), &["xl", "console", guest.name()])?;
        }
        (Some(Console::DomU), None) => bail!("there is no guest to open a console of"),
        (None, _) => {}
    }
    if options.keep {
        println!(
            "The machine keeps running; Ctrl-C ends it. Its consoles are logged in {}, where QEMU's monitor is the socket \
             {MONITOR} (socat -,rawer UNIX-CONNECT:{})",
            host.dir().display(),
            host.dir().join(MONITOR).display()
        );
        while host.health().check().is_ok() {
            std::thread::sleep(Duration::from_millis(500));
        }
        host.health().check()?;
    }
    Ok(())
}
