// SPDX-License-Identifier: GPL-2.0

//! Frames for the guest: right ones, which it answers or passes on, and wrong ones.

use fastrand::Rng;

/// Addresses of the guest and of what the backend says it is.
const GUEST: [u8; 4] = [10, 9, 0, 1];
const OURS: [u8; 4] = [10, 9, 0, 2];

/// The backend's Ethernet address.
const SOURCE: [u8; 6] = [0x00, 0x16, 0x3e, 0x66, 0x66, 0x66];

/// Bytes of an Ethernet and an IPv4 header.
const IP: usize = 14;
const UDP: usize = IP + 20;

/// A frame that is right: who has the guest's address, or a datagram for a port where nobody listens.
pub fn right(rng: &mut Rng) -> Vec<u8> {
    if rng.bool() {
        return who_has();
    }
    datagram(rng.usize(..1400))
}

fn ethernet(protocol: u16) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(SOURCE);
    frame.extend(protocol.to_be_bytes());
    frame
}

fn who_has() -> Vec<u8> {
    let mut frame = ethernet(0x0806);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(SOURCE);
    frame.extend(OURS);
    frame.extend([0; 6]);
    frame.extend(GUEST);
    frame
}

fn datagram(len: usize) -> Vec<u8> {
    let mut frame = ethernet(0x0800);
    let total = (28 + len) as u16;
    let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header.extend(OURS);
    header.extend(GUEST);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(header);
    frame.extend([0x30, 0x39, 0x30, 0x39]);
    frame.extend(((8 + len) as u16).to_be_bytes());
    // No checksum, which UDP permits.
    frame.extend([0, 0]);
    frame.resize(frame.len() + len, 0x5a);
    frame
}

/// A frame that is wrong in one place or in all.
pub fn wrong(rng: &mut Rng) -> Vec<u8> {
    let mut frame = right(rng);
    match rng.u8(..6) {
        0 => {
            frame.resize(rng.usize(..2000), 0);
            rng.fill(&mut frame);
        }
        1 => frame.truncate(rng.usize(..frame.len())),
        // The header's length, the datagram's, the protocol.
        2 => frame[IP] = rng.u8(..),
        3 => rng.fill(&mut frame[IP..IP + 12]),
        4 => {
            let end = frame.len().min(UDP + 8);
            rng.fill(&mut frame[IP..end]);
        }
        _ => {
            let at = rng.usize(..frame.len());
            frame[at] ^= 1 << rng.u8(..8);
        }
    }
    frame
}

/// The Internet checksum.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_header_sums_up_to_nothing() {
        let frame = datagram(100);
        assert_eq!(frame.len(), 14 + 20 + 8 + 100);
        assert_eq!(checksum(&frame[IP..UDP]), 0);
        assert_eq!(who_has().len(), 42);
    }

    #[test]
    fn wrong_frames_fit_a_buffer() {
        let mut rng = Rng::with_seed(4);
        assert!((0..1000).all(|_| wrong(&mut rng).len() < 4096));
    }
}
