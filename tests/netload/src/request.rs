// SPDX-License-Identifier: GPL-2.0

//! Asking `serve` for something: one line over a TCP connection, and lines back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::patience;
use crate::report::Line;

/// Where `serve` listens unless told otherwise.
pub const PORT: u16 = 7700;

/// How long to wait for the other end to start listening.
const PATIENCE: u64 = 10_000;

/// A longer line is no request.
const LINE_MAX: usize = 1024;

/// Where the other end is.
#[derive(Args)]
pub struct Server {
    /// The address of a machine that runs `serve`, without a port
    pub to: std::net::IpAddr,
    /// The port it listens on
    #[arg(long, default_value_t = PORT)]
    pub port: u16,
}

impl Server {
    /// Connects and asks. A server that does not listen yet is waited for.
    pub fn ask(&self, request: &Line) -> io::Result<TcpStream> {
        let address = SocketAddr::new(self.to, self.port);
        let end = Instant::now() + patience(PATIENCE);
        let mut stream = loop {
            match TcpStream::connect(address) {
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < end =>
                {
                    thread::sleep(Duration::from_millis(20));
                }
                done => break done?,
            }
        };
        stream.set_nodelay(true)?;
        send(&mut stream, request)?;
        Ok(stream)
    }
}

/// Sends a line.
pub fn send(stream: &mut TcpStream, line: &Line) -> io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes())
}

/// Receives a line, and nothing of what follows it.
pub fn receive(stream: &mut TcpStream) -> io::Result<Line> {
    let mut text = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => break,
            [other] if text.len() < LINE_MAX => text.push(other),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line without end",
                ));
            }
        }
    }
    String::from_utf8_lossy(&text).parse()
}

/// How much content is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Check {
    /// Every byte.
    All,
    /// None: the receiver does not even copy the data, so that the device is what is measured.
    None,
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Check::All => "all",
            Check::None => "none",
        })
    }
}

impl std::str::FromStr for Check {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "all" => Ok(Check::All),
            "none" => Ok(Check::None),
            _ => Err(()),
        }
    }
}
