// SPDX-License-Identifier: GPL-2.0

//! A boot with a breakpoint at the kernel's hypercalls, which tells the list of those it makes from its first instruction
//! on. Neither hypervisor nor kernel is changed or notices; the time that it takes means nothing.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use kbuild::Images;
use object::elf::{FileHeader64, SHF_EXECINSTR};
use object::read::elf::ElfFile;
use object::{LittleEndian, Object, ObjectSection, SectionFlags};
use xen_abi::xen::hypercall::MULTICALL;

use super::calls::{Calls, Hypercall};
use crate::gdb::{Client, Register, Registers};
use crate::host::{Host, Start};
use crate::machine;
use crate::topology::Topology;

/// VMMCALL. With a prefix (REP) it is VMGEXIT, which encrypted guests use.
const VMMCALL: [u8; 3] = [0x0f, 0x01, 0xd9];
const REP: u8 = 0xf3;

/// `mov (%rdi), %eax`.
const LOAD: [u8; 2] = [0x8b, 0x07];

/// How often it is looked whether the boot is over, while the machine runs.
const GLANCE: Duration = Duration::from_millis(100);

/// Breakpoints in the kernel. Neither hypervisor moves a PVH guest's kernel, and that way of starting it does not choose
/// addresses at random, so they are where the image says.
struct Breakpoints {
    /// All instructions that may be hypercalls.
    hypercalls: Vec<u64>,
    /// An instruction that loads EAX from where RDI points.
    load: u64,
}

impl Breakpoints {
    fn find(image: &[u8]) -> Result<Self> {
        let file = ElfFile::<FileHeader64<LittleEndian>>::parse(image)
            .context("the kernel's image is no ELF file")?;
        let (mut hypercalls, mut load) = (vec![], None);
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                continue;
            };
            if sh_flags & u64::from(SHF_EXECINSTR) == 0 {
                continue;
            }
            let (code, start) = (section.data()?, section.address());
            hypercalls.extend(vmmcalls(code).map(|at| start + at as u64));
            load = load.or_else(|| find(code, &LOAD).next().map(|at| start + at as u64));
        }
        ensure!(!hypercalls.is_empty(), "the kernel's image has no VMMCALL");
        let load = load.context("the kernel's image nowhere loads EAX from RDI")?;
        Ok(Self { hypercalls, load })
    }
}

/// Where there may be hypercalls. That some are only a part of other instructions does no harm: nothing goes there.
fn vmmcalls(code: &[u8]) -> impl Iterator<Item = usize> {
    let prefixed = |at: usize| at > 0 && code[at - 1] == REP;
    find(code, &VMMCALL).filter(move |at| !prefixed(*at))
}

/// Where some bytes are.
fn find<'a>(code: &'a [u8], what: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let windows = code.windows(what.len()).enumerate();
    windows.filter_map(move |(at, bytes)| (bytes == what).then_some(at))
}

/// Boots until the toolstack answers, and returns the hypercalls until then. The boot's logs go to `dir`.
pub fn watch(images: &Images, topology: &Topology, dir: &Path) -> Result<Calls> {
    ensure!(topology.cpus == 1, "several processors stop by turns");
    let kernel = images.payload.vmlinux();
    let image = fs::read(&kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
    let places = Breakpoints::find(&image).with_context(|| kernel.display().to_string())?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let recorder = Recorder::start(dir.to_owned(), places);
    let topology = Topology {
        debugged: true,
        ..*topology
    };
    let host = Host::start(images, &topology, dir, Start::Boot);
    let calls = recorder.finish();
    let (host, calls) = match (host, calls) {
        (Ok(host), calls) => (host, calls?),
        (Err(error), Ok(_)) => return Err(error),
        // Either may be the other's reason.
        (Err(error), Err(why)) => return Err(error.context(format!("{why:#}"))),
    };
    host.shutdown()?;
    ensure!(calls.total() > 0, "no hypercall was seen");
    Ok(calls)
}

/// The recording, on a thread of its own.
struct Recorder {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Calls>>,
}

impl Recorder {
    /// Records as soon as there is a machine in `dir`, which waits for it.
    fn start(dir: PathBuf, places: Breakpoints) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let stream = connect(&dir, &seen)?;
            record(Client::new(stream), &places, &seen)
        });
        Self { over, thread }
    }

    /// Ends the recording; the machine goes on.
    fn finish(self) -> Result<Calls> {
        self.over.store(true, Ordering::Relaxed);
        let calls = self.thread.join();
        calls.map_err(|_| anyhow!("the recording of hypercalls panicked"))?
    }
}

