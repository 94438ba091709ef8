// SPDX-License-Identifier: GPL-2.0

//! Building the hypervisor: a program without an operating system, by the sandbox's own Rust, whose core library is
//! compiled from source with it.

mod names;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::cache::CacheEntry;
use crate::digest::Digest;
use crate::process;
use crate::sandbox::Sandbox;
use crate::sandbox_cargo;
use crate::session::Session;

/// The target, which every rustc knows.
const TARGET: &str = "x86_64-unknown-none";
/// The linker of the sandbox; the target's default is one that only rustup has.
const LINKER: &str = "ld.lld-19";

/// Our hypervisor and the test guest, built and stripped.
#[derive(Clone)]
pub struct Hypervisor {
    entry: Arc<CacheEntry>,
}

impl Hypervisor {
    /// Builds it with a sandbox's tools. The crates it depends on come from the registry on first use.
    pub fn build(session: &Session, sandbox: &Sandbox) -> Result<Self> {
        let step = session.ui.step("Building the hypervisor");
        let folder = session
            .cache
            .state_dir("work")?
            .join(format!("hypervisor-{}", sandbox.key()));
        let target = folder.join("target");
        let _lock = session.cache.lock("work.hypervisor")?;
        let args = [
            "build",
            "--locked",
            "--release",
            "--package",
            "paravane-machine",
            "--bin",
            "hypervisor",
            "--package",
            "misbehaving",
            "--bin",
            "misbehaving",
            "--features",
            "paravane-machine/machine,misbehaving/machine",
            "--target",
            TARGET,
            "-Zbuild-std=core,alloc,compiler_builtins",
            "-Zbuild-std-features=compiler-builtins-mem",
        ];
        let mut command = sandbox_cargo::command(session, sandbox, &target, args)?
            .env("CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER", LINKER)
            .build()?;
        process::run(
            &step,
            "building the hypervisor",
            &mut command,
            &session.log("hypervisor"),
        )?;
        let read = |name: &str| {
            let built = target.join(TARGET).join("release").join(name);
            fs::read(&built).with_context(|| format!("cargo built no {}", built.display()))
        };
        let (mut bytes, guest) = (read("hypervisor")?, read("misbehaving")?);
        check_layout(&bytes)?;
        names::write(&mut bytes)?;
        // An entry of its own: the next build does not change it under a running machine.
        let name = Digest::new("hypervisor", 2)
            .with("image", &bytes)
            .with("guest", &guest)
            .hex();
        let entry = session
            .cache
            .get_or_make_latest("hypervisor", &name, 64 << 20, |dir| {
                fs::write(dir.join("paravane"), &bytes)?;
                fs::write(dir.join("misbehaving"), &guest)?;
                Ok(())
            })?;
        step.done(&format!("{} KiB", bytes.len() / 1024));
        Ok(Self {
            entry: Arc::new(entry),
        })
    }

    /// The image, an ELF file with symbols that a multiboot loader takes.
    pub fn image(&self) -> PathBuf {
        self.entry.path().join("paravane")
    }

    /// The guest that tries to hurt it, to be started as dom0: a PVH kernel without an initrd.
    pub fn misbehaving_guest(&self) -> PathBuf {
        self.entry.path().join("misbehaving")
    }
}

/// The multiboot header gives addresses, not places in the file: segments have to follow each other in the file as
/// they do in memory.
fn check_layout(image: &[u8]) -> Result<()> {
    let header =
        FileHeader64::<LittleEndian>::parse(image).with_context(|| bug("is no 64-bit ELF file"))?;
    let segments = header
        .program_headers(LittleEndian, image)
        .with_context(|| bug("is cut off"))?;
    let mut differences = segments
        .iter()
        .filter(|one| one.p_type(LittleEndian) == PT_LOAD && one.p_filesz(LittleEndian) != 0)
        .map(|one| {
            let offset = one.p_offset(LittleEndian);
            one.p_paddr(LittleEndian).wrapping_sub(offset)
        });
    let first = differences.next();
    ensure!(
        differences.all(|other| Some(other) == first),
        bug("has segments that do not follow each other in the file as in memory")
    );
    Ok(())
}

/// What to do about an image that cannot be booted: nothing that a user has done leads to one.
fn bug(what: &str) -> String {
    format!(
        "the hypervisor's image {what}: a bug of its linker script or of this tool, please report it with the run's logs"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of segments with these offsets and addresses.
    fn image(segments: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        // ELF of 64 bits, little-endian, version 1.
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        // The segments' headers: where, how long and how many.
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(segments.len()).unwrap();
        for (offset, physical) in segments {
            let mut header = vec![0; 56];
            header[0] = 1;
            header[8..16].copy_from_slice(&offset.to_le_bytes());
            header[24..32].copy_from_slice(&physical.to_le_bytes());
            header[32] = 1;
            bytes.extend(header);
        }
        bytes
    }

    #[test]
    fn a_gap_between_segments_is_refused() {
        assert!(check_layout(&image(&[(0x1000, 0x20_0000), (0x3000, 0x20_2000)])).is_ok());
        assert!(check_layout(&image(&[(0x1000, 0x20_0000), (0x3000, 0x20_3000)])).is_err());
        assert!(check_layout(b"#!/bin/sh").is_err());
    }
}
