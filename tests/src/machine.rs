// SPDX-License-Identifier: GPL-2.0

//! One QEMU with Xen and dom0 in it: its command line, its life, its log files.
//!
//! QEMU runs inside the sandbox's process namespace, which the kernel takes down when this process ends in
//! whatever way, so nothing is ever left running. Its disks are snapshots: nothing is ever left changed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use agent::PORT;
use anyhow::{Context, Result, bail, ensure};
use kbuild::Images;
use kbuild::image::grub::Loaded;

use crate::console::{Judge, Watcher};
use crate::devices;
use crate::health::Health;
use crate::pace::Pace;
use crate::passed;
use crate::snapshot::{self, Snapshot};
use crate::tables;
use crate::topology::{Devices, Dom0, Hypervisor, Kernel, Loader, Topology};

/// Bytes of translated code QEMU keeps, in MiB: enough for Xen, dom0 and a few guests.
const TRANSLATION_MIB: u32 = 512;

/// How often the processors are looked at after a failure.
const STATES: usize = 5;

/// How often what is new on the console is judged.
const JUDGED_EVERY: Duration = Duration::from_millis(150);

/// How long UEFI's firmware and GRUB may take.
const FIRMWARE_LIMIT: Duration = Duration::from_secs(60);

/// How long QEMU may take to make its sockets.
const SOCKET_LIMIT: Duration = Duration::from_secs(20);

/// How long QEMU's monitor may take to answer.
const MONITOR_LIMIT: Duration = Duration::from_secs(10);

/// The console's log.
const CONSOLE: &str = "xen-and-dom0.log";

/// QEMU's log of what processors were at when they were reset.
const RESETS: &str = "resets.log";

/// The socket of QEMU's debugger stub, if the machine is [debugged](Topology::debugged).
pub const DEBUGGER: &str = "debugger.sock";

/// How long QEMU may take to write or read what is in its memory.
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);

/// Where QEMU finds dom0's root disk, and a snapshot.
const ROOT_IMAGE: &str = "/vm/root.img";
const KEPT: &str = "/vm/snapshot";

/// The disk that GRUB boots from, in the machine's folder: a file, or with UEFI a folder.
const BOOT_DISK: &str = "boot.img";
/// UEFI's variables, in the machine's folder.
const VARIABLES: &str = "variables.fd";

/// What is behind dom0's root disk.
#[derive(Clone, Copy)]
pub enum Root<'s> {
    /// The image; what is written is lost.
    Temporary,
    /// The image; what is written is in a file of the machine's folder.
    Kept,
    /// The disk of a machine that was kept, which goes on; what is written is lost.
    Snapshot(&'s Snapshot),
}

/// A running QEMU; dropping it kills it.
pub struct Machine {
    child: Child,
    dir: PathBuf,
    health: Health,
    pace: Pace,
    loader: Loader,
    cpus: u32,
    _console: Watcher,
}

impl Machine {
    /// Starts QEMU, and the machine boots. `dir` is made; it gets the logs and the sockets.
    pub fn start(images: &Images, topology: &Topology, dir: &Path) -> Result<Self> {
        Self::launch(images, topology, dir, Root::Temporary)
    }

    /// The same, so that the machine can be [saved](Self::save).
    pub fn start_to_be_kept(images: &Images, topology: &Topology, dir: &Path) -> Result<Self> {
        Self::launch(images, topology, dir, Root::Kept)
    }

    /// Starts QEMU, which waits to be told to [go on](Self::go_on) from a snapshot.
    pub fn start_from(
        images: &Images,
        topology: &Topology,
        dir: &Path,
        snapshot: &Snapshot,
    ) -> Result<Self> {
        Self::launch(images, topology, dir, Root::Snapshot(snapshot))
    }

