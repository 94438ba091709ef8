// SPDX-License-Identifier: GPL-2.0

//! Ethernet frames that are no IP: every length that the device takes, as they are, to all on the link or to some.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind};
use socket2::{Domain, Protocol, Socket, Type};

use crate::patience;
use crate::pattern::Pattern;
use crate::report::Line;

/// For experiments on a local network (IEEE 802, "local experimental EtherType 1").
const ETHERTYPE: u16 = 0x88b5;

/// Two addresses and the type.
const HEADER: usize = 14;

/// The content begins with its own length.
const SHORTEST: u32 = 2;

/// Room for frames that were not looked at yet.
const BUFFER: usize = 8 << 20;

#[derive(clap::Args)]
pub struct SendArgs {
    /// The device
    #[arg(long)]
    device: String,
    /// The longest content, in bytes: the device's MTU
    #[arg(long, default_value_t = 1500)]
    upto: u32,
    /// The address they are for
    #[arg(long, default_value = "ff:ff:ff:ff:ff:ff", value_parser = address)]
    to: Address,
}

#[derive(clap::Args)]
pub struct ReceiveArgs {
    /// The device
    #[arg(long)]
    device: String,
    /// The longest content, in bytes
    #[arg(long, default_value_t = 1500)]
    upto: u32,
    /// Milliseconds to wait after the last frame
    #[arg(long, default_value_t = 3000)]
    patience: u64,
}

/// An Ethernet address.
type Address = [u8; 6];

/// Reads one.
fn address(text: &str) -> Result<Address, String> {
    let bytes: Result<Vec<u8>, _> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect();
    let bytes = bytes.map_err(|error| error.to_string())?;
    bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| format!("{} bytes, not 6", bytes.len()))
}

/// Sends one frame of every length.
pub fn send(args: &SendArgs) -> io::Result<Line> {
    let (mut socket, own) = open(&args.device)?;
    let mut sent = 0;
    for len in SHORTEST..=args.upto {
        let mut frame = vec![0; HEADER + len as usize];
        frame[..6].copy_from_slice(&args.to);
        frame[6..12].copy_from_slice(&own.addr().unwrap_or_default());
        frame[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
        fill(&mut frame[HEADER..]);
        socket.write_all(&frame)?;
        sent += 1;
    }
    Ok(Line::default().with("sent", sent))
}

/// Receives until every length has come once, or nothing comes any more.
pub fn receive(args: &ReceiveArgs) -> io::Result<Line> {
    let (mut socket, _) = open(&args.device)?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    // Wakes the thread that waits to send.
    eprintln!("listening");
    let mut seen = vec![false; args.upto as usize + 1];
    let (mut received, mut corrupt) = (0, 0);
    let mut frame = vec![0; 1 << 16];
    let mut end = None::<Instant>;
    while seen[SHORTEST as usize..].contains(&false) {
        let patience = patience(args.patience);
        let left = end.map_or(patience * 5, |end| {
            end.saturating_duration_since(Instant::now())
        });
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let len = match socket.read(&mut frame) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        };
        end = Some(Instant::now() + patience);
        match content_len(&frame[..len]).and_then(|len| seen.get_mut(len)) {
            Some(seen) => {
                *seen = true;
                received += 1;
            }
            None => corrupt += 1,
        }
    }
    let missing: Vec<_> = (SHORTEST as usize..seen.len())
        .filter(|len| !seen[*len])
        .collect();
    Ok(Line::default()
        .with("received", received)
        .with("missing", missing.len())
        .with(
            "first_missing",
            missing
                .first()
                .map_or_else(|| "none".to_owned(), usize::to_string),
        )
        .with("corrupt", corrupt))
}

fn fill(content: &mut [u8]) {
    let len = content.len();
    let (first, rest) = content.split_at_mut(SHORTEST as usize);
    first.copy_from_slice(&(len as u16).to_be_bytes());
    Pattern::new(len as u64).fill(0, rest);
}

/// The length of a frame's content if all of it is as it should be.
fn content_len(frame: &[u8]) -> Option<usize> {
    let content = frame.get(HEADER..)?;
    let mut expected = vec![0; content.len().max(SHORTEST as usize)];
    fill(&mut expected);
    (expected == content).then_some(content.len())
}

/// A socket for our frames of one device, and the device's address.
fn open(device: &str) -> io::Result<(Socket, LinkAddr)> {
    let address = getifaddrs()?
        .filter(|found| found.interface_name == device)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::other(format!("there is no device {device}")))?;
    let protocol = Protocol::from(i32::from(ETHERTYPE.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
    // The address names no protocol, so the socket keeps the one it was made with (packet(7)).
    bind(socket.as_raw_fd(), &address)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_were_changed_or_cut_are_not_ours() {
        for len in [2, 3, 46, 1500] {
            let mut frame = vec![0; HEADER + len];
            fill(&mut frame[HEADER..]);
            assert_eq!(content_len(&frame), Some(len));
            assert_eq!(content_len(&frame[..frame.len() - 1]), None);
            *frame.last_mut().unwrap() ^= 1;
            assert_eq!(content_len(&frame), None);
        }
    }
}
