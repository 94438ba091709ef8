// SPDX-License-Identifier: GPL-2.0

//! Access to the memory that a multiboot loader wrote to, for [`paravane::multiboot`].

use paravane::multiboot::{Loader, Memory};

use crate::arch::{image, memory, phys};

/// Physical memory below 4 GiB, as far as the page tables in use map it. Loaders put nothing above.
#[derive(Clone, Copy, Debug)]
pub struct Physical;

impl Memory for Physical {
    fn read(&self, address: u64, to: &mut [u8]) -> bool {
        let Some(end) = address.checked_add(to.len() as u64) else {
            return false;
        };
        let own = image::physical();
        let mapped = end <= memory::direct_map_end().min(1 << 32);
        let reached = mapped && (end <= own.start || own.end <= address);
        if reached {
            phys::read_bytes(address, to);
        }
        reached
    }
}

/// The structures of the loader that passed this magic number and address.
///
/// # Panics
///
/// If they cannot be read.
pub fn loader(magic: u32, info: u64) -> Loader<Physical> {
    let loader = Loader::new(Physical, magic, info);
    loader.expect("the boot loader's information can be read")
}
