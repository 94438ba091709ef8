// SPDX-License-Identifier: GPL-2.0

//! `agent dom0` serves the host over a virtio serial port, `agent guest` serves it over the xenstore mailbox.
//! `agent blkload` is the load generator of the block benchmark, `agent netload` that of everything about networks,
//! `agent mark` makes [marks](counter::mark), `agent hostile` is backends that break every rule, and `agent probe` looks at what no stock tool shows; they are here to spare the images more programs.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::Duration;

use agent::PORT;
use agent::mailbox::{Mailbox, Side};
use agent::serve::serve;
use counter::mark;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["dom0"] => dom0(),
        ["guest"] if is_by_port() => dom0(),
        ["guest"] => guest(),
        ["blkload", ..] => blkload::main(&args[1..]),
        ["netload", ..] => netload::main(&args),
        ["mark", "epoch"] => {
            mark::epoch();
            Ok(())
        }
        ["mark", "loop", rounds] => known_loop(rounds),
        ["hostile", ..] => hostile::main(&args[1..]),
        ["probe", ..] => probes::main(&args[1..]),
        _ => Err(io::Error::other(
            "usage: agent dom0 | agent guest | agent blkload ... | agent netload ... | agent mark ... | agent hostile ... | agent probe ...",
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Executes a loop of a known length between two marks.
fn known_loop(rounds: &str) -> io::Result<()> {
    let rounds = rounds.parse().map_err(io::Error::other)?;
    mark::known_loop(rounds);
    Ok(())
}

fn dom0() -> io::Result<()> {
    let port = File::options().read(true).write(true).open(find_port())?;
    serve(port.try_clone()?, port, true)
}

/// Whether the kernel's command line says that a guest is served through a port, because there is no dom0.
fn is_by_port() -> bool {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    line.split_whitespace()
        .any(|word| word == "paravane.agent=port")
}

/// Waits for the port: its driver probes while we start. How long that may take is for the host to say.
fn find_port() -> String {
    loop {
        if let Ok(ports) = fs::read_dir("/sys/class/virtio-ports") {
            for port in ports.flatten() {
                let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
                if name.trim() == PORT {
                    return format!("/dev/{}", port.file_name().to_string_lossy());
                }
            }
        }
        sleep(Duration::from_millis(100));
    }
}

fn guest() -> io::Result<()> {
    let (sender, pieces) = channel();
    let failed = |error| eprintln!("agent: the mailbox failed: {error}");
    let mailbox = Mailbox::start(Side::Guest, move |piece| sender.send(piece).is_ok(), failed)?;
    let incoming = Incoming {
        pieces,
        unread: vec![],
        at: 0,
    };
    serve(incoming, Outgoing(Arc::new(mailbox)), false)
}

/// The mailbox as something to read from.
struct Incoming {
    pieces: Receiver<Vec<u8>>,
    unread: Vec<u8>,
    at: usize,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.unread.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.unread, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.unread.len() - self.at);
        buffer[..count].copy_from_slice(&self.unread[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The mailbox as something to write to.
struct Outgoing(Arc<Mailbox>);

impl Write for Outgoing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.send(buffer.to_vec());
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
