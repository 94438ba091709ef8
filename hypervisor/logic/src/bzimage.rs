// SPDX-License-Identifier: GPL-2.0

//! Unpacking a bzImage, which holds the kernel's ELF file compressed (Linux, Documentation/arch/x86/boot.rst). None of
//! its code is executed: the setup header has the payload's offset, and the kernel's build appends the uncompressed
//! size to the payload.
//!
//! The image comes from the boot loader and is checked all the same: a size beyond [`MAX_UNPACKED`] is refused, and a
//! damaged image is an error, never a panic.

mod gzip;
mod lz4;
#[cfg(test)]
mod tests;
mod zstd;

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Largest uncompressed size of a kernel, in bytes.
pub const MAX_UNPACKED: u64 = 512 << 20;

/// Offset of `setup_sects`, one byte.
const SETUP_SECTS: u64 = 0x1f1;
/// Offset of the magic number "HdrS".
const HEADER: u64 = 0x202;
/// Offset of the protocol's version, two bytes.
const VERSION: u64 = 0x206;
/// Offset of `payload_offset`, four bytes, from the protected-mode code; `payload_length` follows, four bytes.
const PAYLOAD: u64 = 0x248;
/// The first protocol version with these fields.
const HAS_PAYLOAD: u16 = 0x208;

/// Size of the buffers for reading and writing, in bytes.
const CHUNK: usize = 64 << 10;

/// A file in memory.
pub trait File {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Copies bytes from offset `at` on. The caller stays within [`File::len`].
    fn read(&self, at: u64, to: &mut [u8]);

    /// Whether its length is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl File for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn read(&self, at: u64, to: &mut [u8]) {
        let at = at as usize;
        to.copy_from_slice(&self[at..at + to.len()]);
    }
}

/// Compression of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// None.
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
    /// lz4 in its legacy format, which the kernel's build uses.
    Lz4,
}

/// Why an image cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The payload is not in the file, or the header is too old to have one.
    Header,
    /// The compression, by this name, is not supported.
    Unknown(&'static str),
    /// The appended size is 0 or larger than [`MAX_UNPACKED`].
    Size(u64),
    /// The compressed data are damaged.
    Damaged,
    /// The uncompressed data have another size than the appended one.
    OtherSize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => {
                f.write_str("the kernel's bzImage is cut off or older than protocol 2.08")
            }
            Self::Unknown(what) => write!(
                f,
                "the kernel is packed by {what}, which is not known here: use zstd, gzip or lz4, or unpack it"
            ),
            Self::Size(size) => write!(
                f,
                "the kernel says that it unpacks to {size} bytes, {} MiB is the most",
                MAX_UNPACKED >> 20
            ),
            Self::Damaged => f.write_str("the packed kernel is damaged"),
            Self::OtherSize => f.write_str("the kernel unpacks to another size than it says"),
        }
    }
}

/// The payload of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Its compression.
    pub format: Format,
    /// Its range in the file.
    pub range: Range<u64>,
    /// Its uncompressed size in bytes.
    pub size: u64,
}

/// Magic numbers of compressed files; `Err` for formats that are not supported.
const MAGICS: [(&[u8], Result<Format, &str>); 8] = [
    (b"\x7fELF", Ok(Format::Plain)),
    (b"\x1f\x8b", Ok(Format::Gzip)),
    (b"\x28\xb5\x2f\xfd", Ok(Format::Zstd)),
    (b"\x02\x21\x4c\x18", Ok(Format::Lz4)),
    (b"\xfd7zXZ", Err("xz")),
    (b"BZh", Err("bzip2")),
    (b"\x5d\0\0", Err("lzma")),
    (b"\x89LZO", Err("lzo")),
];

