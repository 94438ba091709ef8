// SPDX-License-Identifier: GPL-2.0

//! Datagrams to a port where nobody listens, one at a time: what became of each tells what was done to it on the way.
//! It comes back as it was, the other side's kernel refuses it, or nothing is heard of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use crate::patience;
use crate::pattern::Pattern;
use crate::report::Line;

#[derive(clap::Args)]
pub struct Args {
    /// Whom to send to
    to: Ipv4Addr,
    /// The port to send to
    #[arg(long, default_value_t = 7)]
    port: u16,
    /// The port to send from; any if 0
    #[arg(long, default_value_t = 0)]
    from_port: u16,
    /// Bytes of a datagram, without headers
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=65_507))]
    size: u32,
    /// How many to send
    #[arg(long, default_value_t = 20)]
    count: u32,
    /// Milliseconds to wait for something to happen
    #[arg(long, default_value_t = 500)]
    patience: u64,
}

/// Sends them and counts what happened.
pub fn run(args: &Args) -> io::Result<Line> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, args.from_port))?;
    socket.connect(SocketAddr::new(IpAddr::V4(args.to), args.port))?;
    socket.set_read_timeout(Some(patience(args.patience.max(1))))?;
    let (mut returned, mut refused, mut lost, mut corrupt) = (0, 0, 0, 0);
    let mut datagram = vec![0; args.size as usize];
    let mut answer = vec![0; 1 << 16];
    for number in 0..args.count {
        let pattern = Pattern::new(number.into());
        pattern.fill(0, &mut datagram);
        let happened = socket
            .send(&datagram)
            .and_then(|_| socket.recv(&mut answer));
        match happened {
            Ok(len) if len == datagram.len() && answer[..len] == datagram[..] => returned += 1,
            Ok(_) => corrupt += 1,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => lost += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(Line::default()
        .with("sent", args.count)
        .with("returned", returned)
        .with("refused", refused)
        .with("lost", lost)
        .with("corrupt", corrupt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn towards(port: u16) -> Line {
        run(&Args {
            to: Ipv4Addr::LOCALHOST,
            port,
            from_port: 0,
            size: 500,
            count: 3,
            patience: 50,
        })
        .unwrap()
    }

    #[test]
    fn what_happens_to_a_datagram_is_told_apart() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = peer.local_addr().unwrap().port();
        assert_eq!(towards(port).get::<u32>("lost").unwrap(), 3);
        let echo = std::thread::spawn(move || {
            let mut buffer = [0; 1000];
            // Three that nobody answered are still waiting, then three to return, the last one changed.
            for number in 0..6 {
                let (len, from) = peer.recv_from(&mut buffer).unwrap();
                buffer[7] ^= u8::from(number == 5);
                let _ = peer.send_to(&buffer[..len], from);
            }
        });
        let line = towards(port);
        echo.join().unwrap();
        assert_eq!(line.get::<u32>("returned").unwrap(), 2, "{line}");
        assert_eq!(line.wrong_content(), Some("1"));
        assert_eq!(towards(port).get::<u32>("refused").unwrap(), 3);
    }
}