fn connect(dir: &Path, over: &AtomicBool) -> Result<UnixStream> {
    loop {
        match machine::connect(dir, machine::DEBUGGER) {
            Ok(stream) => return Ok(stream),
            Err(error) if over.load(Ordering::Relaxed) => {
                return Err(error).context("QEMU's debugger stub does not answer");
            }
            Err(_) => thread::sleep(GLANCE),
        }
    }
}

fn record(mut client: Client, places: &Breakpoints, over: &AtomicBool) -> Result<Calls> {
    let mut calls = Calls::default();
    for address in &places.hypercalls {
        client.set_breakpoint(*address)?;
        client.set_breakpoint(address + VMMCALL.len() as u64)?;
    }
    loop {
        client.resume()?;
        let mut stopped = false;
        while !stopped && !over.load(Ordering::Relaxed) {
            stopped = client.stops_within(GLANCE)?;
        }
        if !stopped {
            client.interrupt()?;
            client.detach()?;
            return Ok(calls);
        }
        let registers = client.registers()?;
        if places.hypercalls.contains(&registers.rip) {
            let mut load = |at| load(&mut client, places.load, &registers, at);
            let call = Hypercall::read(&registers, &mut load)?;
            if calls.made(call, registers.rsp) && call.number == u64::from(MULTICALL) {
                let parts = Hypercall::parts(&registers, &mut load)?;
                parts.into_iter().for_each(|part| calls.made_within(part));
            }
        } else {
            calls.returned(registers.rsp, registers.rax);
        }
        client.step()?;
    }
}

/// Reads four bytes at an address. QEMU's stub takes a guest's memory for the machine's, which it is not under Xen, so the
/// processor is made to read them, as the guest that it runs. Its registers are then again what they were.
fn load(client: &mut Client, instruction: u64, registers: &Registers, at: u64) -> Result<u32> {
    client.set_register(Register::Rdi, at)?;
    client.set_register(Register::Rip, instruction)?;
    client.step()?;
    let after = client.registers()?;
    ensure!(
        after.rip == instruction + LOAD.len() as u64,
        "a hypercall's argument at {at:#x} cannot be read"
    );
    client.set_register(Register::Rax, registers.rax)?;
    client.set_register(Register::Rdi, registers.rdi)?;
    client.set_register(Register::Rip, registers.rip)?;
    Ok(after.rax as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gdb::fake;

    #[test]
    fn hypercalls_are_found_in_code() {
        let code = b"\x0f\x01\xd9\xc3\xf3\x0f\x01\xd9\x90\x0f\x01\xd9\xe9\x0f\x01";
        assert_eq!(vmmcalls(code).collect::<Vec<_>>(), [0, 9]);
        assert!(Breakpoints::find(b"#!/bin/sh").is_err());
    }

    /// A machine that makes one hypercall whose command is in memory, which is refused, and runs on.
    #[test]
    fn a_hypercall_is_recorded_with_its_command_and_its_answer() {
        let stopped = "T05thread:01;";
        let made = Registers {
            rax: 7,
            rdi: 0x8000,
            rsp: 0x9000,
            rip: 0x1000,
            eflags: 0x246,
            ..Registers::default()
        };
        let loaded = Registers {
            rax: 50,
            rip: 0x2002,
            ..made
        };
        let returned = Registers {
            rax: 38u64.wrapping_neg(),
            rip: 0x1003,
            ..made
        };
        let [made, loaded, returned] =
            [made, loaded, returned].map(|state| fake::registers(&state));
        let script = [
            ("Z1,1000,1", "OK"),
            ("Z1,1003,1", "OK"),
            ("c", stopped),
            ("g", &made),
            ("P5=0080000000000000", "OK"),
            ("P10=0020000000000000", "OK"),
            ("s", stopped),
            ("g", &loaded),
            ("P0=0700000000000000", "OK"),
            ("P5=0080000000000000", "OK"),
            ("P10=0010000000000000", "OK"),
            ("s", stopped),
            ("c", stopped),
            ("g", &returned),
            ("s", stopped),
            ("c", ""),
            ("\x03", "T02thread:01;"),
            ("D", "OK"),
        ];
        let script = script.map(|(said, answer)| (said.to_owned(), answer.to_owned()));
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let (client, played) =
            fake::stub(script.into(), move || end.store(true, Ordering::Relaxed));
        let places = Breakpoints {
            hypercalls: vec![0x1000],
            load: 0x2000,
        };
        let calls = record(client, &places, &over).unwrap();
        played.join().unwrap();
        assert_eq!((calls.total(), calls.kinds()), (1, 1));
        let text = super::super::list::section(&calls, &Calls::default());
        let row = "| `platform_op.firmware_info` | kernel | 1, 1 × ENOSYS |  |";
        assert!(text.contains(row), "{text}");
    }
}
