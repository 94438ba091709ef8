// SPDX-License-Identifier: GPL-2.0

//! Statistics of a device.

use xen_bindings as b;

/// Statistics of a device (`struct rtnl_link_stats64`).
pub struct LinkStats<'a>(pub(super) &'a mut b::rtnl_link_stats64);

impl LinkStats<'_> {
    /// Adds received packets and bytes.
    pub fn received(&mut self, packets: u64, bytes: u64) {
        self.0.rx_packets = self.0.rx_packets.wrapping_add(packets);
        self.0.rx_bytes = self.0.rx_bytes.wrapping_add(bytes);
    }

    /// Adds sent packets and bytes.
    pub fn sent(&mut self, packets: u64, bytes: u64) {
        self.0.tx_packets = self.0.tx_packets.wrapping_add(packets);
        self.0.tx_bytes = self.0.tx_bytes.wrapping_add(bytes);
    }

    /// Adds invalid received packets, dropped received packets, and dropped packets to be sent.
    pub fn lost(&mut self, rx_errors: u64, rx_dropped: u64, tx_dropped: u64) {
        self.0.rx_errors = self.0.rx_errors.wrapping_add(rx_errors);
        self.0.rx_dropped = self.0.rx_dropped.wrapping_add(rx_dropped);
        self.0.tx_dropped = self.0.tx_dropped.wrapping_add(tx_dropped);
    }
}
