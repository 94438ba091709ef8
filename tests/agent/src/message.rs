// SPDX-License-Identifier: GPL-2.0

//! What the host asks of an agent and what the agent answers; each message is the body of one frame.

use std::fmt;

/// The protocol's version: host and agent are built from the same tree, so anything else is a stale image.
pub const VERSION: u32 = 1;

/// From the host to an agent. A `job` is a number the host picks, unique among its unfinished requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Ask who is there.
    Hello,
    /// Run a program.
    Spawn {
        /// Names the job in all later messages.
        job: u32,
        /// Program and arguments; the program is looked up in PATH.
        argv: Vec<String>,
        /// Kill the program's process group with SIGKILL after this many milliseconds; 0 is never.
        timeout_ms: u32,
        /// Whether [`Request::Input`] follows; otherwise standard input is empty.
        stdin: bool,
        /// Give it a pseudo-terminal of this many rows and columns as its controlling terminal.
        pty: Option<(u16, u16)>,
    },
    /// Bytes for a job's standard input; none at all closes it.
    Input {
        /// The job.
        job: u32,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Send a signal to a job's process group.
    Kill {
        /// The job.
        job: u32,
        /// The signal's number.
        signal: u32,
    },
    /// Write to a file, making its folders.
    Write {
        /// Names the answer.
        job: u32,
        /// The file's absolute path.
        path: String,
        /// Permission bits, used when `append` is false.
        mode: u32,
        /// Add to the file instead of replacing it.
        append: bool,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Read a part of a file.
    Read {
        /// Names the answer.
        job: u32,
        /// The file's absolute path.
        path: String,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes at most.
        len: u32,
    },
    /// Dom0 only: reach the agent of a domain. With a channel that is open already the domain has a new number
    /// (it was restored) and the conversation goes on.
    Open {
        /// A number the host picks.
        channel: u32,
        /// The domain's number.
        domid: u32,
    },
    /// Dom0 only: bytes for the agent at the other end of a channel.
    Data {
        /// The channel.
        channel: u32,
        /// A piece of the stream of frames.
        data: Vec<u8>,
    },
    /// Dom0 only: forget a channel.
    Close {
        /// The channel.
        channel: u32,
    },
}

/// From an agent to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The answer to [`Request::Hello`].
    Hello {
        /// [`VERSION`].
        version: u32,
        /// What `uname -r` says.
        kernel: String,
    },
    /// A job's program runs.
    Started {
        /// The job.
        job: u32,
        /// Its process, which leads a process group.
        pid: u32,
    },
    /// A job's output.
    Output {
        /// The job.
        job: u32,
        /// 1 for standard output, 2 for standard error.
        stream: u8,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A job's program ended; nothing more comes from it.
    Exited {
        /// The job.
        job: u32,
        /// How.
        exit: Exit,
    },
    /// The request could not be done.
    Failed {
        /// The job.
        job: u32,
        /// Why.
        message: String,
    },
    /// A [`Request::Write`] is done.
    Done {
        /// The job.
        job: u32,
    },
    /// The answer to [`Request::Read`]; shorter than asked for at the end of the file.
    Content {
        /// The job.
        job: u32,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Bytes from the agent at the other end of a channel.
    Data {
        /// The channel.
        channel: u32,
        /// A piece of the stream of frames.
        data: Vec<u8>,
    },
    /// A channel that cannot be opened or broke.
    Lost {
        /// The channel.
        channel: u32,
        /// Why.
        message: String,
    },
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With a status.
    Code(u8),
    /// By a signal.
    Signal(u8),
    /// Killed by the agent because its time was over.
    TimedOut,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "ended with status {code}"),
            Exit::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Exit::TimedOut => f.write_str("did not end in time"),
        }
    }
}

/// A body that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a message of the agent cannot be understood (is the image older than the tool?)",
        )
    }
}

impl std::error::Error for Malformed {}

