// SPDX-License-Identifier: GPL-2.0

//! The memory a multiboot loader wrote to, for the library's [`paravane::multiboot`] to read.

use paravane::multiboot::{Loader, Memory};

use super::image;
use crate::arch::{memory, phys};

/// Physical memory, as far as it is mapped both by the boot tables and by the final ones: loaders put nothing above 4 GiB.
#[derive(Clone, Copy, Debug)]
pub struct Physical;

impl Memory for Physical {
    fn read(&self, address: u64, to: &mut [u8]) -> bool {
        let Some(end) = address.checked_add(to.len() as u64) else {
            return false;
        };
        let own = image::physical();
        let mapped = end <= memory::mapped().min(1 << 32);
        let reached = mapped && (end <= own.start || own.end <= address);
        if reached {
            phys::read_bytes(address, to);
        }
        reached
    }
}

/// What the loader left that gave this magic number and this address.
///
/// # Panics
///
/// If there is nothing that can be read.
pub fn loader(magic: u32, info: u64) -> Loader<Physical> {
    let loader = Loader::new(Physical, magic, info);
    loader.expect("what the boot loader tells can be read")
}
