// SPDX-License-Identifier: GPL-2.0

//! A booted machine: Xen and dom0, ready to create guests.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use kbuild::Images;
use kbuild::process::describe;

use crate::console::Judge;
use crate::fault::Fault;
use crate::guest::{Domain, Guest};
use crate::health::{Health, Lost};
use crate::machine::{Machine, Root};
use crate::pace::{Pace, Spent};
use crate::remote::Place;
use crate::snapshot::{self, Snapshot};
use crate::topology::Topology;
use crate::trace::TraceSummary;

/// How long Xen and dom0 may take to come up. On the reference machine it takes 12 to 18 seconds.
const DOM0_LIMIT: Duration = Duration::from_secs(120);

/// How long they may write nothing to the console meanwhile; dom0's kernel does not write much.
const DOM0_SILENCE: Duration = Duration::from_secs(60);

/// How long dom0's agent may take to answer in a machine that goes on from a snapshot.
const GOES_ON_LIMIT: Duration = Duration::from_secs(30);

/// How long they may take with a debugger that stops at every hypercall, silent or not.
const DEBUGGED_LIMIT: Duration = Duration::from_secs(600);

/// How long a guest may take from its creation to its agent's answer.
pub(crate) const GUEST_LIMIT: Duration = Duration::from_secs(90);

/// How long a guest's kernel, which writes all it has to say, may write nothing meanwhile.
pub(crate) const GUEST_SILENCE: Duration = Duration::from_secs(30);

/// How long the last messages of something that is dead may be on their way.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Xen and dom0, running.
pub struct Host {
    machine: Mutex<Machine>,
    dom0: Place,
    dir: PathBuf,
    topology: Topology,
    channels: AtomicU32,
    /// How many guests had a name, so that each gets a console log of its own.
    names: Mutex<HashMap<String, u32>>,
    /// Dom0's kernel, as `uname -r` says.
    pub kernel: String,
    /// How long it took until dom0 answered.
    pub boot_time: Duration,
    /// Whether it goes on from a [`snapshot`] and has not booted.
    pub is_from_snapshot: bool,
}

/// How a machine gets to the point where dom0 answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It boots.
    Boot,
    /// It boots, and a [`snapshot`] of it is kept if there can be one and is none.
    BootAndKeep,
    /// It goes on from its snapshot; if there is none, as with [`Start::BootAndKeep`].
    Snapshot,
}

impl Host {
    /// Starts a machine and waits for dom0; its logs go to `dir`.
    pub fn start(images: &Images, topology: &Topology, dir: &Path, start: Start) -> Result<Self> {
        let snapshot = match start {
            Start::Boot => None,
            Start::BootAndKeep | Start::Snapshot => snapshot::find(images, topology)?,
        };
        let accel = topology.accel(&images.acceleration)?;
        let keeps =
            start != Start::Boot && snapshot.is_none() && snapshot::is_possible(topology, accel);
        if let (Start::Snapshot, Some(snapshot)) = (start, snapshot) {
            return Self::go_on(images, topology, dir, snapshot);
        }
        let root = match keeps {
            true => Root::Kept,
            false => Root::Temporary,
        };
        let host = Self::booted(Machine::start(images, topology, dir, root)?, topology)?;
        if keeps {
            snapshot::keep(images, topology, &mut host.lock())?;
        }
        Ok(host)
    }

    fn go_on(images: &Images, topology: &Topology, dir: &Path, snapshot: Snapshot) -> Result<Self> {
        let machine = Machine::start(images, topology, dir, Root::Snapshot(&snapshot))?;
        Self::gone_on(machine, topology, &snapshot).or_else(|error| {
            // The next one boots.
            snapshot.forget(images)?;
            Err(error.context(
                "a machine does not go on from its snapshot, which is removed now; \
                 with --no-snapshots all machines boot",
            ))
        })
    }

