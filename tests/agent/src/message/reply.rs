// SPDX-License-Identifier: GPL-2.0

//! What an agent answers.

use super::codec::{Decoder, Encoder};
use super::{Exit, Malformed};

/// From an agent to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The answer to [`Request::Hello`](super::Request::Hello).
    Hello {
        /// [`VERSION`](super::VERSION).
        version: u32,
        /// What `uname -r` says.
        kernel: String,
    },
    /// A job's program runs.
    Started {
        /// The number that the request gave.
        job: u32,
        /// Its process, which leads a process group.
        pid: u32,
    },
    /// A piece of a job's output, as its program wrote it.
    Output {
        /// The number that the request gave.
        job: u32,
        /// 1 for standard output, 2 for standard error.
        stream: u8,
        /// Not necessarily whole lines or characters.
        data: Vec<u8>,
    },
    /// A job's program ended; nothing more comes from it.
    Exited {
        /// The number that the request gave.
        job: u32,
        /// How.
        exit: Exit,
    },
    /// The request could not be done.
    Failed {
        /// The number that the request gave.
        job: u32,
        /// Why.
        message: String,
    },
    /// A [`Request::Write`](super::Request::Write) is done.
    Done {
        /// The number that the request gave.
        job: u32,
    },
    /// The answer to [`Request::Read`](super::Request::Read); shorter than asked for at the end of the file.
    Content {
        /// The number that the request gave.
        job: u32,
        /// Empty at the end of the file.
        data: Vec<u8>,
    },
    /// Bytes from the agent at the other end of a channel.
    Data {
        /// The number that [`Request::Open`](super::Request::Open) gave.
        channel: u32,
        /// A piece of the stream of frames.
        data: Vec<u8>,
    },
    /// A channel that cannot be opened or broke.
    Lost {
        /// The number that [`Request::Open`](super::Request::Open) gave.
        channel: u32,
        /// Why.
        message: String,
    },
}

impl Reply {
    /// The message as a frame's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
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
        out.into_body()
    }

    /// The message in a frame's body.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(body);
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
