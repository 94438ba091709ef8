// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows of an open file: `/sys/kernel/debug/xen/gntdev/files`. The first line has
//! what a mapping may have. Pages in use by all files together show in `xen/objects/mapped_pages`,
//! those of exported buffers too, which may be in use after the file was closed;
//! `xen/objects/lent_buffers` counts imported ones.

use core::fmt;

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// See the module.
pub(crate) struct Stats {
    /// Mappings that were announced and not taken back.
    pub(crate) mappings: Atomic<usize>,
    /// Grants in them.
    pub(crate) grants: Atomic<usize>,
    /// Bytes of grant copies, since the file was opened.
    pub(crate) copied_bytes: Atomic<u64>,
    /// Buffers that were made of grants and are in use.
    pub(crate) exports: Atomic<usize>,
    /// Pages of them.
    pub(crate) exported_pages: Atomic<usize>,
    /// Buffers that are granted.
    pub(crate) imports: Atomic<usize>,
    /// Pages of them.
    pub(crate) imported_pages: Atomic<usize>,
}

impl Stats {
    /// Those of a file that was just opened.
    pub(crate) const fn new() -> Self {
        Self {
            mappings: Atomic::new(0),
            grants: Atomic::new(0),
            copied_bytes: Atomic::new(0),
            exports: Atomic::new(0),
            exported_pages: Atomic::new(0),
            imports: Atomic::new(0),
            imported_pages: Atomic::new(0),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mappings {} grants {} copied_bytes {} exports {} pages {} imports {} pages {}",
            self.mappings.load(Relaxed),
            self.grants.load(Relaxed),
            self.copied_bytes.load(Relaxed),
            self.exports.load(Relaxed),
            self.exported_pages.load(Relaxed),
            self.imports.load(Relaxed),
            self.imported_pages.load(Relaxed),
        )
    }
}
