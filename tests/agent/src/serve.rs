// SPDX-License-Identifier: GPL-2.0

//! The agent's main loop: takes requests from one stream, executes them, answers on another.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::job::{Job, Order};
use crate::message::{Reply, Request, VERSION};
use crate::relay::Relay;
use crate::wire;

/// Answers waiting for the stream; a program that prints faster than the stream carries has to wait.
const BACKLOG: usize = 32;

/// The longest piece of a file sent at once.
const READ_MAX: usize = 256 << 10;

/// Serves until the requests end. `relay` is true in dom0.
pub fn serve(
    mut requests: impl Read,
    mut answers: impl Write + Send + 'static,
    relay: bool,
) -> io::Result<()> {
    let (replies, outgoing) = sync_channel::<Reply>(BACKLOG);
    thread::Builder::new()
        .name("answers".into())
        .spawn(move || {
            for reply in outgoing {
                if let Err(error) = wire::write_frame(&mut answers, &reply.encode()) {
                    eprintln!("agent: cannot answer: {error}");
                    return;
                }
            }
        })?;
    let mut server = Server {
        jobs: Arc::default(),
        relay: relay.then(Relay::default),
        replies,
    };
    while let Some(body) = wire::read_frame(&mut requests)? {
        let request = Request::decode(&body).map_err(io::Error::other)?;
        server.handle(request);
    }
    Ok(())
}

struct Server {
    jobs: Arc<Mutex<HashMap<u32, Job>>>,
    relay: Option<Relay>,
    replies: SyncSender<Reply>,
}

impl Server {
    fn handle(&mut self, request: Request) {
        let job = match &request {
            Request::Spawn { job, .. }
            | Request::Input { job, .. }
            | Request::Kill { job, .. }
            | Request::Write { job, .. }
            | Request::Read { job, .. } => *job,
            _ => 0,
        };
        if let Err(error) = self.execute(request) {
            let _ = self.replies.send(Reply::Failed {
                job,
                message: error.to_string(),
            });
        }
    }

    fn execute(&mut self, request: Request) -> io::Result<()> {
        match request {
            Request::Hello => {
                let kernel = rustix::system::uname()
                    .release()
                    .to_string_lossy()
                    .into_owned();
                self.answer(Reply::Hello {
                    version: VERSION,
                    kernel,
                });
            }
            Request::Spawn {
                job,
                argv,
                timeout_ms,
                stdin,
                pty,
            } => {
                let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
                self.spawn(Order {
                    job,
                    argv,
                    timeout,
                    stdin,
                    pty,
                })?;
            }
            Request::Input { job, data } => {
                if let Some(job) = self.jobs().get_mut(&job) {
                    job.input(data);
                }
            }
            Request::Kill { job, signal } => {
                if let Some(job) = self.jobs().get(&job) {
                    job.kill(signal)?;
                }
            }
            Request::Write {
                job,
                path,
                mode,
                append,
                data,
            } => {
                write_file(Path::new(&path), mode, append, &data).map_err(|e| naming(&path, e))?;
                self.answer(Reply::Done { job });
            }
            Request::Read {
                job,
                path,
                offset,
                len,
            } => {
                let data = read_file(&path, offset, len).map_err(|e| naming(&path, e))?;
                self.answer(Reply::Content { job, data });
            }
            Request::Open { channel, domid } => {
                let replies = self.replies.clone();
                if let Err(error) = self.relay()?.open(channel, domid, &replies) {
                    self.answer(Reply::Lost {
                        channel,
                        message: error.to_string(),
                    });
                }
            }
            Request::Data { channel, data } => self.relay()?.data(channel, data),
            Request::Close { channel } => self.relay()?.close(channel),
        }
        Ok(())
    }

    fn spawn(&self, order: Order) -> io::Result<()> {
        let number = order.job;
        let jobs = Arc::clone(&self.jobs);
        // Held while starting, so that the end of a very short program finds its entry.
        let mut running = self.jobs();
        let job = Job::start(order, &self.replies, move || {
            jobs.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&number);
        })?;
        running.insert(number, job);
        Ok(())
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn relay(&mut self) -> io::Result<&mut Relay> {
        self.relay
            .as_mut()
            .ok_or_else(|| io::Error::other("only dom0's agent reaches other domains"))
    }

    fn answer(&self, reply: Reply) {
        // A stream that broke ends the main loop too; there is nobody to tell here.
        let _ = self.replies.send(reply);
    }
}

