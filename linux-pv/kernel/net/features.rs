// SPDX-License-Identifier: GPL-2.0

//! What a device can do for its users.

use kernel::impl_flags;
use xen_bindings as b;

impl_flags!(
    /// Features of a device (`NETIF_F_*`).
    #[derive(Debug, Clone, Default, Copy, PartialEq, Eq)]
    pub struct Features(u64);

    /// One of [`Features`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Feature {
        /// Packets may lie in several pieces of memory.
        ScatterGather = b::XEN_RS_NETIF_F_SG,
        /// The device fills in checksums of TCP and UDP over IPv4.
        Ipv4Checksum = b::XEN_RS_NETIF_F_IP_CSUM,
        /// The device fills in checksums of TCP and UDP over IPv6.
        Ipv6Checksum = b::XEN_RS_NETIF_F_IPV6_CSUM,
        /// The device checks those of received packets.
        ReceiveChecksum = b::XEN_RS_NETIF_F_RXCSUM,
        /// The device cuts up large packets of TCP over IPv4.
        Tso4 = b::XEN_RS_NETIF_F_TSO,
        /// The device cuts up large packets of TCP over IPv6.
        Tso6 = b::XEN_RS_NETIF_F_TSO6,
        /// Packets to be cut up need not be well-formed: the device or its other end looks at them.
        RobustGso = b::XEN_RS_NETIF_F_GSO_ROBUST,
        /// Received packets carry the hash of their flow.
        ReceiveHash = b::XEN_RS_NETIF_F_RXHASH,
    }
);

impl Features {
    /// These without the others.
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

/// What a device can do, as it is told the kernel before the device is registered.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Always on.
    pub fixed: Features,
    /// On at first, and the user may turn them off and on.
    pub changeable: Features,
    /// Whether the driver can run XDP programs: pass, drop, send back, redirect, and send for others.
    pub xdp: bool,
    /// Largest payload of a frame in bytes.
    pub max_mtu: u32,
}
