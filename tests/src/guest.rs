// SPDX-License-Identifier: GPL-2.0

//! Guests: what they look like ([`Guest`]), and handles on running ones ([`Domain`]).

mod config;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::disk::Disk;
use crate::health::Health;
use crate::nic::Nic;
use crate::remote::{Output, Place};
use crate::topology::Topology;

/// How a guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Paravirtualised.
    Pv,
    /// Hardware-assisted, without a device model.
    Pvh,
    /// Hardware-assisted, with a whole machine that QEMU emulates in dom0.
    Hvm,
}

impl Mode {
    /// Its name in xl's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Pv => "pv",
            Mode::Pvh => "pvh",
            Mode::Hvm => "hvm",
        }
    }
}

/// Whose frontends drive a guest's devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The kernel's own.
    C,
    /// Ours.
    #[default]
    Rust,
}

impl Driver {
    /// The name of the module that drives disks, as lsmod shows it.
    pub fn block_module(self) -> &'static str {
        match self {
            Driver::C => "xen_blkfront",
            Driver::Rust => "xen_blkfront_rs",
        }
    }

    /// The name of the module that drives network interfaces.
    pub fn net_module(self) -> &'static str {
        match self {
            Driver::C => "xen_netfront",
            Driver::Rust => "xen_netfront_rs",
        }
    }

    /// The name of the module that drives buses of passed devices.
    pub fn pci_module(self) -> &'static str {
        match self {
            Driver::C => "xen_pcifront",
            Driver::Rust => "xen_pcifront_rs",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Driver::C => Driver::Rust,
            Driver::Rust => Driver::C,
        }
    }
}

/// A guest to be created: see [`crate::Host::create`].
#[derive(Clone, Debug)]
pub struct Guest {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    vcpus: u32,
    memory: u32,
    disks: Vec<Disk>,
    nics: Vec<Nic>,
    fio: bool,
    initramfs: Option<String>,
    loader: Loader,
    args: String,
    lines: Vec<String>,
}

/// What puts a guest's kernel into its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    /// The toolstack, from files of dom0.
    Toolstack,
    /// GRUB, from the guest's disk.
    Grub,
}

impl Guest {
    /// A PVH guest.
    pub fn pvh(name: &str) -> Self {
        Self::new(name, Mode::Pvh)
    }

    /// An HVM guest.
    pub fn hvm(name: &str) -> Self {
        Self::new(name, Mode::Hvm)
    }

    /// A PV guest.
    pub fn pv(name: &str) -> Self {
        Self::new(name, Mode::Pv)
    }

    /// A guest with one virtual processor, 384 MiB of memory, no disk, no network.
    pub fn new(name: &str, mode: Mode) -> Self {
        Self {
            name: name.to_owned(),
            mode,
            vcpus: 1,
            memory: 384,
            disks: vec![],
            nics: vec![],
            fio: false,
            initramfs: None,
            loader: Loader::Toolstack,
            args: String::new(),
            lines: vec![],
        }
    }

    /// Sets the number of virtual processors.
    #[must_use]
    pub fn vcpus(mut self, vcpus: u32) -> Self {
        self.vcpus = vcpus;
        self
    }

    /// Sets the memory in MiB.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = mib;
        self
    }

    /// Adds a disk.
    #[must_use]
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// Adds a network interface, and the network's tools to the initramfs (unless [`Guest::fio`] is there).
    #[must_use]
    pub fn nic(mut self, nic: Nic) -> Self {
        self.nics.push(nic);
        self
    }

    /// Puts fio into the guest's initramfs: 60 MB more, a second or two.
    #[must_use]
    pub fn fio(mut self) -> Self {
        self.fio = true;
        self
    }

    /// Gives it an initramfs of its own, a file of dom0.
    #[must_use]
    pub fn initramfs(mut self, file: &str) -> Self {
        self.initramfs = Some(file.to_owned());
        self
    }

    /// Lets GRUB load the kernel from its disk. What the kernel is told stands in GRUB's configuration there, for which
    /// [`command_line`](Self::command_line) is.
    #[must_use]
    pub fn by_grub(mut self) -> Self {
        self.loader = Loader::Grub;
        self
    }

    /// Adds words to the kernel's command line.
    #[must_use]
    pub fn args(mut self, args: &str) -> Self {
        self.args = format!("{} {args}", self.args);
        self
    }

    /// Adds a line to xl's configuration file.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Keeps it on the machine's last processor, where PVH and HVM guests are anyway.
    #[must_use]
    pub fn on_last_cpu(self, topology: &Topology) -> Self {
        match self.mode {
            Mode::Pv => self.line(&topology.on_last_cpu()),
            Mode::Pvh | Mode::Hvm => self,
        }
    }

    /// How many disks it has.
    pub(crate) fn disks(&self) -> usize {
        self.disks.len()
    }
}

/// A guest that was created. Commands run in it through its [`Place`]; dropping it destroys the domain.
pub struct Domain {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) place: Place,
    pub(crate) dom0: Place,
    pub(crate) domid: AtomicU32,
    pub(crate) channel: u32,
    pub(crate) console: PathBuf,
    pub(crate) unfollow: Option<Box<dyn FnOnce() + Send + Sync>>,
    pub(crate) gone: bool,
}

impl Deref for Domain {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl Domain {
    /// Its name, as xl knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it runs.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Its domid, which a restore or a migration changes.
    pub fn domid(&self) -> u32 {
        self.domid.load(Ordering::Relaxed)
    }

    /// The host's copy of its console's output.
    pub fn console(&self) -> &std::path::Path {
        &self.console
    }

