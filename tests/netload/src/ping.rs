// SPDX-License-Identifier: GPL-2.0

//! ICMP echo of many lengths, one after the other in one process: 65508 calls of ping would take hours. The other
//! side's kernel answers, so this needs nothing there.

use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::pattern::Pattern;
use crate::report::Line;

/// Bytes of the header (RFC 792, RFC 4443): type, code, checksum, identifier, sequence number. Kernel and socket
/// care for checksum and identifier.
const HEADER: usize = 8;

/// The most bytes a request can carry with IPv4: 65535 less both headers.
const LONGEST: u32 = 65_507;

/// Room for answers that consist of very many fragments.
const BUFFER: usize = 4 << 20;

#[derive(clap::Args)]
pub struct Args {
    /// Whom to ask
    to: IpAddr,
    /// Lengths of content, in bytes
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(..=i64::from(LONGEST)))]
    sizes: Vec<u32>,
    /// Every length up to this
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=i64::from(LONGEST)))]
    all: Option<u32>,
    /// Milliseconds to wait for an answer
    #[arg(long, default_value_t = 3000)]
    patience: u64,
}

/// Sends the requests. A length without an answer is lost; nothing is asked twice.
pub fn run(args: &Args) -> io::Result<Line> {
    // Sockets of this kind need no privilege but this one (icmp(7)).
    fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0")?;
    let (domain, protocol, request, answer) = match args.to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129),
    };
    let mut socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.connect(&SocketAddr::new(args.to, 0).into())?;

    let (mut sent, mut answered, mut corrupt) = (0u64, 0u64, 0u64);
    let (mut lost, mut damaged) = (Vec::new(), Vec::new());
    let mut received = vec![0; 1 << 16];
    let every = args.all.map(|last| 0..=last).into_iter().flatten();
    for size in args.sizes.iter().copied().chain(every) {
        sent += 1;
        let number = (sent % 0xffff) as u16;
        let mut message = vec![0; HEADER + size as usize];
        message[0] = request;
        message[6..8].copy_from_slice(&number.to_be_bytes());
        let pattern = Pattern::new(size.into());
        pattern.fill(0, &mut message[HEADER..]);
        socket.send(&message)?;
        let end = Instant::now() + Duration::from_millis(args.patience);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                lost.push(size);
                break;
            }
            socket.set_read_timeout(Some(left))?;
            let len = match socket.read(&mut received) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            // An answer to an earlier request may come late.
            if len < HEADER || received[0] != answer || received[6..8] != number.to_be_bytes() {
                continue;
            }
            let content = &received[HEADER..len];
            if content.len() == size as usize && pattern.first_wrong(0, content).is_none() {
                answered += 1;
            } else {
                corrupt += 1;
                damaged.push(size);
            }
            break;
        }
    }
    Ok(Line::default()
        .with("sent", sent)
        .with("answered", answered)
        .with("lost", lost.len())
        .with("lost_sizes", some(&lost))
        .with("corrupt", corrupt)
        .with("corrupt_sizes", some(&damaged)))
}

/// The first few numbers of a list.
fn some(numbers: &[u32]) -> String {
    match numbers {
        [] => "none".into(),
        some => {
            let words: Vec<_> = some.iter().take(20).map(u32::to_string).collect();
            words.join(",")
        }
    }
}
