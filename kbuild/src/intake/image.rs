// SPDX-License-Identifier: GPL-2.0

//! What the bytes of a kernel tell: which format the file has, the kernel's release, where hypervisors may enter it, and
//! its configuration.
//!
//! The file may hold anything: whatever is not as expected is an error or nothing, never a panic.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use memchr::memmem;
use object::LittleEndian;
use object::elf::{EM_X86_64, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// Bytes that say what a file is: the setup header's fields end here (Documentation/arch/x86/boot.rst).
pub const HEAD: usize = 0x264;

/// Offset of the magic number "HdrS", and of the offset of the version's text from 0x200, two bytes.
const HEADER: usize = 0x202;
const KERNEL_VERSION: usize = 0x20e;

/// What every kernel has in its data (init/version.c): the release follows.
const BANNER: &[u8] = b"Linux version ";

/// What is around the configuration (kernel/configs.c, `CONFIG_IKCONFIG`); it is a gzip file.
const CONFIG_START: &[u8] = b"IKCFG_ST\x1f\x8b";

/// Largest size of a configuration, in bytes. Real ones have some 300,000.
const MAX_CONFIG: u64 = 16 << 20;

/// Longest release, as `struct utsname` has it.
const MAX_RELEASE: usize = 64;

/// `XEN_ELFNOTE_ENTRY` and `XEN_ELFNOTE_PHYS32_ENTRY` (xen/include/public/elfnote.h).
const NOTE_ENTRY: u32 = 1;
const NOTE_PHYS32_ENTRY: u32 = 18;

/// Formats of files that hold a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// What boot loaders load.
    BzImage,
    /// `vmlinux`.
    Elf,
    /// A Debian package.
    Deb,
}

/// Where a hypervisor may enter a kernel, by its ELF notes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryPoints {
    /// As a PV domain: the kernel has `CONFIG_XEN_PV`.
    pub pv: bool,
    /// As a PVH domain: the kernel has `CONFIG_PVH`.
    pub pvh: bool,
}

/// The format of a file, by its first [`HEAD`] bytes.
pub fn format(bytes: &[u8]) -> Option<FileFormat> {
    if bytes.starts_with(b"\x7fELF") {
        Some(FileFormat::Elf)
    } else if bytes.starts_with(b"!<arch>\ndebian-binary") {
        Some(FileFormat::Deb)
    } else if bytes.get(HEADER..HEADER + 4) == Some(b"HdrS") {
        Some(FileFormat::BzImage)
    } else {
        None
    }
}

/// The release that an image names, as `uname -r` would: a bzImage in its setup header, an ELF file in its data.
pub fn release(image: &[u8]) -> Option<String> {
    let text = match format(image)? {
        FileFormat::BzImage => {
            let at = image.get(KERNEL_VERSION..KERNEL_VERSION + 2)?;
            let at = usize::from(u16::from_le_bytes(at.try_into().ok()?));
            image.get(0x200 + at..)?
        }
        // The first one is the banner's own format string in kernels that keep it: the release begins with a digit.
        FileFormat::Elf => memmem::find_iter(image, BANNER)
            .filter_map(|at| image.get(at + BANNER.len()..))
            .find(|text| text.first().is_some_and(u8::is_ascii_digit))?,
        FileFormat::Deb => return None,
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-~".contains(byte);
    let end = text
        .iter()
        .take(MAX_RELEASE + 1)
        .position(|b| !is_name(b))?;
    let name = std::str::from_utf8(&text[..end]).ok()?;
    // It becomes the name of a folder.
    name.starts_with(|c: char| c.is_ascii_digit())
        .then(|| name.to_owned())
}

/// The entry points that the notes of an ELF file name.
///
/// # Errors
///
/// If it is no ELF file for x86-64, or is damaged.
pub fn entry_points(vmlinux: &[u8]) -> Result<EntryPoints> {
    let header =
        FileHeader64::<LittleEndian>::parse(vmlinux).context("it is no ELF file of 64 bits")?;
    let endian = header.endian().context("its byte order is not x86-64's")?;
    ensure!(
        header.e_machine(endian) == EM_X86_64,
        "it is for another architecture"
    );
    let mut found = EntryPoints::default();
    for segment in header
        .program_headers(endian, vmlinux)
        .context("it is damaged")?
    {
        let Some(mut notes) = segment
            .notes(endian, vmlinux)
            .context("its notes are damaged")?
        else {
            continue;
        };
        while let Some(note) = notes.next().context("its notes are damaged")? {
            if note.name() == b"Xen" {
                found.pv |= note.n_type(endian) == NOTE_ENTRY;
                found.pvh |= note.n_type(endian) == NOTE_PHYS32_ENTRY;
            }
        }
    }
    Ok(found)
}

/// The configuration that a kernel with `CONFIG_IKCONFIG` built in holds.
pub fn configuration(vmlinux: &[u8]) -> Option<String> {
    let at = memmem::find(vmlinux, CONFIG_START)?;
    // The file begins after the eight letters; what follows its end is not read.
    let packed = vmlinux.get(at + 8..)?;
    let mut text = String::new();
    GzDecoder::new(packed)
        .take(MAX_CONFIG)
        .read_to_string(&mut text)
        .ok()?;
    text.contains("CONFIG_").then_some(text)
}
