// SPDX-License-Identifier: GPL-2.0

//! A guest without dom0: our hypervisor starts it itself (`solo`), or QEMU does without any hypervisor, to compare. What it
//! writes to its console is passed on, and QEMU's exit status tells how it ended.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kbuild::Images;

use crate::machine::{BARE, MITIGATIONS};
use crate::pace::Pace;

/// The port of QEMU's `isa-debug-exit`.
const EXIT_PORT: u16 = 0x501;
/// How long a guest may take from QEMU's start to its end.
const LIMIT: Duration = Duration::from_secs(120);
/// How often it is looked whether the time is over.
const GLANCE: Duration = Duration::from_millis(100);
/// What the init of the initramfs writes first.
const INIT_RUNS: &str = "paravane: init after ";
/// Bytes of the console that are kept.
const MAX_CONSOLE: usize = 1 << 20;

/// What the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoloKernel {
    /// The kernel under test with a small initramfs.
    Stock,
    /// The guest of ours that tries to hurt the hypervisor. It ends by a triple fault.
    Misbehaving,
}

/// What starts the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartedBy {
    /// Our hypervisor.
    Paravane,
    /// QEMU itself; there is no hypervisor.
    Qemu,
}

/// A guest to be started.
#[derive(Clone, Debug)]
pub struct SoloGuest {
    /// What starts it.
    pub started_by: StartedBy,
    /// What it runs.
    pub kernel: SoloKernel,
    /// Its virtual processors.
    pub vcpus: u32,
    /// Its memory in MiB.
    pub memory: u32,
    /// Words for its command line.
    pub args: String,
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoloEnding {
    /// It powered off.
    PoweredOff,
    /// It rebooted.
    Rebooted,
    /// It crashed: it says so, or a triple fault.
    Crashed,
    /// The hypervisor crashed.
    HypervisorCrashed,
    /// QEMU ended in another way.
    Other(ExitStatus),
}

/// What was seen of a guest.
#[derive(Debug)]
pub struct SoloReport {
    /// How it ended.
    pub ending: SoloEnding,
    /// From QEMU's start to the first line of its init, if there was one.
    pub init: Option<Duration>,
    /// From QEMU's start to its end.
    pub took: Duration,
    /// What was on the console.
    pub console: String,
}

impl SoloGuest {
    /// A guest with one processor and 512 MiB.
    pub fn new(started_by: StartedBy, kernel: SoloKernel) -> Self {
        Self {
            started_by,
            kernel,
            vcpus: 1,
            memory: 512,
            args: String::new(),
        }
    }

    /// How it is to end by itself.
    pub fn wanted(&self) -> SoloEnding {
        match self.kernel {
            SoloKernel::Stock => SoloEnding::PoweredOff,
            SoloKernel::Misbehaving => SoloEnding::Crashed,
        }
    }

    fn command_line(&self) -> String {
        let args = &self.args;
        match (self.kernel, self.started_by) {
            (SoloKernel::Stock, StartedBy::Paravane) => {
                format!("console=hvc0 panic=-1 {MITIGATIONS} {args}")
            }
            (SoloKernel::Stock, StartedBy::Qemu) => {
                format!("console=ttyS0 panic=-1 {MITIGATIONS} {args}")
            }
            (SoloKernel::Misbehaving, _) => {
                // With a range as small as its memory it would soon lose the pages that it runs in.
                format!("memory=1024 calls=20000 seed=1 devices=0 image=0 {args}")
            }
        }
    }

    /// QEMU's arguments.
    fn arguments(&self) -> Vec<String> {
        // The first processor runs no vCPUs in QEMU's emulation.
        let (cpus, memory) = match self.started_by {
            StartedBy::Paravane => (self.vcpus + 1, self.memory + 512),
            StartedBy::Qemu => (self.vcpus, self.memory),
        };
        let (memory, cpus) = (memory.to_string(), cpus.to_string());
        let exit = format!("isa-debug-exit,iobase={EXIT_PORT:#x}");
        let processor = ["-cpu", "max,-rdtscp", "-accel", "tcg,thread=multi"];
        let machine = ["-M", "q35,usb=off", "-m", &memory, "-smp", &cpus];
        let ends = ["-no-reboot", "-serial", "stdio", "-device", &exit];
        let words = [&machine[..], &processor, &BARE, &ends].concat();
        let mut args: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let line = self.command_line();
        let pairs = match self.started_by {
            StartedBy::Paravane => {
                let hypervisor = format!(
                    "console=com1 solo solo_mem={}M solo_vcpus={} solo_exit={EXIT_PORT:#x}",
                    self.memory, self.vcpus
                );
                // -initrd splits at commas; a doubled one stands for itself.
                let mut modules = format!("/vm/kernel {line}").replace(',', ",,");
                if self.kernel == SoloKernel::Stock {
                    modules += ",/vm/run/initrd";
                }
                vec![
                    ("-kernel", "/vm/hypervisor".to_owned()),
                    ("-append", hypervisor),
                    ("-initrd", modules),
                ]
            }
            StartedBy::Qemu => vec![
                ("-kernel", "/vm/kernel".to_owned()),
                ("-append", line),
                ("-initrd", "/vm/run/initrd".to_owned()),
            ],
        };
        for (option, value) in pairs {
            args.extend([option.to_owned(), value]);
        }
        args
    }
}

/// Starts a guest and waits for its end. `each` gets what it writes to its console. The folder gets the initramfs and the
/// console's log.
pub fn run(
    images: &Images,
    dir: &Path,
    guest: &SoloGuest,
    each: &mut dyn FnMut(&str),
) -> Result<SoloReport> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    images.write_solo_initramfs(dir, "initrd")?;
    let hypervisor = images.hypervisor()?;
    let kernel = match guest.kernel {
        SoloKernel::Stock => images.payload.vmlinux(),
        SoloKernel::Misbehaving => hypervisor.misbehaving_guest(),
    };
    let mut command = images
        .qemu
        .command("qemu-system-x86_64")
        .args(guest.arguments())
        .ro_bind(hypervisor.image(), "/vm/hypervisor")
        .ro_bind(kernel, "/vm/kernel")
        .bind(dir, "/vm/run")
        .current_dir("/vm/run")
        .build()?;
    let errors = dir.join("qemu.log");
    let started = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&errors)?)
        .spawn()
        .context("cannot start QEMU in the sandbox")?;
    let mut running = Running(child);
    let watched = watch(&mut running, started, each);
    let _ = fs::remove_file(dir.join("initrd"));
    let (init, console) = watched?;
    fs::write(dir.join("console.log"), &console)?;
    let status = running.0.wait()?;
    let ending = SoloEnding::of(status, guest.started_by);
    if let SoloEnding::Other(status) = ending {
        let said = fs::read_to_string(&errors).unwrap_or_default();
        let status = kbuild::process::describe(status);
        let last = console.lines().next_back().unwrap_or_default();
        bail!(
            "QEMU ended ({status}) {}; last on the console: {last}",
            said.trim()
        );
    }
    Ok(SoloReport {
        ending,
        init,
        took: started.elapsed(),
        console,
    })
}