    fn launch(images: &Images, topology: &Topology, dir: &Path, kind: Root<'_>) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        match topology.devices {
            Devices::None | Devices::Debian => {}
            Devices::Real => devices::make_files(dir)?,
            Devices::Passed => passed::prepare(dir)?,
        }
        if topology.misleading {
            tables::make_files(dir, topology.cpus)?;
        }
        let health = Health::default();
        let [root, payload] = images.disks();
        let hypervisor = match topology.hypervisor {
            Hypervisor::Xen => images.userland.xen(),
            Hypervisor::Paravane => images.hypervisor()?.image(),
        };
        let kernel = match topology.kernel {
            Kernel::Unpacked => images.payload.vmlinux(),
            Kernel::Packed => images.payload.vmlinuz(),
            Kernel::Misbehaving => images.hypervisor()?.misbehaving_guest(),
        };
        let initrd = images.payload.dom0_initrd();
        if topology.loader != Loader::Qemu {
            write_boot_disk(images, topology, dir, [&hypervisor, &kernel, &initrd])?;
        }
        let mut command = images
            .qemu
            .command("qemu-system-x86_64")
            .args(arguments(topology, kind))
            .ro_bind(hypervisor, "/vm/xen")
            .ro_bind(kernel, "/vm/kernel")
            .ro_bind(initrd, "/vm/initrd")
            .ro_bind(root, "/vm/root.img")
            .ro_bind(payload, "/vm/payload.img")
            .bind(dir, "/vm/run")
            .current_dir("/vm/run");
        if topology.loader == Loader::GrubByUefi {
            let [code, _] = images.grub()?.firmware();
            command = command.ro_bind(code, "/vm/firmware.fd");
        }
        if topology.devices == Devices::Debian {
            command = command.ro_bind(images.debian()?.disk(), "/vm/debian.img");
        }
        match kind {
            Root::Temporary => {}
            Root::Kept => {
                let size = fs::metadata(&images.disks()[0])?.len();
                snapshot::write_overlay(&dir.join(snapshot::ROOT), ROOT_IMAGE, size)?;
            }
            Root::Snapshot(snapshot) => command = command.ro_bind(snapshot.dir(), KEPT),
        }
        let mut command = command.build()?;
        let errors = dir.join("qemu.log");
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&errors)?)
            .stderr(File::options().append(true).open(&errors)?)
            .spawn()
            .context("cannot start QEMU in the sandbox")?;
        let pace = Pace::of(child.id())?;
        let console = dir.join(CONSOLE);
        let mut judge = Judge::new("Xen or dom0", health.clone());
        let _console = Watcher::start(console, JUDGED_EVERY, move |new| judge.push(new));
        Ok(Self {
            child,
            dir: dir.to_owned(),
            health,
            pace,
            loader: topology.loader,
            cpus: topology.cpus,
            _console,
        })
    }

    /// The folder with the logs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the hypervisor and dom0 wrote to the console so far.
    pub fn console(&self) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The file with what hypervisor and dom0 wrote to the console.
    pub fn log(&self) -> PathBuf {
        self.dir.join(CONSOLE)
    }

    /// Its clock.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Whether it is alive, as the console tells.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Whether QEMU runs; records its end.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let said = fs::read_to_string(self.dir.join("qemu.log")).unwrap_or_default();
            let said = said.trim();
            // Xen reboots when it crashes, and QEMU ends then: what the console says comes first.
            self.pace.sleep(Duration::from_millis(400));
            let resets = fs::read_to_string(self.dir.join(RESETS)).unwrap_or_default();
            self.health.died(format!(
                "QEMU ended ({}){}{said}{}",
                kbuild::process::describe(status),
                if said.is_empty() { "" } else { ": " },
                crate::fault::of_machine(&resets)
            ));
        }
        self.health.check()
    }

    /// The same after a connection to it was lost, which comes a moment before its end.
    pub fn check_end(&mut self) -> Result<()> {
        let limit = self.pace.limit(Duration::from_secs(1));
        while !limit.is_over() {
            self.check()?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Gives QEMU's monitor a command. Returns what it says, between a repetition of the command and a prompt.
    pub fn monitor(&mut self, command: &str) -> Result<String> {
        let mut stream = self.connect("monitor.sock")?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        // QEMU drops what it has not read when the other end goes: the next prompt says that it has.
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let limit = self.pace.limit(MONITOR_LIMIT);
        let (mut said, mut part) = (Vec::new(), [0; 4096]);
        while said.windows(7).filter(|part| part == b"(qemu) ").count() < 2 {
            match stream.read(&mut part) {
                Ok(0) => bail!("QEMU's monitor is gone"),
                Ok(len) => said.extend_from_slice(&part[..len]),
                Err(_) if !limit.is_over() => {}
                Err(error) => {
                    let message = format!("QEMU's monitor was asked {command:?} {}", limit.spent());
                    return Err(error).context(message);
                }
            }
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Writes down what the processors and the interrupt controllers are at, for whoever looks for the cause of a failure.
    /// The processors are looked at several times: one that always does the same hangs.
    pub fn record_state(&mut self) -> Result<()> {
        let mut file = File::create(self.dir.join("machine.log"))?;
        let controllers = ["info pic", "info irq"].map(str::to_owned);
        let processors = (0..self.cpus).map(|cpu| format!("info lapic {cpu}"));
        let registers = std::iter::repeat_n("info registers -a".to_owned(), STATES);
        for command in controllers.into_iter().chain(processors).chain(registers) {
            let said = self.monitor(&command)?;
            // It repeats the command letter by letter, and moves the cursor in between.
            let said = said.rsplit('\u{1b}').next().unwrap_or_default();
            writeln!(file, "{command}\n{said}")?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Saves the machine, which goes on then: processors, devices and memory in the file [`snapshot::STATE`], and what has been
    /// written to the root disk in [`snapshot::ROOT`], both with `.kept` after their names.
    pub fn save(&mut self) -> Result<()> {
        let state = format!("{}.kept", snapshot::STATE);
        self.monitor("stop")?;
        self.migration(&format!("migrate -d file:/vm/run/{state}"))?;
        // QEMU has written all it knows about the disk and does not touch it until it goes on.
        let root = self.dir.join(snapshot::ROOT);
        fs::copy(&root, self.dir.join(format!("{}.kept", snapshot::ROOT)))
            .context("cannot copy dom0's root disk")?;
        self.monitor("cont").map(drop)
    }

    /// Goes on from the snapshot with which QEMU was started. Whoever wants to talk to dom0's agent has to be connected by then: it
    /// would be told that there is nobody.
    pub fn go_on(&mut self) -> Result<()> {
        self.migration(&format!("migrate_incoming file:{KEPT}/{}", snapshot::STATE))?;
        // It was stopped when it was saved.
        self.monitor("cont").map(drop)
    }

    /// Has QEMU write or read a machine's state, each page at a place of its own in the file (docs/devel/migration/mapped-ram).
    fn migration(&mut self, command: &str) -> Result<()> {
        self.monitor("migrate_set_capability mapped-ram on")?;
        self.monitor("migrate_set_parameter max-bandwidth 100G")?;
        let said = self.monitor(command)?;
        self.wait_for("QEMU's migration", MIGRATION_LIMIT, |machine| {
            machine.check()?;
            let state = machine.monitor("info migrate")?;
            ensure!(
                !state.contains("failed"),
                "QEMU says to {command:?}: {said} {state}"
            );
            Ok(state.contains("completed").then_some(()))
        })
    }

    /// Connects to the socket of dom0's agent.
    pub fn agent(&mut self) -> Result<UnixStream> {
        // UEFI's firmware takes what comes from there for its console's: the agent would not get it.
        if self.loader == Loader::GrubByUefi {
            self.wait_for("UEFI to start a hypervisor", FIRMWARE_LIMIT, |machine| {
                machine.check()?;
                Ok(has_started(&machine.console()).then_some(()))
            })?;
        }
        self.connect("agent.sock")
    }

    /// Connects to a socket that QEMU makes in the machine's folder.
    fn connect(&mut self, name: &str) -> Result<UnixStream> {
        let what = format!("QEMU to make its socket {name}");
        self.wait_for(&what, SOCKET_LIMIT, |machine| {
            machine.check()?;
            Ok(connect(&machine.dir, name).ok())
        })
    }

    /// Asks again and again until there is an answer.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ask: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let pace = self.pace.clone();
        pace.wait(what, limit, || ask(self))
            .with_context(|| format!("see {}", self.dir.display()))
    }

    /// Waits for QEMU to end by itself, as it does after dom0 powered off; kills it otherwise. Returns how it ended, if
    /// it did.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let limit = self.pace.limit(limit);
        while !limit.is_over() {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(50));
        }
        let mut log = File::options()
            .append(true)
            .open(self.dir.join("qemu.log"))?;
        writeln!(log, "was waited for {} and is killed", limit.spent())?;
        self.kill();
        Ok(None)
    }

    fn kill(&mut self) {
        // The launcher takes its whole process namespace down with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        devices::remove_files(&self.dir);
        let _ = fs::remove_file(self.dir.join(snapshot::ROOT));
        let _ = fs::remove_file(self.dir.join(BOOT_DISK));
        let _ = fs::remove_dir_all(self.dir.join(BOOT_DISK));
    }
}

/// Connects to a socket in a machine's folder, which QEMU may not have made yet.
pub fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let dir = File::open(dir)?;
    // A socket's path may have 108 bytes at most; the way through /proc always fits.
    UnixStream::connect(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

/// Whether a hypervisor has said something.
fn has_started(console: &str) -> bool {
    console.contains("(PV) ") || console.contains("(XEN) ")
}

/// The emulated IOMMU that a PVH dom0 needs, and that guests need who are passed devices.
const IOMMU: &str = "amd-iommu,dma-remap=on";

/// Writes the disk that GRUB boots hypervisor, kernel and initrd from.
fn write_boot_disk(
    images: &Images,
    topology: &Topology,
    dir: &Path,
    [hypervisor, kernel, initrd]: [&PathBuf; 3],
) -> Result<()> {
    let (line, arguments) = (xen_command_line(topology), dom0_command_line(topology));
    let loaded = |name, file, arguments| Loaded {
        name,
        file,
        arguments,
    };
    // Debian's configuration has this word in front, for Xen leaves out the first one if another loader loads it.
    let line = format!("placeholder {line}");
    let (grub, place) = (images.grub()?, dir.join(BOOT_DISK));
    let hypervisor = loaded("hypervisor", hypervisor, &line);
    let modules = [
        loaded("vmlinuz", kernel, &arguments),
        loaded("initrd", initrd, ""),
    ];
    if topology.loader == Loader::GrubByUefi {
        let [_, variables] = grub.firmware();
        fs::copy(variables, dir.join(VARIABLES)).context("cannot copy UEFI's variables")?;
        return grub.write_folder(&place, &hypervisor, &modules);
    }
    grub.write_disk(&place, &hypervisor, &modules)
}

/// QEMU's command line.
pub fn arguments(topology: &Topology, root: Root<'_>) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    match topology.dom0 {
        // Ours has no IOMMU to drive: dom0's memory is where it believes it to be.
        _ if topology.hypervisor == Hypervisor::Paravane => add(&["-M", "q35,usb=off"]),
        Dom0::Pv if !topology.iommu => add(&["-M", "q35,usb=off"]),
        // The emulated IOMMU cannot remap interrupts of an irqchip in the kernel. Unless told to, it lets the devices'
        // accesses pass as they are, which go to other memory than dom0 means.
        Dom0::Pv | Dom0::Pvh => add(&["-M", "q35,usb=off,kernel-irqchip=off", "-device", IOMMU]),
    }
    // Xen misreads the length of an intercepted RDTSCP on QEMU's emulated SVM, so guests must not have it.
    add(&["-cpu", "max,-rdtscp"]);
    add(&[
        "-accel",
        &format!("tcg,thread=multi,tb-size={TRANSLATION_MIB}"),
    ]);
    add(&[
        "-m",
        &topology.memory.to_string(),
        "-smp",
        &topology.cpus.to_string(),
    ]);
    add(&[
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-vga",
        "none",
    ]);
    if matches!(root, Root::Snapshot(_)) {
        add(&["-incoming", "defer"]);
    }
    if !topology.restarts {
        add(&["-no-reboot"]);
    }
    if topology.debugged {
        // It waits for somebody to let it go.
        let stub = format!("unix:/vm/run/{DEBUGGER},server=on,wait=off");
        add(&["-gdb", &stub, "-S"]);
    }
    add(&["-monitor", "unix:/vm/run/monitor.sock,server=on,wait=off"]);
    // What a processor was at when it was reset: a triple fault says nothing else.
    add(&["-d", "cpu_reset", "-D", &format!("/vm/run/{RESETS}")]);
    let console = format!("file,id=console,path=/vm/run/{CONSOLE}");
    add(&["-chardev", &console]);
    add(&["-serial", "chardev:console"]);
    // -initrd splits at commas; a doubled one stands for itself. A comma needs no care in -append.
    let kernel = format!("/vm/kernel {}", dom0_command_line(topology)).replace(',', ",,");
    match (topology.loader, topology.kernel) {
        (Loader::Grub | Loader::GrubByUefi, _) => {
            let mut file = format!("/vm/run/{BOOT_DISK}");
            if topology.loader == Loader::GrubByUefi {
                add(&[
                    "-drive",
                    "if=pflash,format=raw,readonly=on,file=/vm/firmware.fd",
                ]);
                let variables = format!("if=pflash,format=raw,file=/vm/run/{VARIABLES}");
                add(&["-drive", &variables]);
                // QEMU makes a FAT file system of a folder.
                file = format!("fat:{file}");
            }
            let boot = format!("if=none,id=boot,file={file},format=raw,snapshot=on");
            add(&["-drive", &boot, "-device", "ide-hd,drive=boot,bootindex=0"]);
        }
        (Loader::Qemu, kind) => {
            add(&["-kernel", "/vm/xen", "-append", &xen_command_line(topology)]);
            match kind {
                Kernel::Misbehaving => add(&["-initrd", &kernel]),
                _ => add(&["-initrd", &format!("{kernel},/vm/initrd")]),
            }
        }
    }
    if topology.kernel == Kernel::Misbehaving {
        return args;
    }
    // A PV dom0 cannot do DMA to its own addresses; iommu_platform makes virtio use the kernel's DMA interface.
    let virtio = "iommu_platform=on,disable-legacy=on";
    let root = match root {
        Root::Temporary => format!("{ROOT_IMAGE},format=raw,snapshot=on"),
        Root::Kept => format!("/vm/run/{},format=qcow2", snapshot::ROOT),
        Root::Snapshot(_) => format!("{KEPT}/{},format=qcow2,snapshot=on", snapshot::ROOT),
    };
    let payload = "/vm/payload.img,format=raw,readonly=on".to_owned();
    let mut disks = vec![("root", root), ("payload", payload)];
    if topology.devices == Devices::Debian {
        let debian = "/vm/debian.img,format=raw,snapshot=on".to_owned();
        disks.push(("debian", debian));
    }
    for (name, file) in disks {
        add(&[
            "-drive",
            &format!("if=none,id={name},cache=unsafe,file={file}"),
            "-device",
            &format!("virtio-blk-pci,drive={name},{virtio}"),
        ]);
    }
    add(&["-device", &format!("virtio-serial-pci,{virtio}")]);
    add(&[
        "-chardev",
        "socket,id=agent,path=/vm/run/agent.sock,server=on,wait=off",
    ]);
    add(&[
        "-device",
        &format!("virtserialport,chardev=agent,name={PORT}"),
    ]);
    match topology.devices {
        Devices::None | Devices::Debian => {}
        Devices::Real => args.extend(devices::arguments()),
        Devices::Passed => args.extend(passed::arguments().map(str::to_owned)),
    }
    if topology.misleading {
        args.extend(tables::arguments().map(str::to_owned));
    }
    args
}

fn xen_command_line(topology: &Topology) -> String {
    let memory = topology.dom0_memory;
    let mut line = format!(
        "console=com1 com1=115200,8n1 dom0_mem={memory}M,max:{memory}M dom0_max_vcpus={}",
        topology.dom0_vcpus
    );
    if topology.hypervisor == Hypervisor::Paravane {
        return with_extra(line + " loglvl=all", topology.xen_args);
    }
    line += " loglvl=all guest_loglvl=all";
    // Without this Xen switches the FPU lazily, which corrupts SSE registers on QEMU's emulated SVM: programs in
    // dom0 crash, and checksums in guests come out wrong.
    line += " spec-ctrl=eager-fpu";
    if topology.dom0 == Dom0::Pvh {
        line += " dom0=pvh dom0_vcpus_pin";
    }
    with_extra(line, topology.xen_args)
}

fn dom0_command_line(topology: &Topology) -> String {
    // Every character costs an exit to Xen and a port access; warnings are worth that, notices are not.
    let mut line = "console=hvc0 loglevel=5 panic=1 mitigations=off".to_owned();
    if topology.devices == Devices::Real {
        // From Linux 7.3 on, bounce buffers are only counted if one asks for it.
        line += " swiotlb=track_hiwater";
    }
    with_extra(line, topology.dom0_args)
}

fn with_extra(mut line: String, extra: &str) -> String {
    if !extra.is_empty() {
        line.push(' ');
        line.push_str(extra);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_have_what_the_topology_says() {
        let topology = Topology {
            dom0_memory: 1024,
            xen_args: "tsc=unstable",
            dom0_args: "a=1,2",
            ..Topology::PVH
        };
        assert!(xen_command_line(&topology).contains("dom0_mem=1024M,max:1024M "));
        assert!(xen_command_line(&topology).ends_with("dom0=pvh dom0_vcpus_pin tsc=unstable"));
        let args = arguments(&topology, Root::Temporary);
        assert!(args.contains(&IOMMU.to_owned()));
        assert!(args.iter().any(|arg| arg.contains("a=1,,2,/vm/initrd")));
        assert!(dom0_command_line(&Topology::PV_REAL).contains("swiotlb=track_hiwater"));
        assert!(!arguments(&Topology::PV, Root::Temporary).contains(&IOMMU.to_owned()));
        assert!(arguments(&Topology::PASSED, Root::Temporary).contains(&IOMMU.to_owned()));
        assert!(!arguments(&Topology::PARAVANE, Root::Temporary).contains(&IOMMU.to_owned()));
    }
}
