// SPDX-License-Identifier: GPL-2.0

//! UDP datagrams with numbers: what was lost, came twice, came late, or came changed.
//!
//! A datagram is its number (8 bytes), its length (4 bytes), and content that depends on the number. [`fragments`]
//! sends some that the kernel has in a chosen number of pages ([`crate::pieces`]).

mod receiver;
mod schedule;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine;
use crate::pattern::Pattern;
use crate::pieces::{self, Pipe, TOGETHER};
use crate::report::Line;
use crate::request::{self, Check, Server};
use receiver::Receiver;
use schedule::Schedule;

/// Bytes of number and length.
const HEADER: usize = 12;

/// The longest datagram of IPv4 (RFC 768): 65535 bytes less the headers.
const MAX_PAYLOAD: u32 = 65_507;

/// Room for datagrams that have come and were not looked at yet.
const BUFFER: usize = 8 << 20;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    /// The datagrams come from the other end
    #[arg(long)]
    reverse: bool,
    /// Sockets that send at the same time; number n does so on processor n
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    streams: u32,
    /// Bytes of a datagram, without headers
    #[arg(long, default_value_t = 1400, value_parser = clap::value_parser!(u32).range(HEADER as i64..=i64::from(MAX_PAYLOAD)))]
    size: u32,
    /// Datagrams a second of each socket, or as many as possible
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Milliseconds before anything is counted
    #[arg(long, default_value_t = 0)]
    warm: u64,
    /// Milliseconds to send for
    #[arg(long, default_value_t = 1000)]
    time: u64,
    /// What is checked
    #[arg(long, value_enum, default_value_t = Check::All)]
    check: Check,
    /// The device whose packets are counted
    #[arg(long)]
    device: Option<String>,
}

#[derive(clap::Args)]
pub struct FragmentsArgs {
    #[command(flatten)]
    server: Server,
    /// The fewest pages of a datagram
    #[arg(long, default_value_t = 1, value_parser = pages())]
    from: u32,
    /// The most pages of a datagram
    #[arg(long, default_value_t = TOGETHER, value_parser = pages())]
    upto: u32,
    /// Datagrams of each number of pages
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// The most bytes of a datagram: what the device's MTU leaves, or it is sent in parts
    #[arg(long, default_value_t = MAX_PAYLOAD)]
    largest: u32,
}

fn pages() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(TOGETHER))
}

/// Runs the sockets and sums up what they saw.
pub fn run(args: &Args) -> io::Result<Line> {
    let parts = thread::scope(|scope| {
        let sockets: Vec<_> = (0..args.streams)
            .map(|number| scope.spawn(move || one(args, number)))
            .collect();
        let [warm, time] = [args.warm, args.time].map(Duration::from_millis);
        let watch = scope.spawn(move || machine::watch(args.device.as_deref(), warm, time));
        sockets
            .into_iter()
            .chain([watch])
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
            })
            .collect::<io::Result<Vec<Line>>>()
    })?;
    let (watched, sockets) = parts
        .split_last()
        .ok_or_else(|| io::Error::other("no socket"))?;
    let sum = |name| -> io::Result<u64> { sockets.iter().map(|line| line.get::<u64>(name)).sum() };
    let mut line = Line::default();
    for name in receiver::WORDS {
        line = line.with(name, sum(name)?);
    }
    Ok(line.and(watched.clone()))
}

fn one(args: &Args, number: u32) -> io::Result<Line> {
    machine::pin(number)?;
    let request = Line::default()
        .with("size", args.size)
        .with("rate", args.rate)
        .with("warm", args.warm)
        .with("time", args.time)
        .with("check", args.check);
    if args.reverse {
        let socket = bind(&args.server.to)?;
        let port = socket.local_addr()?.port();
        let request = request
            .clone()
            .with("want", "udp-source")
            .with("port", port);
        let mut control = args.server.ask(&request)?;
        return Receiver::new(&request)?.run(&socket, &mut control);
    }
    let mut control = args.server.ask(&Line::default().with("want", "udp-sink"))?;
    let socket = towards(&mut control, &args.server)?;
    request::send(&mut control, &request)?;
    let sent = transmit(&socket, &request)?;
    request::send(&mut control, &Line::default().with("sent", sent))?;
    request::receive(&mut control)
}

