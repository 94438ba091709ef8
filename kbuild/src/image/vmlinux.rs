// SPDX-License-Identifier: GPL-2.0

//! The uncompressed kernel inside a bzImage. Xen and libxl boot it just as well, and the guest need not unpack
//! 60 MB on an emulated processor at every boot.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::sandbox::Sandbox;

/// Offset of the setup sectors' count in the image, one byte (Documentation/arch/x86/boot.rst).
const SETUP_SECTS: usize = 0x1f1;
/// Offset of the payload's offset from the protected-mode code, four bytes; its length follows.
const PAYLOAD_OFFSET: usize = 0x248;
/// Offset of the magic "HdrS".
const HEADER: usize = 0x202;

/// Writes the kernel in `bzimage` as an ELF file, which it may be already.
pub fn extract(sandbox: &Sandbox, bzimage: &Path, out: &Path) -> Result<()> {
    let image = fs::read(bzimage).with_context(|| format!("cannot read {}", bzimage.display()))?;
    if image.starts_with(b"\x7fELF") {
        return Ok(fs::write(out, image)?);
    }
    let payload =
        payload(&image).with_context(|| format!("{} is no bzImage", bzimage.display()))?;
    if payload.starts_with(b"\x7fELF") {
        return Ok(fs::write(out, payload)?);
    }
    let program = unpacker(payload).with_context(|| {
        format!(
            "{} is compressed in a way that is not known here",
            bzimage.display()
        )
    })?;
    let file = fs::File::create(out).with_context(|| format!("cannot write {}", out.display()))?;
    let mut child = sandbox
        .command(program)
        .arg("-dc")
        .build()?
        .stdin(Stdio::piped())
        .stdout(file)
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program} in the sandbox"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&payload[..packed_len(payload.len(), program)])?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() || !fs::read(out)?.starts_with(b"\x7fELF") {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!(
            "{program} cannot unpack the kernel in {}: {message}",
            bzimage.display()
        );
    }
    Ok(())
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if image.get(HEADER..HEADER + 4)? != b"HdrS" {
        return None;
    }
    let setup = usize::from(*image.get(SETUP_SECTS)?).max(1);
    let start = (setup + 1) * 512 + word(PAYLOAD_OFFSET)?;
    let payload = image.get(start..start + word(PAYLOAD_OFFSET + 4)?)?;
    (payload.len() > 8).then_some(payload)
}

/// The build appends the unpacked size, which the unpackers would take for garbage; gzip's own format ends with it.
fn packed_len(payload: usize, program: &str) -> usize {
    match program {
        "gzip" => payload,
        _ => payload - 4,
    }
}

fn unpacker(payload: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 4] = [
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ", "xz"),
        (b"\x1f\x8b", "gzip"),
        (b"\x02\x21\x4c\x18", "lz4"),
    ];
    MAGICS
        .iter()
        .find(|(magic, _)| payload.starts_with(magic))
        .map(|(_, program)| *program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_found_by_the_header() {
        let mut image = vec![0u8; 4096];
        image[SETUP_SECTS] = 1;
        image[HEADER..HEADER + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16u32.to_le_bytes());
        image[PAYLOAD_OFFSET + 4..PAYLOAD_OFFSET + 8].copy_from_slice(&32u32.to_le_bytes());
        image[1040..1044].copy_from_slice(b"\x28\xb5\x2f\xfd");
        let payload = payload(&image).unwrap();
        assert_eq!((payload.len(), unpacker(payload)), (32, Some("zstd")));
        assert_eq!((packed_len(32, "zstd"), packed_len(32, "gzip")), (28, 32));
        assert!(super::payload(&image[..1050]).is_none());
        assert!(super::payload(b"\x7fELF").is_none());
    }
}
