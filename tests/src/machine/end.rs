// SPDX-License-Identifier: GPL-2.0

//! The end of a machine. QEMU pauses it ([`PAUSE`]) instead of ending, so that what the processors were at can be written
//! down: after a triple fault nothing else tells of it. Then QEMU is told to quit.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::connect;

/// QEMU's arguments that make it pause when the machine ends.
pub const PAUSE: [&str; 2] = ["-action", "shutdown=pause"];

/// The socket of QEMU's machine protocol (QMP), in the machine's folder.
pub const QMP: &str = "qmp.sock";

/// What the processors were at when the machine was reset and did not start again.
const REGISTERS: &str = "registers.log";

/// Words of each processor's stack that are written down.
const STACK_WORDS: u32 = 128;

/// How often QEMU is asked for its socket.
const RETRY: Duration = Duration::from_millis(50);

/// Ends a paused QEMU, in a thread; dropping it waits for that, which QEMU's end ends too.
pub struct Ender {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ender {
    /// For a QEMU that makes its sockets in `dir`. `trace_info` is where the hypervisor tells of its trace, if it keeps one.
    pub fn start(dir: PathBuf, cpus: u32, trace_info: Option<u64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match connect(&dir, QMP) {
                    // An error means that QEMU is gone.
                    Ok(stream) => {
                        return drop(end_when_paused(stream, &dir, cpus, trace_info));
                    }
                    Err(_) => thread::sleep(RETRY),
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Ender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for the machine's end, writes down what it was at if that was a reset, and has QEMU quit.
fn end_when_paused(
    stream: UnixStream,
    dir: &Path,
    cpus: u32,
    trace_info: Option<u64>,
) -> io::Result<()> {
    let mut qmp = Qmp(BufReader::new(stream));
    qmp.send(r#"{"execute": "qmp_capabilities"}"#)?;
    let event = qmp.line_with(r#""event": "SHUTDOWN""#)?;
    // A processor asks for a reset by the reset register, by the keyboard controller, or by a triple fault.
    let mut trace = None;
    if event.contains(r#""reason": "guest-reset""#) {
        fs::write(dir.join(REGISTERS), registers(&mut qmp, cpus)?)?;
        // A hypervisor that had nothing to trace yet has no trace.
        trace = trace_info.and_then(|info| {
            super::trace::read(dir, info, |command| Ok(qmp.monitor(command, 0)?)).ok()
        });
    }
    qmp.send(r#"{"execute": "quit"}"#)?;
    if let Some(trace) = trace {
        super::trace::write(dir, &trace).map_err(io::Error::other)?;
    }
    // QEMU drops what it has not read when the other end goes.
    io::copy(&mut qmp.0, &mut io::sink()).map(drop)
}

/// The registers of all processors, and the tops of their stacks.
fn registers(qmp: &mut Qmp, cpus: u32) -> io::Result<String> {
    let mut text = qmp.monitor("info registers -a", 0)?;
    for cpu in 0..cpus {
        let stack = qmp.monitor(&format!("x /{STACK_WORDS}gx $rsp"), cpu)?;
        text += &format!("\nstack of CPU#{cpu}\n{stack}");
    }
    Ok(text)
}

/// A connection by QEMU's machine protocol. Each answer and event is a line.
struct Qmp(BufReader<UnixStream>);

impl Qmp {
    fn send(&mut self, command: &str) -> io::Result<()> {
        self.0.get_mut().write_all(command.as_bytes())
    }

    /// The next line that contains `mark`.
    fn line_with(&mut self, mark: &str) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.contains(mark) {
                return Ok(line);
            }
        }
    }

    /// What the human monitor answers to a command about a processor.
    fn monitor(&mut self, command: &str, cpu: u32) -> io::Result<String> {
        // Commands and answers have no characters that JSON would escape, but the ends of lines.
        self.send(&format!(
            r#"{{"execute": "human-monitor-command", "arguments": {{"command-line": "{command}", "cpu-index": {cpu}}}}}"#
        ))?;
        let answer = self.line_with(r#"{"return": ""#)?;
        let text = answer.trim().trim_start_matches(r#"{"return": ""#);
        Ok(text.trim_end_matches("\"}").replace("\\r\\n", "\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays QEMU for one machine that ends for `reason`. Returns what it was asked.
    fn asked(reason: &str) -> (Vec<String>, Option<String>) {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let qemu = thread::spawn({
            let event = format!(
                "{{\"event\": \"SHUTDOWN\", \"data\": {{\"guest\": true, \"reason\": \"{reason}\"}}}}\r\n"
            );
            move || {
                let mut theirs = theirs;
                let mut asked = Vec::new();
                let mut part = [0; 4096];
                theirs.write_all(b"{\"QMP\": {}}\r\n").unwrap();
                while let Ok(len @ 1..) = io::Read::read(&mut theirs, &mut part) {
                    let command = String::from_utf8_lossy(&part[..len]).into_owned();
                    if command.contains("quit") {
                        asked.push(command);
                        // QEMU takes its time, and drops the command if nobody waits.
                        let timeout = Some(Duration::from_millis(50));
                        theirs.set_read_timeout(timeout).unwrap();
                        let more = io::Read::read(&mut theirs, &mut part);
                        assert!(more.is_err(), "the connection is closed: {more:?}");
                        break;
                    }
                    let answer = match () {
                        () if command.contains("capabilities") => {
                            format!("{{\"return\": {{}}}}\r\n{event}")
                        }
                        () if command.contains("info registers") => {
                            "{\"return\": \"CPU#0\\r\\nRAX=1\\r\\n\"}\r\n".to_owned()
                        }
                        () => "{\"return\": \"0: 0x1\\r\\n\"}\r\n".to_owned(),
                    };
                    asked.push(command);
                    if theirs.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
                asked
            }
        });
        end_when_paused(ours, dir.path(), 2, None).unwrap();
        let written = fs::read_to_string(dir.path().join(REGISTERS)).ok();
        (qemu.join().unwrap(), written)
    }

    #[test]
    fn a_reset_leaves_the_registers_and_stacks() {
        let (asked, written) = asked("guest-reset");
        let written = written.unwrap();
        assert!(written.starts_with("CPU#0\nRAX=1\n"), "{written:?}");
        assert!(written.contains("stack of CPU#1\n0: 0x1\n"), "{written:?}");
        assert!(asked.last().unwrap().contains("quit"));
    }

    #[test]
    fn a_power_off_only_ends_it() {
        let (asked, written) = asked("guest-shutdown");
        assert_eq!((asked.len(), written), (2, None));
        assert!(asked[1].contains("quit"));
    }
}
