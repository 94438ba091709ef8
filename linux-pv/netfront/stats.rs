// SPDX-License-Identifier: GPL-2.0

//! Counters of a queue.
//!
//! Each counter is written under the lock of one half of its queue and read without a lock. They
//! survive reconnecting. `ethtool -S` shows all, and so does debugfs:
//! `/sys/kernel/debug/xen/netfront/vif-N/queueN` has one `name value` a line.

use core::convert::Infallible;

use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    count::{
        Counter,
        Counts,
        Number, //
    },
    counters,
    debugfs::Folder,
    net::{
        Counters,
        LinkStats, //
    },
    queue_files::QueueFiles, //
};

use crate::{
    interface::Nic,
    vif::Vif, //
};

counters! {
    /// What a queue has done since the interface was attached.
    pub(crate) struct Stats: Counter {
        /// Packets given to the backend.
        tx_packets,
        /// Their bytes.
        tx_bytes,
        /// Packets that could not be sent.
        tx_dropped,
        /// Packets that the backend has not carried out.
        tx_errors,
        /// Ring slots used for sending.
        tx_slots,
        /// Short packets for whose end nobody waited, so that they made no event.
        tx_unawaited,
        /// Packets that were copied, since the backend may not see their pages or could not use
        /// them.
        tx_copied,
        /// Events sent to the backend for packets.
        tx_notifications,
        /// Times that the queue was stopped for want of ring slots.
        tx_full,
        /// Packets received.
        rx_packets,
        /// Their bytes.
        rx_bytes,
        /// Packets that were bad.
        rx_errors,
        /// Packets that there was no memory for.
        rx_dropped,
        /// Ring slots that packets came in.
        rx_slots,
        /// Packets that were copied whole, so that their buffer was used again as it was.
        rx_copied,
        /// Events sent to the backend for buffers.
        rx_notifications,
        /// Large packets whose checksum was not marked as open though it is.
        rx_gso_checksum_fixup,
        /// Packets that went through an XDP program.
        xdp_packets,
        /// Those that it dropped.
        xdp_drops,
        /// Those that it sent back.
        xdp_tx,
        /// Those that it passed elsewhere.
        xdp_redirects,
        /// Those for which the program, or what it wanted, failed.
        xdp_errors,
        /// Packets sent for XDP programs of other devices.
        xdp_xmit,
        /// Grants made for packets and buffers.
        grants,
        /// Runs of the poll function.
        polls,
    }
}

/// Adds what `ip -s link` shows.
pub(crate) fn add_link_stats(nic: &Nic, stats: &mut LinkStats<'_>) {
    for queue in nic.data().queues() {
        let counted = &queue.stats;
        stats.received(counted.rx_packets.get(), counted.rx_bytes.get());
        stats.sent(counted.tx_packets.get(), counted.tx_bytes.get());
        stats.lost(
            counted.rx_errors.get(),
            counted.rx_dropped.get(),
            counted.tx_dropped.get(),
        );
    }
}

/// Adds what `ethtool -S` shows.
pub(crate) fn add_counters(nic: &Nic, counters: &mut Counters<'_>) {
    let queues = nic.data().queues();
    let fixups = queues
        .iter()
        .map(|queue| queue.stats.rx_gso_checksum_fixup.get());
    // The one that the C driver has, under its name.
    counters.add(fmt!("rx_gso_checksum_fixup"), fixups.sum());
    for (index, queue) in queues.iter().enumerate() {
        let Ok(()) = queue.stats.each(|name, value| {
            counters.add(fmt!("queue_{}_{}", index, name), value);
            Ok::<(), Infallible>(())
        });
    }
}

/// A queue, to debugfs.
pub(crate) struct QueueFile {
    nic: Arc<Nic>,
    index: u32,
}

fn show(file: &QueueFile, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let vif: &Vif = file.nic.data();
    let Some(queue) = vif.queues().get(file.index as usize) else {
        return Ok(());
    };
    writeln!(f, "state {}", queue.state(vif))?;
    queue.stats.show(f)?;
    writeln!(f, "interrupts {}", queue.interrupts.get())?;
    let (in_flight, posted, spare) = queue.fill(&file.nic, file.index);
    writeln!(f, "tx_in_flight {in_flight}")?;
    writeln!(f, "rx_posted {posted}")?;
    writeln!(f, "rx_spare {spare}")
}

/// The debugfs files of an interface.
pub(crate) type Files = QueueFiles<QueueFile>;

/// Makes them; `number` is the interface's on the bus.
pub(crate) fn files(nic: &Arc<Nic>, number: u64) -> Result<Files> {
    let queues = (0..nic.queues()).map(|index| QueueFile {
        nic: nic.clone(),
        index,
    });
    let folder = || Folder::new(fmt!("xen/netfront/vif-{}", number));
    QueueFiles::new(folder, queues, show)
}
