// SPDX-License-Identifier: GPL-2.0

//! Counts of what is alive, shown in `/sys/kernel/debug/xen/objects/`.
//!
//! Every file but `deferred` holds the number of objects that the drivers above this crate own
//! right now, and must read 0 when none of them is loaded: tests assert that, after unplugging,
//! errors and unloading (XSA-371, 448, 457). `deferred` counts the grants that a peer still held
//! when their owner was done with them; it never goes down, since the kernel does not tell when it
//! frees them.
//!
//! Counting stays off the hot path: references are counted when a batch is reserved, not when one
//! is claimed.

use kernel::prelude::*;

#[cfg(CONFIG_PCI)]
use kernel_ext::pci;
use kernel_ext::{
    count::Live,
    debugfs::{
        File,
        Folder, //
    },
    eventfd, //
};

macro_rules! counters {
    ($($(#[$doc:meta])* $upper:ident $file:literal),* $(,)?) => {
        $($(#[$doc])* pub(crate) static $upper: Live = Live::new();)*

        /// The files in debugfs. Dropping this removes them.
        pub(crate) struct Files {
            _files: KVec<Pin<KBox<File<&'static Live>>>>,
        }

        impl Files {
            pub(crate) fn new() -> Result<Self> {
                let mut files = KVec::new();
                let all = [
                    $(($file, &$upper),)*
                    (c"eventfds", &eventfd::LIVE),
                    #[cfg(CONFIG_PCI)]
                    (c"pci_buses", &pci::LIVE),
                ];
                for (name, count) in all {
                    let folder = Folder::new(fmt!("xen/objects"))?;
                    let file = File::new(folder, name, count, show);
                    files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
                }
                Ok(Self { _files: files })
            }
        }
    };
}

counters! {
    /// Grant references that were allocated and not freed.
    GRANT_REFS c"grant_refs",
    /// Pages made for granting and not freed.
    PAGES c"pages",
    /// Event channels bound to a handler.
    EVENT_CHANNELS c"event_channels",
    /// Pages without memory at which programs see frames of other domains.
    FOREIGN_PAGES c"foreign_pages",
    /// Pages at which other domains' grants are, or are to be, mapped for programs.
    MAPPED_PAGES c"mapped_pages",
    /// Pages for programs' hypercalls.
    BUFFER_PAGES c"buffer_pages",
    /// Buffers of other drivers whose pages are, or may still be, accessed by a domain they were
    /// granted to.
    LENT_BUFFERS c"lent_buffers",
    /// Devices bound to a driver.
    DEVICES c"devices",
    /// Requests, packets and buffers that do not go back to their owners, because a domain that
    /// they were lent to has them mapped.
    RETIRED c"retired",
    /// Grants (and their pages) left to the kernel because the peer still held them; a running
    /// total.
    DEFERRED c"deferred",
}

fn show(counter: &&'static Live, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
    writeln!(f, "{}", counter.get())
}