    fn gone_on(mut machine: Machine, topology: &Topology, snapshot: &Snapshot) -> Result<Self> {
        let (health, pace) = (machine.health().clone(), machine.pace().clone());
        let log = machine.log();
        let dom0 = Place::connect("dom0", machine.agent()?, &health, &pace, &log)?;
        machine.go_on()?;
        pace.goes_on(&snapshot.speed());
        let kernel = dom0.hello(GOES_ON_LIMIT)?;
        // Its clock says when it was put down.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        dom0.sh(&format!("date -s @{now} >/dev/null"))?;
        // Otherwise all that go on from here would choose the same numbers.
        let mut seed = [0; 64];
        File::open("/dev/urandom")?.read_exact(&mut seed)?;
        dom0.put("/dev/urandom", 0o666, &seed)?;
        let host = Self::of(machine, dom0, topology, kernel, &pace.waited())?;
        Ok(Self {
            is_from_snapshot: true,
            ..host
        })
    }

    /// Waits for dom0 of a machine that was started.
    pub(crate) fn booted(mut machine: Machine, topology: &Topology) -> Result<Self> {
        let dir = machine.dir().to_owned();
        let (health, pace) = (machine.health().clone(), machine.pace().clone());
        let dom0 = Place::connect("dom0", machine.agent()?, &health, &pace, &machine.log())?;
        let kernel = match topology.debugged {
            true => dom0.hello(DEBUGGED_LIMIT),
            false => dom0.comes_up(DOM0_LIMIT, DOM0_SILENCE),
        };
        let kernel = kernel
            .and_then(|kernel| match topology.toolstack() {
                true => dom0.sh("xl info >/dev/null").map(|_| kernel),
                false => Ok(kernel),
            })
            .map_err(|error| {
                // QEMU's own end says more than the lost connection.
                let error = match machine.check_end() {
                    Err(end) => end,
                    Ok(()) => {
                        // The error is what counts; a log that cannot be had adds nothing.
                        let _ = machine.record_state();
                        let _ = machine.record_trace();
                        error
                    }
                };
                let error = match health.take_lost() {
                    lost if lost.is_empty() => error,
                    lost => error.context(Lost(lost)),
                };
                error.context(format!("{topology} did not come up; see {}", dir.display()))
            })?;
        let waited = pace.dom0_is_up(topology);
        Self::of(machine, dom0, topology, kernel, &waited)
    }

    fn of(
        machine: Machine,
        dom0: Place,
        topology: &Topology,
        kernel: String,
        waited: &Spent,
    ) -> Result<Self> {
        let dir = machine.dir().to_owned();
        let boot_time = machine.pace().now().wall;
        let text = format!("dom0 was waited {waited}\n");
        fs::write(dir.join("pace.log"), text)?;
        Ok(Self {
            machine: Mutex::new(machine),
            dom0,
            dir,
            topology: *topology,
            channels: AtomicU32::new(1),
            names: Mutex::default(),
            kernel,
            boot_time,
            is_from_snapshot: false,
        })
    }

    /// Dom0, where commands run.
    pub fn dom0(&self) -> &Place {
        &self.dom0
    }

    /// What the machine looks like.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether the machine is alive, and what kernels complained about.
    pub fn health(&self) -> &Health {
        self.dom0.health()
    }

    /// The clock by which limits are kept.
    pub fn pace(&self) -> &Pace {
        self.dom0.pace()
    }

    /// Gives QEMU's monitor a command. Returns what it says.
    pub fn monitor(&self, command: &str) -> Result<String> {
        self.lock().monitor(command)
    }

    /// The folder with the logs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// After an error: whether a domain ended by a triple fault since this was last asked, and which. Dom0 takes the machine
    /// with it, and what Xen said of that may arrive after the connection has ended.
    pub fn lost_domains(&self) -> Vec<Fault> {
        let limit = self.pace().limit(LAST_WORDS);
        while !self.health().has_lost() && !limit.is_over() {
            thread::sleep(Duration::from_millis(100));
        }
        if self.health().has_lost() {
            // The registers follow the line that reports it.
            self.pace().sleep(Duration::from_millis(400));
        }
        self.health().take_lost()
    }

    /// Creates a guest and waits until its agent answers.
    pub fn create(&self, guest: Guest) -> Result<Domain> {
        let domain = self.create_only(&guest)?;
        self.await_agent(&domain)?;
        Ok(domain)
    }