impl Request {
    /// The message as a frame's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out::default();
        match self {
            Self::Hello => out.u8(0),
            Self::Spawn {
                job,
                argv,
                timeout_ms,
                stdin,
                pty,
            } => {
                out.u8(1)
                    .u32(*job)
                    .u32(u32::try_from(argv.len()).unwrap_or(0));
                for arg in argv {
                    out.bytes(arg.as_bytes());
                }
                let (rows, cols) = pty.unwrap_or_default();
                out.u32(*timeout_ms)
                    .u8((*stdin).into())
                    .u8(pty.is_some().into());
                out.u32(rows.into()).u32(cols.into())
            }
            Self::Input { job, data } => out.u8(2).u32(*job).bytes(data),
            Self::Kill { job, signal } => out.u8(3).u32(*job).u32(*signal),
            Self::Write {
                job,
                path,
                mode,
                append,
                data,
            } => out
                .u8(4)
                .u32(*job)
                .bytes(path.as_bytes())
                .u32(*mode)
                .u8((*append).into())
                .bytes(data),
            Self::Read {
                job,
                path,
                offset,
                len,
            } => out
                .u8(5)
                .u32(*job)
                .bytes(path.as_bytes())
                .u64(*offset)
                .u32(*len),
            Self::Open { channel, domid } => out.u8(6).u32(*channel).u32(*domid),
            Self::Data { channel, data } => out.u8(7).u32(*channel).bytes(data),
            Self::Close { channel } => out.u8(8).u32(*channel),
        };
        out.0
    }

    /// The message in a frame's body.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut input = In(body);
        let message = match input.u8()? {
            0 => Self::Hello,
            1 => {
                let job = input.u32()?;
                let count = input.u32()?;
                let argv = (0..count).map(|_| input.text()).collect::<Result<_, _>>()?;
                let timeout_ms = input.u32()?;
                let (stdin, has_pty) = (input.u8()? != 0, input.u8()? != 0);
                let size = (input.u16()?, input.u16()?);
                Self::Spawn {
                    job,
                    argv,
                    timeout_ms,
                    stdin,
                    pty: has_pty.then_some(size),
                }
            }
            2 => Self::Input {
                job: input.u32()?,
                data: input.bytes()?,
            },
            3 => Self::Kill {
                job: input.u32()?,
                signal: input.u32()?,
            },
            4 => Self::Write {
                job: input.u32()?,
                path: input.text()?,
                mode: input.u32()?,
                append: input.u8()? != 0,
                data: input.bytes()?,
            },
            5 => Self::Read {
                job: input.u32()?,
                path: input.text()?,
                offset: input.u64()?,
                len: input.u32()?,
            },
            6 => Self::Open {
                channel: input.u32()?,
                domid: input.u32()?,
            },
            7 => Self::Data {
                channel: input.u32()?,
                data: input.bytes()?,
            },
            8 => Self::Close {
                channel: input.u32()?,
            },
            _ => return Err(Malformed),
        };
        input.end(message)
    }
}

impl Reply {
    /// The message as a frame's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out::default();
        match self {
            Self::Hello { version, kernel } => out.u8(0).u32(*version).bytes(kernel.as_bytes()),
            Self::Started { job, pid } => out.u8(1).u32(*job).u32(*pid),
            Self::Output { job, stream, data } => out.u8(2).u32(*job).u8(*stream).bytes(data),
            Self::Exited { job, exit } => {
                let (kind, value) = match exit {
                    Exit::Code(code) => (0, *code),
                    Exit::Signal(signal) => (1, *signal),
                    Exit::TimedOut => (2, 0),
                };
                out.u8(3).u32(*job).u8(kind).u8(value)
            }
            Self::Failed { job, message } => out.u8(4).u32(*job).bytes(message.as_bytes()),
            Self::Done { job } => out.u8(5).u32(*job),
            Self::Content { job, data } => out.u8(6).u32(*job).bytes(data),
            Self::Data { channel, data } => out.u8(7).u32(*channel).bytes(data),
            Self::Lost { channel, message } => out.u8(8).u32(*channel).bytes(message.as_bytes()),
        };
        out.0
    }

    /// The message in a frame's body.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut input = In(body);
        let message = match input.u8()? {
            0 => Self::Hello {
                version: input.u32()?,
                kernel: input.text()?,
            },
            1 => Self::Started {
                job: input.u32()?,
                pid: input.u32()?,
            },
            2 => Self::Output {
                job: input.u32()?,
                stream: input.u8()?,
                data: input.bytes()?,
            },
            3 => {
                let job = input.u32()?;
                let exit = match (input.u8()?, input.u8()?) {
                    (0, code) => Exit::Code(code),
                    (1, signal) => Exit::Signal(signal),
                    (2, _) => Exit::TimedOut,
                    _ => return Err(Malformed),
                };
                Self::Exited { job, exit }
            }
            4 => Self::Failed {
                job: input.u32()?,
                message: input.text()?,
            },
            5 => Self::Done { job: input.u32()? },
            6 => Self::Content {
                job: input.u32()?,
                data: input.bytes()?,
            },
            7 => Self::Data {
                channel: input.u32()?,
                data: input.bytes()?,
            },
            8 => Self::Lost {
                channel: input.u32()?,
                message: input.text()?,
            },
            _ => return Err(Malformed),
        };
        input.end(message)
    }
}

