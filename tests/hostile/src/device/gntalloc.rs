// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/gntalloc`: pages that are granted to another domain.

use std::fs::File;
use std::io;

use xen_abi::linux::gntalloc::{AllocGref, DeallocGref, ioctl};
use zerocopy::IntoBytes;

use super::ioctl::call;

/// The device file, with the pages that were granted by it. They are given up when it is dropped.
pub struct Gntalloc(File);

/// A page, by its offset in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(u64);

impl Gntalloc {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/xen/gntalloc")?;
        Ok(Self(file))
    }

    /// Makes a page and grants it to a domain, which may read it. `ENOSPC` if no reference is left, or if the driver may not
    /// have more pages (its parameter `limit`).
    pub fn allocate(&self, domid: u16) -> io::Result<Page> {
        let mut argument = AllocGref {
            domid,
            count: 1,
            ..AllocGref::default()
        };
        // SAFETY: the kernel reads and writes the structure, which has room for the reference of one page.
        unsafe { call(&self.0, ioctl::ALLOC_GREF, argument.as_mut_bytes()) }?;
        Ok(Page(argument.index))
    }

    /// Ends a page's grant and gives it up.
    pub fn free(&self, page: Page) -> io::Result<()> {
        let mut argument = DeallocGref {
            index: page.0,
            count: 1,
            pad: 0,
        };
        // SAFETY: the kernel reads the structure.
        unsafe { call(&self.0, ioctl::DEALLOC_GREF, argument.as_mut_bytes()) }.map(drop)
    }
}
