// SPDX-License-Identifier: GPL-2.0

//! Who has the node open and how it goes, in `/sys/kernel/debug/xen_evtchn_rs/files`, a line a file.

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
    DebugfsList::new(c"xen_evtchn_rs", list.clone(), &show)
}

fn show(list: &Arc<FileList<Shown>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    list.each(|file| {
        let (pending, room, events, lost) = file.pending.figures();
        let ports = file.ports.load(Relaxed);
        write!(
            f,
            "{} ports {ports} room {room} pending {pending} events {events}",
            file.opener
        )?;
        if let Some(domain) = file.restriction.domain() {
            write!(f, " only-domain {domain}")?;
        }
        if lost {
            write!(f, " events-lost")?;
        }
        writeln!(f)
    })
}
