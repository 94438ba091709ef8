// SPDX-License-Identifier: GPL-2.0

//! Features and limits of a device.

use kernel::impl_flags;
use xen_bindings as b;

impl_flags!(
    /// Features of a device (`NETIF_F_*`).
    #[derive(Debug, Clone, Default, Copy, PartialEq, Eq)]
    pub struct Features(u64);

    /// One of [`Features`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Feature {
        /// Packets may have fragments.
        ScatterGather = b::XEN_RS_NETIF_F_SG,
        /// The device computes checksums of TCP and UDP over IPv4.
        Ipv4Checksum = b::XEN_RS_NETIF_F_IP_CSUM,
        /// The device computes checksums of TCP and UDP over IPv6.
        Ipv6Checksum = b::XEN_RS_NETIF_F_IPV6_CSUM,
        /// The device verifies checksums of received packets.
        ReceiveChecksum = b::XEN_RS_NETIF_F_RXCSUM,
        /// The device segments packets of TCP over IPv4.
        Tso4 = b::XEN_RS_NETIF_F_TSO,
        /// The device segments packets of TCP over IPv6.
        Tso6 = b::XEN_RS_NETIF_F_TSO6,
        /// The device verifies the headers of packets to be segmented, which may be from an
        /// untrusted source.
        RobustGso = b::XEN_RS_NETIF_F_GSO_ROBUST,
        /// Received packets have a hash of their flow.
        ReceiveHash = b::XEN_RS_NETIF_F_RXHASH,
    }
);

impl Features {
    /// These features without `others`.
    #[must_use]
    pub fn without(self, others: Features) -> Self {
        Self(self.0 & !others.0)
    }

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }
}

/// Features and limits of a new device.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Features that are always on.
    pub fixed: Features,
    /// Features that are on initially, and that the user can turn off and on.
    pub changeable: Features,
    /// Whether the driver supports XDP with all its actions, and `xdp_xmit`.
    pub xdp: bool,
    /// Maximum payload of a frame in bytes.
    pub max_mtu: u32,
}