    /// Creates guests that boot at the same time.
    pub fn create_all(&self, guests: impl IntoIterator<Item = Guest>) -> Result<Vec<Domain>> {
        let domains: Vec<_> = guests
            .into_iter()
            .map(|guest| self.create_only(&guest))
            .collect::<Result<_>>()?;
        domains
            .iter()
            .try_for_each(|domain| self.await_agent(domain))?;
        Ok(domains)
    }

    /// Has xl create a guest, and returns its number.
    fn xl_create(&self, guest: &Guest, options: &str) -> Result<u32> {
        let name = &guest.name;
        let config = format!("/run/guests/{name}.cfg");
        let text = guest.config(&self.topology.placement(guest.mode));
        self.dom0.put(&config, 0o644, text.as_bytes())?;
        let prepare = guest.prepare();
        // The log of an earlier guest of that name would be taken for this one's.
        let script = format!(
            "{} && rm -f /var/log/xen/guest-{name}.log && xl create -q {options} {config} && xl domid {name}",
            if prepare.is_empty() {
                "true".into()
            } else {
                prepare.join(" && ")
            }
        );
        let created = self
            .dom0
            .run_xl(&script)?
            .ok()
            .with_context(|| format!("{name} cannot be created"))?;
        created
            .stdout
            .trim()
            .parse()
            .context("xl prints a strange domain number")
    }

    /// Creates a guest that does not run, and returns its number. No process in dom0 waits for its end.
    pub fn create_paused(&self, guest: &Guest) -> Result<u32> {
        self.xl_create(guest, "-p -e")
    }

    /// Creates a guest without waiting for its agent.
    pub fn create_only(&self, guest: &Guest) -> Result<Domain> {
        self.create_with(guest, "")
    }

    /// Creates a guest that does not run before [`Domain::unpause`], so that nothing of what it says or does is missed.
    pub fn create_stopped(&self, guest: &Guest) -> Result<Domain> {
        self.create_with(guest, "-p")
    }

    fn create_with(&self, guest: &Guest, options: &str) -> Result<Domain> {
        let name = &guest.name;
        let domid = self.xl_create(guest, options)?;
        let count = {
            let mut names = self
                .names
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let count = names.entry(name.clone()).or_default();
            *count += 1;
            *count
        };
        let suffix = if count > 1 {
            format!("-{count}")
        } else {
            String::new()
        };
        let console = self.dir.join(format!("guest-{name}{suffix}.log"));
        let health = self.health().of_guest();
        health.is_domain(domid);
        let unfollow = self.follow_console(name, console.clone(), health.clone())?;
        let channel = self.channels.fetch_add(1, Ordering::Relaxed);
        let place = self.dom0.open(name, channel, domid, health, &console)?;
        Ok(Domain {
            name: name.clone(),
            mode: guest.mode,
            place,
            dom0: self.dom0.clone(),
            domid: AtomicU32::new(domid),
            channel,
            console,
            unfollow: Some(Box::new(unfollow)),
            gone: false,
        })
    }

    /// Waits until the agent of a guest that was just created answers.
    pub fn await_agent(&self, domain: &Domain) -> Result<()> {
        domain
            .comes_up(GUEST_LIMIT, GUEST_SILENCE)
            .map(drop)
            .with_context(|| {
                format!(
                    "the guest {} did not come up; see {}",
                    domain.name(),
                    domain.console().display()
                )
            })
    }

    /// Copies a guest's console to the host while it is written, and judges it. Returns what ends that.
    fn follow_console(
        &self,
        name: &str,
        to: PathBuf,
        health: Health,
    ) -> Result<impl FnOnce() + Send + Sync + use<>> {
        let mut file =
            File::create(&to).with_context(|| format!("cannot write {}", to.display()))?;
        let mut judge = Judge::new(format!("the guest {name}"), health);
        let log = format!("/var/log/xen/guest-{name}.log");
        let job = self
            .dom0
            .spawn(&format!("exec tail -n +1 -s 0.2 -F {log} 2>/dev/null"))?;
        let kill = job.kill_handle();
        thread::spawn(move || {
            let _ = job.follow(|bytes| {
                let _ = file.write_all(bytes);
                judge.push(bytes);
            });
        });
        Ok(kill)
    }

