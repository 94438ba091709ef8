// SPDX-License-Identifier: GPL-2.0

//! One QEMU with a hypervisor and dom0 in it: its life and its log files.
//!
//! QEMU runs inside the sandbox's process namespace, which the kernel takes down when this process ends in
//! whatever way, so nothing is ever left running. Its disks are snapshots: nothing is ever left changed.

mod boot_disk;
mod command_line;
mod end;
pub mod guest_disks;
mod monitor;
mod trace;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use kbuild::Images;
use kbuild::accel::Accel;

use crate::console::{Judge, Watcher};
use crate::health::Health;
use crate::pace::Pace;
use crate::snapshot::{self, Snapshot};
use crate::topology::{Devices, Hypervisor, Kernel, Loader, Topology};
use crate::{devices, passed, tables};

use boot_disk::BOOT_DISK;
pub use command_line::{BARE, EAGER_FPU, MITIGATIONS, qemu as arguments};
use end::Ender;

/// How often what is new on the console is judged.
pub(crate) const JUDGED_EVERY: Duration = Duration::from_millis(150);

/// How long UEFI's firmware and GRUB may take.
const FIRMWARE_LIMIT: Duration = Duration::from_secs(60);

/// How long QEMU may take to make its sockets.
pub(crate) const SOCKET_LIMIT: Duration = Duration::from_secs(20);

/// The console's log.
const CONSOLE: &str = "xen-and-dom0.log";

/// QEMU's log of what processors were at when they were reset.
const RESETS: &str = "resets.log";

/// The socket of QEMU's monitor, in the machine's folder.
pub const MONITOR: &str = "monitor.sock";

/// The socket of QEMU's debugger stub, if the machine is [debugged](Topology::debugged).
pub const DEBUGGER: &str = "debugger.sock";

/// The record of what the emulator counted, in the machine's folder, if the machine is [counted](Topology::counted).
pub const COUNTS: &str = "counts.log";

/// Where QEMU finds the plugin that counts.
const COUNTER: &str = "/vm/counter.so";

/// Where QEMU finds the image of dom0's root disk.
const ROOT_IMAGE: &str = "/vm/root.img";

/// Where QEMU finds the disk with a guest's kernel.
const GUEST_KERNEL: &str = "/vm/guest-kernel.img";

/// Where QEMU finds the folder of this machine that a guest sees; an empty one if there is none.
const SHARED: &str = "/vm/shared";

/// By what name dom0 mounts that.
pub const SHARED_TAG: &str = "shared";

/// Where QEMU finds a snapshot.
const KEPT: &str = "/vm/snapshot";

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
    /// Where its hypervisor says where the trace is, if it keeps one.
    trace_info: Option<u64>,
    _console: Watcher,
    _end: Ender,
}

impl Machine {
    /// Starts QEMU. The machine boots, or waits to be told to [go on](Self::go_on) from a snapshot. `dir` is made; it gets the
    /// logs and the sockets.
    pub fn start(images: &Images, topology: &Topology, dir: &Path, root: Root<'_>) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        match topology.devices {
            Devices::None | Devices::Debian | Devices::GuestKernel => {}
            Devices::Real => devices::make_files(dir)?,
            Devices::Passed => passed::prepare(dir)?,
        }
        if topology.misleading {
            tables::make_files(dir, topology.cpus)?;
        }
        let health = Health::default();
        let [root_image, payload] = images.disks();
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
            boot_disk::write(images, topology, dir, [&hypervisor, &kernel, &initrd])?;
        }
        let trace_info = match topology.is_traced() {
            true => Some(crate::trace::info_address(&fs::read(&hypervisor)?)?),
            false => None,
        };
        let accel = topology.accel(&images.acceleration)?;
        let mut command = images
            .qemu
            .command("qemu-system-x86_64")
            .args(arguments(topology, root, accel))
            .ro_bind(hypervisor, "/vm/xen")
            .ro_bind(kernel, "/vm/kernel")
            .ro_bind(initrd, "/vm/initrd")
            .ro_bind(root_image, ROOT_IMAGE)
            .ro_bind(payload, "/vm/payload.img")
            .bind(dir, "/vm/run")
            .current_dir("/vm/run");
        if accel == Accel::Kvm {
            command = command.device("/dev/kvm");
        }
        if topology.loader == Loader::GrubByUefi {
            let [code, _] = images.grub()?.firmware();
            command = command.ro_bind(code, "/vm/firmware.fd");
        }
        if !topology.misbehaving_guest.is_empty() {
            let guest = images.hypervisor()?.misbehaving_guest();
            command = command.ro_bind(guest, "/vm/guest");
        }
        if topology.counted {
            command = command.ro_bind(images.counter()?.plugin(), COUNTER);
        }
        if topology.devices == Devices::Debian {
            command = command.ro_bind(images.debian()?.disk(), "/vm/debian.img");
        }
        if topology.devices == Devices::GuestKernel {
            command = command.ro_bind(images.guest_kernel()?.disk(), GUEST_KERNEL);
            command = guest_disks::prepare(dir, images.guest_disks(), command)?;
            command = match images.shared_folder() {
                Some(folder) => command.ro_bind(folder, SHARED),
                None => command.dir(SHARED),
            };
            if images.has_network() {
                command = command.network();
            }
        }
        match root {
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
            trace_info,
            _console,
            _end: Ender::start(dir.to_owned(), topology.cpus, trace_info),
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

    /// The clock by which limits are kept.
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

    /// As [`check`](Self::check), after a connection to it was lost, which happens a moment before its end.
    pub fn check_end(&mut self) -> Result<()> {
        let limit = self.pace.limit(Duration::from_secs(1));
        while !limit.is_over() {
            self.check()?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
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
        guest_disks::remove(&self.dir);
        let _ = fs::remove_file(self.dir.join(snapshot::ROOT));
        let _ = fs::remove_file(self.dir.join(BOOT_DISK));
        let _ = fs::remove_dir_all(self.dir.join(BOOT_DISK));
    }
}

/// The trace, in the machine's folder, once it was [recorded](Machine::record_trace).
pub const TRACE: &str = "trace.json";

/// Connects to a socket in a machine's folder, which QEMU may not have made yet.
pub fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let dir = File::open(dir)?;
    // A socket's path may have 108 bytes at most; the way through /proc always fits.
    UnixStream::connect(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

/// Whether a hypervisor has said something.
fn has_started(console: &str) -> bool {
    console.contains("(PVN) ") || console.contains("(XEN) ")
}
