// SPDX-License-Identifier: GPL-2.0

//! Who has the node open and what for, in `/sys/kernel/debug/xen_privcmd_rs/files`, a line a file. The pages
//! that are in use by all of them show in `/sys/kernel/debug/xen_rs`.

use core::sync::atomic::Ordering::Relaxed;

use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::chardev::{DebugfsList, FileList};

use crate::file::Shown;

/// The folder; it goes when this is dropped.
pub(crate) type Files = DebugfsList<FileList<Shown>>;

/// Makes it. May sleep.
pub(crate) fn files(list: &Arc<FileList<Shown>>) -> Result<Files> {
    DebugfsList::new(c"xen_privcmd_rs", list.clone(), &show)
}

fn show(list: &Arc<FileList<Shown>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    list.each(|file| {
        let hypercalls = file.hypercalls.load(Relaxed);
        let frames = file.frames.load(Relaxed);
        write!(f, "{} hypercalls {hypercalls} frames {frames}", file.opener)?;
        let irqfds = file.irqfds.load(Relaxed);
        let ioeventfds = file.ioeventfds.load(Relaxed);
        write!(f, " irqfds {irqfds} ioeventfds {ioeventfds}")?;
        if let Some(domain) = file.restriction.domain() {
            write!(f, " only-domain {domain}")?;
        }
        writeln!(f)
    })
}