/// Little-endian numbers; byte strings with a length of four bytes.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(value);
        self
    }
}

struct In<'a>(&'a [u8]);

impl In<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (value, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*value)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        u16::try_from(self.u32()?).map_err(|_| Malformed)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let len = self.u32()? as usize;
        let (value, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(value.to_vec())
    }

    fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    fn end<T>(self, message: T) -> Result<T, Malformed> {
        if self.0.is_empty() {
            Ok(message)
        } else {
            Err(Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        vec![
            Request::Hello,
            Request::Spawn {
                job: 1,
                argv: vec!["sh".into(), "-c".into(), String::new()],
                timeout_ms: 5,
                stdin: true,
                pty: Some((24, 80)),
            },
            Request::Spawn {
                job: 2,
                argv: vec![],
                timeout_ms: 0,
                stdin: false,
                pty: None,
            },
            Request::Input {
                job: 1,
                data: vec![0, 255],
            },
            Request::Kill { job: 1, signal: 9 },
            Request::Write {
                job: 3,
                path: "/x".into(),
                mode: 0o755,
                append: true,
                data: vec![1],
            },
            Request::Read {
                job: 4,
                path: "/é".into(),
                offset: 1 << 40,
                len: 9,
            },
            Request::Open {
                channel: 7,
                domid: 12,
            },
            Request::Data {
                channel: 7,
                data: vec![],
            },
            Request::Close { channel: 7 },
        ]
    }

    fn replies() -> Vec<Reply> {
        vec![
            Reply::Hello {
                version: VERSION,
                kernel: "7.2".into(),
            },
            Reply::Started { job: 1, pid: 100 },
            Reply::Output {
                job: 1,
                stream: 2,
                data: vec![3; 70],
            },
            Reply::Exited {
                job: 1,
                exit: Exit::Code(255),
            },
            Reply::Exited {
                job: 1,
                exit: Exit::Signal(11),
            },
            Reply::Exited {
                job: 1,
                exit: Exit::TimedOut,
            },
            Reply::Failed {
                job: 1,
                message: "no".into(),
            },
            Reply::Done { job: 3 },
            Reply::Content {
                job: 4,
                data: vec![9],
            },
            Reply::Data {
                channel: 7,
                data: vec![1, 2],
            },
            Reply::Lost {
                channel: 7,
                message: "gone".into(),
            },
        ]
    }

    #[test]
    fn messages_come_back_as_they_went() {
        for message in requests() {
            assert_eq!(Request::decode(&message.encode()), Ok(message));
        }
        for message in replies() {
            assert_eq!(Reply::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn cut_and_padded_messages_are_refused() {
        for body in requests().iter().map(Request::encode) {
            assert_eq!(Request::decode(&body[..body.len() - 1]), Err(Malformed));
            assert_eq!(Request::decode(&[&body[..], &[0]].concat()), Err(Malformed));
        }
        for body in replies().iter().map(Reply::encode) {
            assert_eq!(Reply::decode(&body[..body.len() - 1]), Err(Malformed));
        }
        assert_eq!(Reply::decode(&[99]), Err(Malformed));
    }
}
