// SPDX-License-Identifier: GPL-2.0

//! Counters of a queue, and the debugfs files that show them.
//!
//! `/sys/kernel/debug/xen/blkfront/xvda/queueN` has one `name value` a line. Counters live under
//! the ring's lock, survive reconnecting, and are plain additions.

use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    count::Counts,
    counters,
    debugfs::Folder,
    queue_files::QueueFiles, //
};

use crate::{
    stock::DataMode,
    vbd::{
        Link,
        Vbd, //
    },
};

counters! {
    /// What a queue has done since the disk was attached.
    pub(crate) struct Stats: u64 {
        /// Requests put on the ring.
        requests,
        /// Of these, with their segments in pages of their own.
        indirect,
        /// Of these, for a part of a block-layer request, which was too large for one.
        partial,
        /// Of these, flushes and barriers.
        flushes,
        /// Of these, discards and secure erases.
        discards,
        /// Of these, writes of zeroes.
        write_zeroes,
        /// Segments of all requests.
        segments,
        /// Events sent to the backend.
        notifications,
        /// Events received.
        interrupts,
        /// Of these, events without a response.
        spurious,
        /// Responses.
        responses,
        /// Of these, responses that reported an error.
        errors,
        /// Requests handed back to the block layer because the ring was full.
        ring_full,
        /// Requests handed back because there were too few grant references or pages.
        no_grants,
        /// Grants made for requests and revoked with them.
        grants,
        /// Bytes copied to or from granted pages.
        copied_bytes,
        /// Requests that were in flight when the backend was lost.
        requeued,
    }
}

/// Counts, without a check for overflow, which 64 bits do not need.
#[inline]
pub(crate) fn add(counter: &mut u64, n: usize) {
    *counter = counter.wrapping_add(n as u64);
}

/// A queue of a disk, to debugfs.
pub(crate) struct QueueFile {
    vbd: Arc<Vbd>,
    index: usize,
}

fn show(queue: &QueueFile, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(ring) = queue.vbd.rings().get(queue.index) else {
        return Ok(());
    };
    let ring = ring.lock();
    let state = match &ring.link {
        Link::Disconnected => "disconnected",
        Link::Connected(_) => "connected",
        Link::Closing(_) => "closing",
        Link::Suspended => "suspended",
        Link::Elsewhere(_) => "merged",
        Link::Dead(_, why) => why,
    };
    writeln!(f, "state {state}")?;
    ring.stats.show(f)?;
    if let Link::Connected(c) = &ring.link {
        writeln!(f, "in_flight {}", c.in_flight.taken())?;
        writeln!(f, "ring_slots {}", c.ring.slots())?;
        writeln!(f, "max_segments {}", c.limits.max_segments)?;
        let stock = &c.stock;
        let mode = match stock.mode {
            DataMode::Direct => "none",
            DataMode::Persistent => "persistent",
            DataMode::Bounce => "bounce",
        };
        writeln!(f, "copy_mode {mode}")?;
        writeln!(f, "persistent_grants {}", stock.persistent.alive())?;
        writeln!(f, "persistent_grants_bound {}", stock.persistent.bound())?;
        writeln!(
            f,
            "idle_pages {}",
            stock.persistent.idle() + stock.bounce.len()
        )?;
        writeln!(f, "descriptor_pages {}", stock.descriptors.alive())?;
        writeln!(f, "spare_grant_refs {}", stock.refs.left())?;
    }
    Ok(())
}

/// The debugfs files of a disk.
pub(crate) type Files = QueueFiles<QueueFile>;

/// Makes them. May sleep.
pub(crate) fn files(vbd: &Arc<Vbd>) -> Result<Files> {
    let queues = (0..vbd.rings().len()).map(|index| QueueFile {
        vbd: vbd.clone(),
        index,
    });
    let folder = || Folder::new(fmt!("xen/blkfront/{}", vbd.name.as_str()));
    QueueFiles::new(folder, queues, show)
}