    /// Brings dom0 back to the state after its boot: no guests, no disks, no loop devices, no null_blk, no bridges.
    pub fn clean(&self) -> Result<()> {
        if !self.topology.toolstack() {
            // So there are no guests.
            return Ok(());
        }
        self.dom0
            .run_for(
                Duration::from_secs(60),
                "for d in $(xl list | awk 'NR > 1 && $1 != \"Domain-0\" { print $1 }'); do xl destroy $d; done\n\
                 rm -f /var/log/xen/guest-*.log\n\
                 n=0; while ls /sys/bus/xen-backend/devices | grep -qE '^(vbd|vif|pci)-' && [ $n -lt $((50 * PACE)) ]; do sleep 0.1; n=$((n+1)); done\n\
                 for b in /sys/class/net/xenbr*; do [ ! -e $b ] || ip link del ${b##*/}; done\n\
                 losetup -D; rm -rf /disks/* /run/guests; modprobe -r null_blk brd scsi_debug 2>/dev/null\n\
                 xl list | awk 'NR > 1 && $1 != \"Domain-0\" { n++ } END { exit n }'",
            )?
            .ok()
            .context("guests cannot be removed")
            .map(drop)
    }

    /// After a failure: keeps what a machine that is alive can still tell. The failure is what counts; a log that cannot be had
    /// adds nothing.
    pub fn keep_logs(&self) {
        if self.health().check().is_ok() {
            let _ = self.collect_logs();
        }
    }

    /// Writes down what a machine that is alive is at. Returns a line for each processor; nothing if that cannot be had.
    pub fn record_state(&self) -> Vec<String> {
        match self.health().check() {
            Ok(()) => self.lock().record_state().unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Writes what our hypervisor did until now to the file [`TRACE`](crate::machine::TRACE) in the folder with the logs. Returns nothing if
    /// the machine is not [traced](Topology::is_traced).
    pub fn record_trace(&self) -> Result<Option<TraceSummary>> {
        self.lock().record_trace()
    }

    /// Copies the logs that are inside dom0 to the host's folder, and what the emulator knows.
    fn collect_logs(&self) -> Result<()> {
        // First, for dom0 may not answer.
        self.lock().record_state()?;
        self.record_trace()?;
        for (script, name) in [
            ("xl list; xl vcpu-list", "xl-list.log"),
            ("xl dmesg", "xl-dmesg.log"),
            ("dmesg", "dom0-dmesg.log"),
            ("xenstore-ls -fp", "xenstore.txt"),
            ("cat /var/log/xen/xen-hotplug.log", "xen-hotplug.log"),
            (
                "cat /var/log/xen/xenstored-access.log",
                "xenstored-access.log",
            ),
            ("tail -n +1 /var/log/xen/xl-*.log", "xl.log"),
        ] {
            let output = self.dom0.run(script)?;
            fs::write(self.dir.join(name), output.stdout)?;
        }
        Ok(())
    }

    /// Powers the machine off in an orderly way, as far as that goes.
    pub fn shutdown(self) -> Result<()> {
        // Everything worth keeping is on the host; there is nothing to sync.
        let _ = self.dom0.spawn("echo o > /proc/sysrq-trigger");
        self.lock().wait(Duration::from_secs(5)).map(drop)
    }

    /// Powers the machine off as a user would, which it has to manage by itself.
    pub fn power_off(self) -> Result<()> {
        let _ = self.dom0.spawn("exec busybox poweroff -f");
        let end = self.lock().wait(Duration::from_secs(30))?;
        let end = end.context("the machine did not switch off after dom0's power-off; qemu.log says how long it was waited for")?;
        ensure!(end.success(), "QEMU ended ({})", describe(end));
        Ok(())
    }

    /// Has dom0 start the machine again, which has to be allowed ([`Topology::restarts`]), and waits until the console
    /// has shown `mark` once more.
    pub fn reboot(&self, mark: &str) -> Result<()> {
        let count = || self.console().matches(mark).count();
        let before = count();
        ensure!(before > 0, "the console has not shown {mark:?} yet");
        let _ = self.dom0.spawn("exec busybox reboot -f");
        self.pace()
            .wait("the machine to come up again", DOM0_LIMIT, || {
                Ok((count() != before).then_some(()))
            })
    }

    /// What the hypervisor and dom0 wrote to the console so far.
    pub fn console(&self) -> String {
        self.lock().console()
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
