// SPDX-License-Identifier: GPL-2.0

//! A kernel as distributions ship it: a bzImage, which holds the kernel's ELF file packed (Linux,
//! Documentation/arch/x86/boot.rst). Nothing of it is run: the header says where the packed file is, and the build of
//! the kernel writes its unpacked size behind it.
//!
//! What is read here comes from the boot loader and is checked all the same: no size is believed beyond [`MOST`], and a
//! damaged image is an error, never a panic.

mod gzip;
mod lz4;
#[cfg(test)]
mod tests;
mod zstd;

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// The most a kernel may unpack to, in bytes.
pub const MOST: u64 = 512 << 20;

/// Place of the setup sectors' count, one byte.
const SETUP_SECTS: u64 = 0x1f1;
/// Place of the magic number "HdrS".
const HEADER: u64 = 0x202;
/// Place of the protocol's version, two bytes.
const VERSION: u64 = 0x206;
/// Place of the packed file's offset from the protected-mode code, four bytes; its length follows, four more.
const PAYLOAD: u64 = 0x248;
/// The first version of the protocol that names the packed file.
const NAMES_PAYLOAD: u16 = 0x208;

/// How much is read, unpacked and handed on at once, in bytes.
const PIECE: usize = 64 << 10;

/// The bytes of a file in memory.
pub trait File {
    /// How many there are.
    fn len(&self) -> u64;

    /// Copies those from `at` on. The caller stays within [`File::len`].
    fn read(&self, at: u64, to: &mut [u8]);

    /// Whether there are none.
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

/// How a kernel is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Not at all.
    Plain,
    /// By gzip (RFC 1952).
    Gzip,
    /// By zstd (RFC 8878).
    Zstd,
    /// By lz4 in its old format, which the kernel's build uses.
    Lz4,
}

/// What is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Its header names bytes that are not there, or is too old to name any.
    Header,
    /// It is packed in a way that is not known here; what it seems to be.
    Unknown(&'static str),
    /// It says that it unpacks to so many bytes, which is nothing or more than [`MOST`].
    Size(u64),
    /// The packed bytes are damaged.
    Damaged,
    /// It unpacks to less or more than it says.
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
                MOST >> 20
            ),
            Self::Damaged => f.write_str("the packed kernel is damaged"),
            Self::OtherSize => f.write_str("the kernel unpacks to another size than it says"),
        }
    }
}

/// A packed kernel in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// How it is packed.
    pub format: Format,
    /// Its bytes in the image.
    pub range: Range<u64>,
    /// How many bytes it unpacks to.
    pub size: u64,
}

/// What the first bytes of a packed file say about it.
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

/// Finds the packed kernel in a bzImage; `None` if the file is something else.
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
    if field(VERSION, 2)? < u64::from(NAMES_PAYLOAD) {
        return Err(Error::Header);
    }
    // A count of 0 means 4, for very old kernels; the boot sector comes before them.
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
        // gzip's own last word is the size; for the others the kernel's build appends one.
        Format::Gzip => (range.clone(), field(range.end - 4, 4)?),
        Format::Zstd | Format::Lz4 => (range.start..range.end - 4, field(range.end - 4, 4)?),
    };
    if size == 0 || size > MOST {
        return Err(Error::Size(size));
    }
    Ok(Some(Packed {
        format,
        range,
        size,
    }))
}

impl Packed {
    /// How much memory [`Packed::unpack`] allocates at most, in bytes.
    pub fn room(&self) -> u64 {
        const SMALL: u64 = 4 << 20;
        match self.format {
            Format::Plain | Format::Gzip => SMALL,
            Format::Lz4 => SMALL + lz4::ROOM,
            Format::Zstd => SMALL + zstd::room(self.size),
        }
    }

    /// Unpacks it; `put` gets the pieces in their order, [`Packed::size`] bytes in all, never more.
    ///
    /// # Errors
    ///
    /// If the packed bytes are damaged or come to another size; `put` may have got some then.
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
    let mut piece = alloc::vec![0; PIECE];
    loop {
        match input.take(&mut piece) {
            0 => return Ok(()),
            count => output.push(&piece[..count])?,
        }
    }
}

/// The packed bytes that have not been read yet.
struct Input<'f, F> {
    file: &'f F,
    range: Range<u64>,
}

impl<F: File> Input<'_, F> {
    fn left(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Reads as many as there are and fit; returns how many.
    fn take(&mut self, to: &mut [u8]) -> usize {
        let count = usize::try_from(self.left()).map_or(to.len(), |left| left.min(to.len()));
        self.file.read(self.range.start, &mut to[..count]);
        self.range.start += count as u64;
        count
    }

    /// Reads all of `to`.
    fn fill(&mut self, to: &mut [u8]) -> Result<(), Error> {
        match self.take(to) == to.len() {
            true => Ok(()),
            false => Err(Error::Damaged),
        }
    }
}

/// Where unpacked bytes go, and how many more may come.
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