fn naming(path: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

fn write_file(path: &Path, mode: u32, append: bool, data: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = File::options();
    let mut file = options
        .create(true)
        .write(true)
        .append(append)
        .truncate(!append)
        .open(path)?;
    file.write_all(data)?;
    if !append {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn read_file(path: &str, offset: u64, len: u32) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    // Files of /proc and /sys are not all seekable, and from their beginning they need not be.
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    let mut data = Vec::new();
    file.take((len as usize).min(READ_MAX) as u64)
        .read_to_end(&mut data)?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Exit;
    use crate::wire::{frame, read_frame};
    use std::os::unix::net::UnixStream;

    /// Runs a server on one end of a socket and returns the other.
    fn server() -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let answers = theirs.try_clone().unwrap();
        thread::spawn(move || serve(theirs, answers, false));
        ours
    }

    fn ask(stream: &mut UnixStream, request: &Request) {
        stream.write_all(&frame(&request.encode())).unwrap();
    }

    fn next(stream: &mut UnixStream) -> Reply {
        Reply::decode(&read_frame(stream).unwrap().unwrap()).unwrap()
    }

    fn spawn(job: u32, script: &str) -> Request {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        Request::Spawn {
            job,
            argv,
            timeout_ms: 0,
            stdin: false,
            pty: None,
        }
    }

    /// Everything a job says until its end: standard output, standard error, exit.
    fn collect(stream: &mut UnixStream, wanted: u32) -> (Vec<u8>, Vec<u8>, Exit) {
        let (mut out, mut err) = (vec![], vec![]);
        loop {
            match next(stream) {
                Reply::Output {
                    job,
                    stream: 1,
                    data,
                } if job == wanted => out.extend(data),
                Reply::Output { job, data, .. } if job == wanted => err.extend(data),
                Reply::Exited { job, exit } if job == wanted => return (out, err, exit),
                Reply::Started { .. } => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    #[test]
    fn streams_and_status_are_kept_apart() {
        let mut stream = server();
        ask(&mut stream, &spawn(5, "echo out; echo err >&2; exit 3"));
        let (out, err, exit) = collect(&mut stream, 5);
        assert_eq!(
            (&out[..], &err[..], exit),
            (&b"out\n"[..], &b"err\n"[..], Exit::Code(3))
        );
    }

    #[test]
    fn a_program_is_killed_with_its_children_when_its_time_is_over() {
        let mut stream = server();
        let Request::Spawn {
            job,
            argv,
            stdin,
            pty,
            ..
        } = spawn(1, "sleep 77 & wait")
        else {
            unreachable!()
        };
        ask(
            &mut stream,
            &Request::Spawn {
                job,
                argv,
                timeout_ms: 200,
                stdin,
                pty,
            },
        );
        assert_eq!(collect(&mut stream, 1).2, Exit::TimedOut);
    }

    #[test]
    fn a_daemon_left_behind_does_not_hold_up_the_answer() {
        let mut stream = server();
        ask(&mut stream, &spawn(2, "sleep 5 & echo started"));
        assert_eq!(collect(&mut stream, 2).0, b"started\n");
    }

    #[test]
    fn output_of_a_program_that_has_ended_comes_before_its_end_however_late() {
        let mut stream = server();
        // More than the stream and the backlog hold, and less than the pipe does.
        for job in 0..100 {
            ask(&mut stream, &spawn(job, "head -c 60000 /dev/zero"));
        }
        thread::sleep(Duration::from_secs(1));
        let mut sizes = HashMap::new();
        let mut ended = 0;
        while ended < 100 {
            match next(&mut stream) {
                Reply::Output { job, data, .. } => *sizes.entry(job).or_insert(0) += data.len(),
                Reply::Exited { job, exit } => {
                    assert_eq!((exit, sizes.get(&job)), (Exit::Code(0), Some(&60_000)));
                    ended += 1;
                }
                Reply::Started { .. } => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    #[test]
    fn input_reaches_the_program_and_ends() {
        let mut stream = server();
        let argv = vec!["cat".to_owned()];
        ask(
            &mut stream,
            &Request::Spawn {
                job: 9,
                argv,
                timeout_ms: 0,
                stdin: true,
                pty: None,
            },
        );
        ask(
            &mut stream,
            &Request::Input {
                job: 9,
                data: b"hello".to_vec(),
            },
        );
        ask(
            &mut stream,
            &Request::Input {
                job: 9,
                data: vec![],
            },
        );
        assert_eq!(collect(&mut stream, 9).0, b"hello");
    }

    #[test]
    fn files_are_written_and_read_in_pieces() {
        let mut stream = server();
        let path = std::env::temp_dir().join(format!("agent-test-{}/f", std::process::id()));
        let path = path.to_str().unwrap().to_owned();
        for (append, data) in [(false, b"one".to_vec()), (true, b"two".to_vec())] {
            let path = path.clone();
            ask(
                &mut stream,
                &Request::Write {
                    job: 1,
                    path,
                    mode: 0o600,
                    append,
                    data,
                },
            );
            assert_eq!(next(&mut stream), Reply::Done { job: 1 });
        }
        ask(
            &mut stream,
            &Request::Read {
                job: 2,
                path: path.clone(),
                offset: 1,
                len: 4,
            },
        );
        assert_eq!(
            next(&mut stream),
            Reply::Content {
                job: 2,
                data: b"netw".to_vec()
            }
        );
        fs::remove_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        ask(
            &mut stream,
            &Request::Read {
                job: 3,
                path,
                offset: 0,
                len: 4,
            },
        );
        assert!(matches!(next(&mut stream), Reply::Failed { job: 3, .. }));
    }
}