/// Finds the payload of a bzImage; `None` if the file is not a bzImage.
///
/// # Errors
///
/// If it is a bzImage that cannot be unpacked.
pub fn find(file: &impl File) -> Result<Option<Packed>, Error> {
    let number = |at: u64, size: usize| -> Option<u64> {
        let mut bytes = [0; 8];
        let to = bytes.get_mut(..size)?;
        if at.checked_add(size as u64)? > file.len() {
            return None;
        }
        file.read(at, to);
        Some(u64::from_le_bytes(bytes))
    };
    if number(HEADER, 4) != Some(u64::from(u32::from_le_bytes(*b"HdrS"))) {
        return Ok(None);
    }
    let field = |at, size| number(at, size).ok_or(Error::Header);
    if field(VERSION, 2)? < u64::from(HAS_PAYLOAD) {
        return Err(Error::Header);
    }
    // A count of 0 means 4, for very old kernels. The boot sector comes before the setup sectors.
    let setup = match field(SETUP_SECTS, 1)? {
        0 => 4,
        count => count,
    };
    let start = (setup + 1) * 512 + field(PAYLOAD, 4)?;
    let range = start..start + field(PAYLOAD + 4, 4)?;
    if range.end > file.len() || range.end - range.start < 16 {
        return Err(Error::Header);
    }
    let mut first = [0; 6];
    file.read(range.start, &mut first);
    let known = MAGICS.iter().find(|(magic, _)| first.starts_with(magic));
    let format = match known {
        Some((_, Ok(format))) => *format,
        Some((_, Err(name))) => return Err(Error::Unknown(name)),
        None => return Err(Error::Unknown("something")),
    };
    let (range, size) = match format {
        Format::Plain => (range.clone(), range.end - range.start),
        // A gzip file ends with its size; to the others the kernel's build appends it.
        Format::Gzip => (range.clone(), field(range.end - 4, 4)?),
        Format::Zstd | Format::Lz4 => (range.start..range.end - 4, field(range.end - 4, 4)?),
    };
    if size == 0 || size > MAX_UNPACKED {
        return Err(Error::Size(size));
    }
    Ok(Some(Packed {
        format,
        range,
        size,
    }))
}

impl Packed {
    /// Most bytes that [`Packed::unpack`] allocates.
    pub fn room(&self) -> u64 {
        const SMALL: u64 = 4 << 20;
        match self.format {
            Format::Plain | Format::Gzip => SMALL,
            Format::Lz4 => SMALL + lz4::ROOM,
            Format::Zstd => SMALL + zstd::room(self.size),
        }
    }

    /// Unpacks it. `put` gets the data in order, [`Packed::size`] bytes in all and never more.
    ///
    /// # Errors
    ///
    /// If the data are damaged or have another size; `put` may have got a part of them.
    ///
    /// # Panics
    ///
    /// Without [`Packed::room`] on the heap.
    pub fn unpack(&self, file: &impl File, put: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let mut input = Input {
            file,
            range: self.range.clone(),
        };
        let mut output = Output {
            put,
            left: self.size,
        };
        match self.format {
            Format::Plain => plain(&mut input, &mut output),
            Format::Gzip => gzip::unpack(&mut input, &mut output),
            Format::Zstd => zstd::unpack(&mut input, &mut output, self.size),
            Format::Lz4 => lz4::unpack(&mut input, &mut output),
        }?;
        match output.left {
            0 => Ok(()),
            _ => Err(Error::OtherSize),
        }
    }
}

fn plain<F: File>(input: &mut Input<'_, F>, output: &mut Output<'_>) -> Result<(), Error> {
    let mut chunk = alloc::vec![0; CHUNK];
    loop {
        match input.take(&mut chunk) {
            0 => return Ok(()),
            count => output.push(&chunk[..count])?,
        }
    }
}

/// The compressed data that were not read yet.
struct Input<'f, F> {
    file: &'f F,
    range: Range<u64>,
}

impl<F: File> Input<'_, F> {
    fn left(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Reads as many bytes as are left and fit, and returns how many.
    fn take(&mut self, to: &mut [u8]) -> usize {
        let count = usize::try_from(self.left()).map_or(to.len(), |left| left.min(to.len()));
        self.file.read(self.range.start, &mut to[..count]);
        self.range.start += count as u64;
        count
    }

    /// Fills `to`, or fails.
    fn fill(&mut self, to: &mut [u8]) -> Result<(), Error> {
        match self.take(to) == to.len() {
            true => Ok(()),
            false => Err(Error::Damaged),
        }
    }
}

/// The consumer of uncompressed data, and how many bytes it still expects.
struct Output<'p> {
    put: &'p mut dyn FnMut(&[u8]),
    left: u64,
}

impl Output<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(Error::OtherSize)?;
        (self.put)(bytes);
        Ok(())
    }
}
