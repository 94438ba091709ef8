// SPDX-License-Identifier: GPL-2.0

//! What is counted, a queue at a time.
//!
//! Each counter is written under the lock of one half of its queue and read without a lock. They survive
//! reconnecting. `ethtool -S` shows all, and so does debugfs: `/sys/kernel/debug/xen_netfront_rs-vif-N/queueN` has
//! one `name value` a line.

use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::count::{Counter, Counts, Number};
use kernel_ext::counters;
use kernel_ext::queue_files::QueueFiles;

use crate::interface::{Nic, Vif};

counters! {
    /// What a queue has done since the interface was attached.
    pub(crate) struct Stats: Counter {
        /// Packets given to the back end.
        tx_packets,
        /// Their bytes.
        tx_bytes,
        /// Packets that could not be sent.
        tx_dropped,
        /// Packets that the back end has not carried out.
        tx_errors,
        /// Ring slots used for sending.
        tx_slots,
        /// Short packets for whose end nobody waited, so that they made no event.
        tx_unawaited,
        /// Packets that were copied, since the back end may not see their pages or could not use them.
        tx_copied,
        /// Events sent to the back end for packets.
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
        /// Events sent to the back end for buffers.
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

/// A queue of an interface.
pub(crate) struct Shown {
    nic: Arc<Nic>,
    index: u32,
}

fn show(shown: &Shown, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let vif: &Vif = shown.nic.data();
    let Some(queue) = vif.queues().get(shown.index as usize) else {
        return Ok(());
    };
    writeln!(f, "state {}", queue.state(vif))?;
    queue.stats.show(f)?;
    writeln!(f, "interrupts {}", queue.interrupts.get())?;
    let (in_flight, posted, spare) = queue.fill(&shown.nic, shown.index);
    writeln!(f, "tx_in_flight {in_flight}")?;
    writeln!(f, "rx_posted {posted}")?;
    writeln!(f, "rx_spare {spare}")
}

/// The debugfs files of an interface.
pub(crate) type Files = QueueFiles<Shown>;

/// Makes them; `number` is the interface's on the bus.
pub(crate) fn files(nic: &Arc<Nic>, number: u64) -> Result<Files> {
    let queues = (0..nic.queues()).map(|index| Shown {
        nic: nic.clone(),
        index,
    });
    QueueFiles::new(fmt!("xen_netfront_rs-vif-{}", number), queues, &show)
}
