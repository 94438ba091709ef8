// SPDX-License-Identifier: GPL-2.0

//! One program run for the host: its process group, its streams, its time-out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::message::{Exit, Reply};

/// How long output may still come after the program ended: a daemon it left behind may hold the pipe for ever.
const LINGER: Duration = Duration::from_millis(300);

/// How many bytes are read after that: what the program has left in its pipe is read however late this is, but what a daemon
/// writes all the time is not. No pipe of an ordinary user's is larger (pipe(7), `pipe-max-size`).
const LEFT_MAX: usize = 1 << 20;

/// What to run.
pub struct Order {
    /// The host's number for it.
    pub job: u32,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// When to kill it.
    pub timeout: Option<Duration>,
    /// Whether input will come.
    pub stdin: bool,
    /// Rows and columns of its terminal.
    pub pty: Option<(u16, u16)>,
}

/// A program that was started.
pub struct Job {
    group: Pid,
    input: Option<Sender<Vec<u8>>>,
}

impl Job {
    /// Starts a program. Its output and its end are reported through `replies`; `ended` is called after that.
    pub fn start(
        order: Order,
        replies: &SyncSender<Reply>,
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (mut child, mut streams, mut input) = match order.pty {
            None => with_pipes(&order)?,
            Some(size) => with_terminal(&order, size)?,
        };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = pid.ok_or_else(|| io::Error::other("a process without a number"))?;
        let job = order.job;
        let _ = replies.send(Reply::Started {
            job,
            pid: child.id(),
        });

        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let mut pumps = Vec::new();
        for (stream, source) in streams.drain(..) {
            let (replies, end) = (replies.clone(), Arc::clone(&end));
            pumps.push(thread::spawn(move || {
                pump(job, stream, source, &end, &replies);
            }));
        }
        let input = input.take().map(feed);

        let replies = replies.clone();
        thread::spawn(move || {
            let exit = wait(&mut child, group, order.timeout);
            let _ = rustix::io::write(&*end, &1_u64.to_ne_bytes());
            for pump in pumps {
                let _ = pump.join();
            }
            let _ = replies.send(match exit {
                Ok(exit) => Reply::Exited { job, exit },
                Err(error) => Reply::Failed {
                    job,
                    message: format!("cannot wait for it: {error}"),
                },
            });
            ended();
        });
        Ok(Self { group, input })
    }

    /// Queues input; none at all closes the program's standard input.
    pub fn input(&mut self, data: Vec<u8>) {
        if data.is_empty() {
            self.input = None;
        } else if let Some(input) = &self.input {
            // A program that closed its input or ended does not want it.
            let _ = input.send(data);
        }
    }

    /// Sends a signal to the program and everything it started.
    pub fn kill(&self, signal: u32) -> io::Result<()> {
        let number = i32::try_from(signal).ok().and_then(Signal::from_named_raw);
        let signal = number.ok_or_else(|| io::Error::other("no such signal"))?;
        kill_process_group(self.group, signal).map_err(Into::into)
    }
}

type Sink = Box<dyn Write + Send>;
type Parts = (Child, Vec<(u8, File)>, Option<Sink>);

fn program(argv: &[String]) -> io::Result<Command> {
    let (program, args) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("no program is named"))?;
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

fn with_pipes(order: &Order) -> io::Result<Parts> {
    let mut command = program(&order.argv)?;
    command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.stdin(if order.stdin {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    let mut child = command.spawn()?;
    let mut streams = Vec::new();
    if let Some(out) = child.stdout.take() {
        streams.push((1, File::from(OwnedFd::from(out))));
    }
    if let Some(err) = child.stderr.take() {
        streams.push((2, File::from(OwnedFd::from(err))));
    }
    let input = child.stdin.take().map(|input| Box::new(input) as Sink);
    Ok((child, streams, input))
}

/// `setsid -c` makes the terminal the controlling one, which keyboard interrupts and job control need.
fn with_terminal(order: &Order, (rows, cols): (u16, u16)) -> io::Result<Parts> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let size = Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size)?;
    let name = ptsname(&master, Vec::new())?;
    let terminal = File::options()
        .read(true)
        .write(true)
        .open(name.to_string_lossy().as_ref())?;
    let mut argv = vec!["setsid".to_owned(), "-c".to_owned()];
    argv.extend_from_slice(&order.argv);
    let mut command = program(&argv)?;
    command
        .stdin(terminal.try_clone()?)
        .stdout(terminal.try_clone()?)
        .stderr(terminal);
    let child = command.spawn()?;
    drop(command);
    let master = File::from(master);
    Ok((
        child,
        vec![(1, master.try_clone()?)],
        Some(Box::new(master)),
    ))
}

/// Sends on what comes out of `source`, until its end or, if `end` has become readable, until a daemon may have it to itself.
fn pump(job: u32, stream: u8, mut source: File, end: &OwnedFd, replies: &SyncSender<Reply>) {
    let mut buffer = [0u8; 16 << 10];
    // When the program's end has been seen, and how much is read after it has lingered.
    let (mut ended, mut left) = (None::<Instant>, LEFT_MAX);
    loop {
        match wait_for_output(&source, end, &mut ended) {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
        match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let data = buffer[..count].to_vec();
                if replies.send(Reply::Output { job, stream, data }).is_err() {
                    return;
                }
                if ended.is_some_and(|ended| ended.elapsed() > LINGER) {
                    left = left.saturating_sub(count);
                    if left == 0 {
                        return;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal whose last user went away answers EIO: that is its end.
            Err(_) => return,
        }
    }
}

/// Waits for output, or the end of it. Returns `false` if there is none for [`LINGER`] after the program's end, whose time is put
/// into `ended`.
fn wait_for_output(source: &File, end: &OwnedFd, ended: &mut Option<Instant>) -> io::Result<bool> {
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN)];
        let left = ended.map(|ended| LINGER.saturating_sub(ended.elapsed()));
        if left.is_none() {
            fds.push(PollFd::new(end, PollFlags::IN));
        }
        let left = left.map(Timespec::try_from).transpose();
        match poll(&mut fds, left.map_err(io::Error::other)?.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) if !fds[0].revents().is_empty() => return Ok(true),
            Ok(_) => *ended = Some(Instant::now()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn feed(mut sink: Sink) -> Sender<Vec<u8>> {
    let (sender, receiver) = channel::<Vec<u8>>();
    thread::spawn(move || {
        for data in receiver {
            if sink.write_all(&data).and_then(|()| sink.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

/// Waits for the program, which stays a zombie until then, so the number of its group is not used again.
fn wait(child: &mut Child, group: Pid, timeout: Option<Duration>) -> io::Result<Exit> {
    let mut timed_out = false;
    if let Some(timeout) = timeout {
        let pidfd = pidfd_open(group, PidfdFlags::empty())?;
        let end = Instant::now() + timeout;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
                Ok(0) => {
                    timed_out = true;
                    let _ = kill_process_group(group, Signal::KILL);
                    break;
                }
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if timed_out {
            // A program stuck in the kernel does not even die: say so instead of waiting with it.
            let grace = Timespec {
                tv_sec: 5,
                tv_nsec: 0,
            };
            if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&grace))? == 0 {
                return Ok(Exit::TimedOut);
            }
        }
    }
    let status = child.wait()?;
    Ok(match (timed_out, status.code(), status.signal()) {
        (true, ..) => Exit::TimedOut,
        (_, Some(code), _) => Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)),
        (_, _, signal) => Exit::Signal(u8::try_from(signal.unwrap_or(0)).unwrap_or(u8::MAX)),
    })
}
