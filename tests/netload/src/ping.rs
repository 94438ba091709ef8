// SPDX-License-Identifier: GPL-2.0

//! ICMP echo of many lengths, a few at a time in one process: 65508 calls of ping would take hours. The other
//! side's kernel answers, so this needs nothing there.
//!
//! The sockets are raw ones. Those that need no privilege (icmp(7)) reckon a wrong checksum with IPv4 when a message lies in
//! pages of which one has an odd number of its bytes, as a long one does that follows an odd one which is still being
//! sent (seen with Linux 6.18 and 7.2, over the loopback device too).

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use crate::patience;
use crate::pattern::Pattern;
use crate::report::Line;

/// Bytes of the header (RFC 792, RFC 4443): type, code, checksum, identifier, sequence number. With IPv6 the kernel cares
/// for the checksum.
const HEADER: usize = 8;

/// The most bytes a request can carry with IPv4: 65535 less both headers.
const MAX_PAYLOAD: u32 = 65_507;

/// The most bytes that more than one request may have together. A kernel answers by one socket for each processor, whose packets
/// may take some 256 KiB until they are freed, and drops what is beyond (`Icmp: OutErrors`): seven of 65,508 with four times this.
const TOGETHER: u32 = MAX_PAYLOAD / 4;

/// Room for answers that consist of very many fragments.
const BUFFER: usize = 4 << 20;

#[derive(clap::Args)]
pub struct Args {
    /// Whom to ask
    to: IpAddr,
    /// Lengths of content, in bytes
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_PAYLOAD)))]
    sizes: Vec<u32>,
    /// Every length up to this
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_PAYLOAD)))]
    all: Option<u32>,
    /// Requests on their way at a time, unless they are long
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    ahead: u16,
    /// Milliseconds to wait for an answer
    #[arg(long, default_value_t = 3000)]
    patience: u64,
}

/// A request on its way.
struct Asked {
    number: [u8; 2],
    size: u32,
    /// When it counts as lost.
    until: Instant,
}

/// The two sides' types of message.
struct Echo {
    to: IpAddr,
    request: u8,
    answer: u8,
    identifier: [u8; 2],
}

impl Echo {
    fn message(&self, number: [u8; 2], size: u32) -> Vec<u8> {
        let mut message = vec![0; HEADER + size as usize];
        message[0] = self.request;
        message[4..6].copy_from_slice(&self.identifier);
        message[6..8].copy_from_slice(&number);
        Pattern::new(size.into()).fill(0, &mut message[HEADER..]);
        if self.to.is_ipv4() {
            let sum = checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        message
    }

    /// The number and the content of an answer to one of our requests; others' come, too.
    fn answer<'a>(&self, read: &'a [u8]) -> Option<([u8; 2], &'a [u8])> {
        let message = icmp(self.to, read)?;
        let ours = message[0] == self.answer && message[4..6] == self.identifier;
        ours.then(|| ([message[6], message[7]], &message[HEADER..]))
    }
}

/// Sends the requests. A length without an answer is lost; nothing is asked twice.
pub fn run(args: &Args) -> io::Result<Line> {
    let (domain, protocol, request, answer) = match args.to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129),
    };
    let mut socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.connect(&SocketAddr::new(args.to, 0).into())?;
    let echo = Echo {
        to: args.to,
        request,
        answer,
        identifier: (std::process::id() as u16).to_be_bytes(),
    };

    let (mut sent, mut answered) = (0u64, 0u64);
    let (mut lost, mut damaged) = (Vec::new(), Vec::new());
    // A packet can be as long as that, with its header.
    let mut received = vec![0; 1 << 16];
    let every = args.all.map(|last| 0..=last).into_iter().flatten();
    let mut sizes = args.sizes.iter().copied().chain(every).peekable();
    let mut asked: VecDeque<Asked> = VecDeque::new();
    loop {
        while asked.len() < args.ahead.into() {
            let under_way: u32 = asked.iter().map(|asked| asked.size).sum();
            let fits = |size: &u32| asked.is_empty() || under_way + size <= TOGETHER;
            let Some(size) = sizes.next_if(fits) else {
                break;
            };
            let number = (sent as u16).to_be_bytes();
            socket.send(&echo.message(number, size))?;
            sent += 1;
            let until = Instant::now() + patience(args.patience);
            asked.push_back(Asked {
                number,
                size,
                until,
            });
        }
        let Some(oldest) = asked.front() else { break };
        let left = oldest.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            lost.extend(asked.pop_front().map(|asked| asked.size));
            continue;
        }
        socket.set_read_timeout(Some(left))?;
        let len = match socket.read(&mut received) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let Some((number, content)) = echo.answer(&received[..len]) else {
            continue;
        };
        // An answer may come when its request already counts as lost.
        let of_it = asked.iter().position(|asked| asked.number == number);
        let Some(of_it) = of_it.and_then(|at| asked.remove(at)) else {
            continue;
        };
        let pattern = Pattern::new(of_it.size.into());
        if content.len() == of_it.size as usize && pattern.first_wrong(0, content).is_none() {
            answered += 1;
        } else {
            damaged.push(of_it.size);
        }
    }
    Ok(Line::default()
        .with("sent", sent)
        .with("answered", answered)
        .with("lost", lost.len())
        .with("lost_sizes", some(&lost))
        .with("corrupt", damaged.len())
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
