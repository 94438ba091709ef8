// SPDX-License-Identifier: GPL-2.0

//! Frames on a byte stream: magic, length, CRC-32C, body. A frame that is damaged is an error, never a guess:
//! a test harness that mangles data would be blamed on the driver under test.

use std::io::{self, Read, Write};

/// First four bytes of a frame, little-endian "PVA1".
const MAGIC: u32 = u32::from_le_bytes(*b"PVA1");

/// The longest body in bytes that either side accepts.
pub const MAX_BODY: usize = 1 << 20;

/// Bytes of magic, length and checksum.
pub const HEADER: usize = 12;

/// CRC-32C (Castagnoli) of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let mut crc = !0u32;
    for byte in bytes {
        crc = TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    }
    !crc
}

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 8 {
            // The reflected polynomial of RFC 3720, appendix B.4.
            value = if value & 1 == 1 {
                (value >> 1) ^ 0x82f6_3b78
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
}

/// Puts a body into a frame.
pub fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend_from_slice(&MAGIC.to_le_bytes());
    // A body is far shorter than 4 GiB (see MAX_BODY); a longer one fails on the other side.
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&crc32c(body).to_le_bytes());
    out.extend_from_slice(body);
    out
}

/// Writes one frame.
pub fn write_frame(stream: &mut dyn Write, body: &[u8]) -> io::Result<()> {
    stream.write_all(&frame(body))?;
    stream.flush()
}

/// Reads one frame; `None` at the end of the stream.
pub fn read_frame(stream: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0u8; HEADER];
    let mut have = 0;
    while have < HEADER {
        match stream.read(&mut header[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let (len, crc) = parse_header(&header)?;
    let mut body = vec![0u8; len];
    stream.read_exact(&mut body)?;
    check(&body, crc)?;
    Ok(Some(body))
}

/// Cuts frames out of bytes that arrive in pieces of any size.
#[derive(Default)]
pub struct Deframer(Vec<u8>);

impl Deframer {
    /// Adds bytes and returns the bodies that are complete now.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.0.extend_from_slice(bytes);
        let mut bodies = Vec::new();
        while let Some((header, rest)) = self.0.split_first_chunk::<HEADER>() {
            let (len, crc) = parse_header(header)?;
            let Some(body) = rest.get(..len) else { break };
            check(body, crc)?;
            bodies.push(body.to_vec());
            self.0.drain(..HEADER + len);
        }
        Ok(bodies)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0u8; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn parse_header(header: &[u8; HEADER]) -> io::Result<(usize, u32)> {
    let len = word(header, 4) as usize;
    if word(header, 0) != MAGIC || len > MAX_BODY {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the agent's stream holds no frame",
        ));
    }
    Ok((len, word(header, 8)))
}

fn check(body: &[u8], crc: u32) -> io::Result<()> {
    if crc32c(body) == crc {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "a frame of the agent has a wrong checksum",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_gives_the_published_value() {
        // RFC 3720, appendix B.4 uses 32 zero bytes; "123456789" is the usual check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn frames_survive_any_cut() {
        let stream: Vec<u8> = [frame(b"one"), frame(b""), frame(&[7; 300])].concat();
        for size in [1, 5, 13, stream.len()] {
            let mut deframer = Deframer::default();
            let bodies: Vec<_> = stream
                .chunks(size)
                .flat_map(|chunk| deframer.push(chunk).unwrap())
                .collect();
            assert_eq!(bodies, [b"one".to_vec(), vec![], vec![7; 300]]);
        }
    }

    #[test]
    fn damage_is_an_error() {
        let mut damaged = frame(b"payload");
        damaged[HEADER] ^= 1;
        assert!(read_frame(&mut damaged.as_slice()).is_err());
        assert!(Deframer::default().push(&damaged).is_err());
        let mut cut = frame(b"payload");
        cut.pop();
        assert!(read_frame(&mut cut.as_slice()).is_err());
        assert!(read_frame(&mut [].as_slice()).unwrap().is_none());
    }
}