/// Sends datagrams of all numbers of pages.
pub fn fragments(args: &FragmentsArgs) -> io::Result<Line> {
    let mut control = args.server.ask(&Line::default().with("want", "udp-sink"))?;
    let socket = towards(&mut control, &args.server)?;
    let request = Line::default()
        .with("warm", 0)
        .with("time", 1000)
        .with("check", Check::All);
    request::send(&mut control, &request)?;
    let pipe = Pipe::new()?;
    let mut sent = 0;
    for round in 0..args.count {
        for count in args.from..=args.upto {
            let sizes = pieces::sizes(count, round, HEADER as u32, args.largest);
            let mut datagram = vec![0; sizes.iter().sum::<u32>() as usize];
            fill(&mut datagram, sent, Check::All);
            pipe.send(&socket, &datagram, &sizes)?;
            sent += 1;
        }
    }
    request::send(&mut control, &Line::default().with("sent", sent))?;
    request::receive(&mut control)
}

/// The socket for what the other end is ready to receive.
fn towards(control: &mut TcpStream, server: &Server) -> io::Result<UdpSocket> {
    let port = request::receive(control)?.get("port")?;
    let socket = bind(&server.to)?;
    socket.connect(SocketAddr::new(server.to, port))?;
    Ok(socket)
}

/// The other end of datagrams out.
pub fn sink(mut control: TcpStream) -> io::Result<()> {
    let socket = bind(&control.peer_addr()?.ip())?;
    let port = Line::default().with("port", socket.local_addr()?.port());
    request::send(&mut control, &port)?;
    let request = request::receive(&mut control)?;
    let line = Receiver::new(&request)?.run(&socket, &mut control)?;
    request::send(&mut control, &line)
}

/// The other end of datagrams in.
pub fn source(mut control: TcpStream, request: &Line) -> io::Result<()> {
    let to = control.peer_addr()?.ip();
    let socket = bind(&to)?;
    socket.connect(SocketAddr::new(to, request.get("port")?))?;
    let sent = transmit(&socket, request)?;
    request::send(&mut control, &Line::default().with("sent", sent))
}

/// A socket of the family that reaches an address.
fn bind(to: &IpAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    // Only root may have as much; without, more is lost on a busy machine.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER);
    Ok(socket)
}

/// Writes number and length, and the content if it will be checked.
fn fill(datagram: &mut [u8], number: u64, check: Check) {
    let len = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
    let (header, content) = datagram.split_at_mut(HEADER);
    header[..8].copy_from_slice(&number.to_le_bytes());
    header[8..].copy_from_slice(&len.to_le_bytes());
    if check == Check::All {
        Pattern::new(number).fill(0, content);
    }
}

fn transmit(socket: &UdpSocket, request: &Line) -> io::Result<u64> {
    let [warm, time] = [request.get("warm")?, request.get("time")?].map(Duration::from_millis);
    let (rate, check): (u32, Check) = (request.get("rate")?, request.get("check")?);
    let size: u32 = request.get("size")?;
    let mut datagram = vec![0; size.clamp(HEADER as u32, MAX_PAYLOAD) as usize];
    let started = Instant::now();
    let mut schedule = (rate > 0).then(|| Schedule::new(started, rate));
    let mut sent = 0u64;
    while started.elapsed() < warm + time {
        if let Some(schedule) = &mut schedule {
            thread::sleep(schedule.next(Instant::now()));
        }
        fill(&mut datagram, sent, check);
        match socket.send(&datagram) {
            Ok(_) => sent += 1,
            // What the other end says of a socket that it has closed already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
