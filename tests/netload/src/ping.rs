// SPDX-License-Identifier: GPL-2.0

//! ICMP echo of many lengths, one after the other in one process: 65508 calls of ping would take hours. The other
//! side's kernel answers, so this needs nothing there.
//!
//! The sockets are raw ones. Those that need no privilege (icmp(7)) reckon a wrong checksum with IPv4 when a message lies in
//! pages of which one has an odd number of its bytes, as a long one does that follows an odd one which is still being
//! sent (seen with Linux 6.18 and 7.2, over the loopback device too).

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::pattern::Pattern;
use crate::report::Line;

/// Bytes of the header (RFC 792, RFC 4443): type, code, checksum, identifier, sequence number. With IPv6 the kernel cares
/// for the checksum.
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
    let (domain, protocol, request, answer) = match args.to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129),
    };
    let mut socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    let identifier = (std::process::id() as u16).to_be_bytes();
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.connect(&SocketAddr::new(args.to, 0).into())?;

    let (mut sent, mut answered, mut corrupt) = (0u64, 0u64, 0u64);
    let (mut lost, mut damaged) = (Vec::new(), Vec::new());
    // A packet can be as long as that, with its header.
    let mut received = vec![0; 1 << 16];
    let every = args.all.map(|last| 0..=last).into_iter().flatten();
    for size in args.sizes.iter().copied().chain(every) {
        sent += 1;
        let number = (sent % 0xffff) as u16;
        let mut message = vec![0; HEADER + size as usize];
        message[0] = request;
        message[4..6].copy_from_slice(&identifier);
        message[6..8].copy_from_slice(&number.to_be_bytes());
        let pattern = Pattern::new(size.into());
        pattern.fill(0, &mut message[HEADER..]);
        if args.to.is_ipv4() {
            let sum = checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
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
            let Some(found) = icmp(args.to, &received[..len]) else {
                continue;
            };
            // Others' come, too, and an answer to an earlier request may come late.
            if found[0] != answer
                || found[4..6] != identifier
                || found[6..8] != number.to_be_bytes()
            {
                continue;
            }
            let content = &found[HEADER..];
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

/// The message in what a raw socket reads: with IPv4 the packet's header comes first (raw(7)).
fn icmp(from: IpAddr, read: &[u8]) -> Option<&[u8]> {
    let start = match from {
        IpAddr::V4(_) => usize::from(read.first()? & 15) * 4,
        IpAddr::V6(_) => 0,
    };
    read.get(start..).filter(|message| message.len() >= HEADER)
}

/// The Internet's checksum (RFC 1071) over a message whose own is zero.
fn checksum(message: &[u8]) -> u16 {
    let words = message.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u64::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 1071, section 3, and the same with an odd end.
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&words), !0xddf2);
        assert_eq!(checksum(&[0x12, 0x34, 0x56]), !(0x1234 + 0x5600));
        assert_eq!(checksum(&[0xff, 0xff, 0x00, 0x01]), !1);
    }

    #[test]
    fn an_ipv4_header_of_any_length_is_skipped() {
        let v4: IpAddr = "10.0.0.1".parse().unwrap();
        let mut packet = vec![0; 24 + HEADER];
        (packet[0], packet[24]) = (0x46, 8);
        assert_eq!(icmp(v4, &packet).unwrap()[0], 8);
        assert!(icmp(v4, &packet[..24 + HEADER - 1]).is_none());
        assert!(icmp(v4, &[]).is_none());
    }
}