    /// Loads a block frontend with module parameters (`max_queues=1`, for example) and waits until every disk
    /// the toolstack gave the guest is there.
    pub fn load_blkfront(&self, driver: Driver, parameters: &str) -> Result<()> {
        self.sh(&format!("modprobe {} {parameters}", driver.block_module()))
            .with_context(|| {
                format!(
                    "{} cannot be loaded in {}",
                    driver.block_module(),
                    self.name
                )
            })?;
        let other = driver.other().block_module();
        if self
            .sh("lsmod")?
            .lines()
            .any(|line| line.split(' ').next() == Some(other))
        {
            bail!(
                "{other} is loaded in {}, so nothing would be learnt about {}",
                self.name,
                driver.block_module()
            );
        }
        self.wait_for(
            "the disks",
            Duration::from_secs(30),
            "echo $(ls /sys/bus/xen/devices | grep -c ^vbd-) $(cat /sys/bus/xen/devices/vbd-*/block/*/size 2>/dev/null | wc -l)",
            |text| text.split_once(' ').is_some_and(|(wanted, there)| wanted == there),
        )?;
        Ok(())
    }

    /// Which module drives a disk, as sysfs tells.
    pub fn driver_of(&self, vdev: &str) -> Result<String> {
        self.sh(&format!(
            "basename $(readlink -f /sys/block/{vdev}/device/driver/module 2>/dev/null || readlink -f /sys/block/{vdev}/device/driver)"
        ))
    }

    /// Lets a guest run that was created [stopped](crate::Host::create_stopped).
    pub fn unpause(&self) -> Result<()> {
        let script = format!("xl unpause {}", self.name);
        self.dom0.run(&script)?.ok().map(drop)
    }

    /// Leaves it to itself: its machine ends next, and the guest with it.
    pub fn abandon(mut self) {
        self.gone = true;
    }

    /// Attaches a disk. An attempt that fails leaves the device's nodes behind where its hotplug script was too slow, so it is
    /// taken away before another one.
    pub fn attach(&self, disk: &Disk) -> Result<()> {
        let (make, spec, vdev) = (disk.make(), disk.spec(), disk.vdev());
        let name = &self.name;
        let script = format!(
            "{make} && {{ xl block-attach {name} '{spec}' || \
             {{ xl block-detach --force {name} {vdev} >/dev/null 2>&1; exit 1; }}; }}"
        );
        self.dom0.run_xl(&script)?.ok().map(drop)
    }

    /// Detaches a disk; `options` may be `--force`.
    pub fn detach(&self, vdev: &str, options: &str) -> Result<Output> {
        self.dom0
            .run(&format!("xl block-detach {options} {} {vdev}", self.name))
    }

    /// Saves the guest into a file of dom0; it does not run until [`Domain::restore`].
    pub fn save(&self, file: &str) -> Result<()> {
        let script = format!("xl save {} {file}", self.name);
        self.dom0
            .run_for(Duration::from_secs(120), &script)?
            .ok()
            .map(drop)
    }

    /// Restores the guest from a file and goes on talking to it.
    pub fn restore(&self, file: &str) -> Result<()> {
        let script = format!("xl restore {file}");
        let limit = Duration::from_secs(120);
        self.dom0.run_xl_for(limit, &script)?.ok()?;
        self.moved()
    }

    /// Migrates the guest to the machine it is on, and goes on talking to it.
    pub fn migrate(&self) -> Result<()> {
        // Without a command to reach another machine by, the "machine" is what is run to receive the guest.
        let script = format!("xl migrate -s '' {} 'exec xl migrate-receive'", self.name);
        self.dom0.run_for(Duration::from_secs(180), &script)?.ok()?;
        self.moved()
    }

    /// The guest has another number now.
    fn moved(&self) -> Result<()> {
        let domid = self.dom0.sh(&format!("xl domid {}", self.name))?;
        self.domid.store(
            domid.parse().context("xl prints a strange domain number")?,
            Ordering::Relaxed,
        );
        self.health().is_domain(self.domid());
        self.dom0.reopen(self.channel, self.domid())?;
        self.hello(Duration::from_secs(60)).map(drop)
    }

    /// Asks the guest to shut down and waits until it is gone.
    pub fn shutdown(mut self) -> Result<()> {
        let script = format!("xl shutdown -w -F {}", self.name);
        self.dom0.run(&script)?.ok()?;
        // The toolstack waits ten seconds for each passed device of a guest that is gone.
        self.dom0.wait_for(
            "the domain to go",
            Duration::from_secs(60),
            &format!("xl domid {} >/dev/null 2>&1 || echo gone", self.name),
            |text| text == "gone",
        )?;
        self.gone = true;
        Ok(())
    }

    /// Destroys the guest as a power cut would.
    pub fn destroy(mut self) -> Result<()> {
        self.destroy_now()
    }

    fn destroy_now(&mut self) -> Result<()> {
        self.gone = true;
        self.dom0
            .run(&format!("xl destroy {}", self.name))?
            .ok()
            .map(drop)
    }

    /// Whether it is alive, and what its kernel complained about.
    pub fn health(&self) -> &Health {
        self.place.health()
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        if !self.gone && self.dom0.health().check().is_ok() {
            // What cannot be destroyed is found by the clean-up after the scenario.
            let _ = self.destroy_now();
        }
        self.dom0.close(self.channel);
        if let Some(unfollow) = self.unfollow.take() {
            // The last words are still on their way to the log.
            let pace = self.dom0.pace().clone();
            thread::spawn(move || {
                pace.sleep(Duration::from_millis(700));
                unfollow();
            });
        }
    }
}