/// A QEMU that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Passes the console on until QEMU closes it. Returns when init wrote its line, and all text.
fn watch(
    running: &mut Running,
    started: Instant,
    each: &mut dyn FnMut(&str),
) -> Result<(Option<Duration>, String)> {
    let pace = Pace::of(running.0.id())?;
    let limit = pace.limit(LIMIT);
    let mut console = running.0.stdout.take().context("QEMU has no output")?;
    let (send, parts) = mpsc::channel();
    thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(len @ 1..) = console.read(&mut part) {
            if send.send(part[..len].to_vec()).is_err() {
                break;
            }
        }
    });
    let (mut text, mut init) = (String::new(), None);
    loop {
        match parts.recv_timeout(GLANCE) {
            Ok(part) => {
                let part = String::from_utf8_lossy(&part).replace('\r', "");
                each(&part);
                if text.len() < MAX_CONSOLE {
                    text += &part;
                }
                if init.is_none() && text.contains(INIT_RUNS) {
                    init = Some(started.elapsed());
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok((init, text)),
            Err(RecvTimeoutError::Timeout) if limit.is_over() => {
                let last = text.lines().next_back().unwrap_or_default();
                bail!(
                    "the guest did not end in {}; last, it said {last:?}",
                    limit.spent()
                );
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl SoloEnding {
    /// From QEMU's exit status: see docs/reference/hypervisor-options.md. Without the hypervisor it is 0 for all ends.
    fn of(status: ExitStatus, started_by: StartedBy) -> Self {
        match (status.code(), started_by) {
            (Some(33), StartedBy::Paravane) | (Some(0), StartedBy::Qemu) => Self::PoweredOff,
            (Some(35), StartedBy::Paravane) => Self::Rebooted,
            (Some(39), StartedBy::Paravane) => Self::Crashed,
            (Some(65), StartedBy::Paravane) => Self::HypervisorCrashed,
            _ => Self::Other(status),
        }
    }
}

impl fmt::Display for SoloEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOff => write!(f, "the guest has powered off"),
            Self::Rebooted => write!(f, "the guest has rebooted"),
            Self::Crashed => write!(f, "the guest has crashed"),
            Self::HypervisorCrashed => write!(f, "the hypervisor has crashed"),
            Self::Other(status) => write!(f, "QEMU ended: {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_command_lines_start_one_guest() {
        let mut guest = SoloGuest::new(StartedBy::Paravane, SoloKernel::Stock);
        guest.args = "a=1,2".into();
        let args = guest.arguments();
        assert!(
            args.iter()
                .any(|arg| arg.ends_with("a=1,,2,/vm/run/initrd"))
        );
        assert!(
            args.iter()
                .any(|arg| arg.contains("solo solo_mem=512M solo_vcpus=1 solo_exit=0x501"))
        );
        assert!(args.windows(2).any(|pair| pair == ["-smp", "2"]));
        let alone = SoloGuest::new(StartedBy::Qemu, SoloKernel::Stock).arguments();
        assert!(!alone.iter().any(|arg| arg.contains("solo")));
    }

    #[test]
    fn exit_statuses_are_those_of_the_reference_page() {
        let page = include_str!("../../docs/reference/hypervisor-options.md");
        let code = |code: i32| SoloEnding::of(ExitStatus::from_raw(code << 8), StartedBy::Paravane);
        for (status, ending, text) in [
            (33, SoloEnding::PoweredOff, "has powered off"),
            (35, SoloEnding::Rebooted, "has rebooted"),
            (39, SoloEnding::Crashed, "has crashed"),
            (
                65,
                SoloEnding::HypervisorCrashed,
                "none: the hypervisor has crashed",
            ),
        ] {
            assert_eq!(code(status), ending);
            assert!(page.contains(&format!("| {status} | {text}")), "{status}");
        }
        assert!(matches!(code(1), SoloEnding::Other(_)));
    }
}
