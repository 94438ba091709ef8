// SPDX-License-Identifier: GPL-2.0

//! What the host asks of an agent.

use super::Malformed;
use super::codec::{Decoder, Encoder};

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
        /// As [`Request::Spawn`] gave it.
        job: u32,
        /// Empty to close it.
        data: Vec<u8>,
    },
    /// Send a signal to a job's process group.
    Kill {
        /// As [`Request::Spawn`] gave it.
        job: u32,
        /// As in signal(7).
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
        /// At most a frame's worth: longer files take several requests.
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
        /// The domain, which has to have the agent's event channel and page in the xenstore.
        domid: u32,
    },
    /// Dom0 only: bytes for the agent at the other end of a channel.
    Data {
        /// As [`Request::Open`] gave it.
        channel: u32,
        /// A piece of the stream of frames.
        data: Vec<u8>,
    },
    /// Dom0 only: forget a channel.
    Close {
        /// As [`Request::Open`] gave it.
        channel: u32,
    },
}

impl Request {
    /// The message as a frame's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
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
        out.into_body()
    }

    /// The message in a frame's body.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(body);
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
