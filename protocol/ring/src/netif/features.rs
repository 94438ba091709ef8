// SPDX-License-Identifier: GPL-2.0

//! What a back end offers, read from its xenstore nodes and put into bounds, and what a front end
//! can make of it.
//!
//! The nodes and their defaults are described in `io/netif.h`. A node that is not there, or is not
//! a number, has its default. Each function takes a look-up of nodes in the back end's folder, all
//! of which a back end has written when it is in state InitWait.

use super::ETH_HLEN;
use crate::xenstore::node::{clamp, needed, number, out_of_range};
use xen_abi::io::netif::MAX_TX_SIZE;
use xen_abi::PAGE_SIZE;

pub use crate::xenstore::node::{BadNode, BadNodeWhy};

/// Most queues we take a back end's word for. A driver has no use for more than it has CPUs.
pub const MAX_QUEUES: u32 = 4096;

/// Bytes of an Ethernet header with a VLAN tag.
const VLAN_ETH_HLEN: u32 = ETH_HLEN as u32 + 4;

/// Largest MTU if packets may lie in several pages: 65517. C's netfront allows 18 bytes more and
/// then cannot send such packets, whose header counts in the wire's limit.
pub const MAX_MTU: u32 = MAX_TX_SIZE - VLAN_ETH_HLEN;

/// Largest MTU else (`ETH_DATA_LEN`).
pub const MAX_MTU_WITHOUT_SG: u32 = 1500;

/// How packets can be carried: `multi-queue-max-queues` and `feature-split-event-channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Number of pairs of rings; 1 to [`MAX_QUEUES`].
    pub max_queues: u32,
    /// The back end knows of `multi-queue-num-queues`, so that it has to be told their number.
    pub multi_queue: bool,
    /// The two rings of a pair may have an event channel each.
    pub split_event_channels: bool,
}

impl Transport {
    /// Reads the nodes by means of `get`.
    pub fn from_store<V: AsRef<[u8]>>(mut get: impl FnMut(&str) -> Option<V>) -> Transport {
        let queues = number(get("multi-queue-max-queues"));
        Transport {
            max_queues: clamp(queues.unwrap_or(1), 1, MAX_QUEUES),
            multi_queue: queues.is_some(),
            split_event_channels: flag(get("feature-split-event-channels")),
        }
    }
}

/// The parts of the protocol that a back end offers.
///
/// That it copies what we receive (`feature-rx-copy`) is not listed: without it there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Packets may lie in several slots (`feature-sg`).
    pub sg: bool,
    /// It takes TCP over IPv4 in packets that have to be cut (`feature-gso-tcpv4`).
    pub gso_tcpv4: bool,
    /// The same over IPv6 (`feature-gso-tcpv6`).
    pub gso_tcpv6: bool,
    /// It does *not* take blank checksums over IPv4 (`feature-no-csum-offload`).
    pub no_csum_offload: bool,
    /// It takes blank checksums over IPv6 (`feature-ipv6-csum-offload`).
    pub ipv6_csum_offload: bool,
    /// It leaves head room in the buffers we post if asked by `xdp-headroom`
    /// (`feature-xdp-headroom`).
    pub xdp_headroom: bool,
    /// It serves a control ring (`feature-ctrl-ring`).
    pub ctrl_ring: bool,
    /// It filters multicast packets if asked before we are connected
    /// (`feature-multicast-control`).
    pub multicast_control: bool,
    /// It does so if asked at any time (`feature-dynamic-multicast-control`).
    pub dynamic_multicast_control: bool,
}

impl Features {
    /// Reads the nodes by means of `get`.
    ///
    /// # Errors
    ///
    /// A back end without `feature-rx-copy` wants to exchange pages for those we post, which we do
    /// not let it: there is no connection with it.
    pub fn from_store<V: AsRef<[u8]>>(
        mut get: impl FnMut(&str) -> Option<V>,
    ) -> Result<Features, BadNode> {
        const RX_COPY: &str = "feature-rx-copy";
        if needed(RX_COPY, get(RX_COPY))? == 0 {
            return Err(out_of_range(RX_COPY, 0));
        }
        let mut read = |key| flag(get(key));
        let multicast_control = read("feature-multicast-control");
        Ok(Features {
            sg: read("feature-sg"),
            gso_tcpv4: read("feature-gso-tcpv4"),
            gso_tcpv6: read("feature-gso-tcpv6"),
            no_csum_offload: read("feature-no-csum-offload"),
            ipv6_csum_offload: read("feature-ipv6-csum-offload"),
            xdp_headroom: read("feature-xdp-headroom"),
            ctrl_ring: read("feature-ctrl-ring"),
            multicast_control,
            // It says when the other may be asked for, so it is nothing alone.
            dynamic_multicast_control: multicast_control
                && read("feature-dynamic-multicast-control"),
        })
    }

    /// What the network stack may leave to us, as far as the back end goes.
    #[inline]
    pub fn offloads(&self) -> Offloads {
        Offloads {
            sg: self.sg,
            csum_ipv4: !self.no_csum_offload,
            csum_ipv6: self.ipv6_csum_offload,
            tso4: self.gso_tcpv4,
            tso6: self.gso_tcpv6,
        }
        .consistent()
    }
}

/// What a network stack may leave to the interface when it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Packets may lie in several pieces (`NETIF_F_SG`).
    pub sg: bool,
    /// Checksums over IPv4 (`NETIF_F_IP_CSUM`).
    pub csum_ipv4: bool,
    /// Checksums over IPv6 (`NETIF_F_IPV6_CSUM`).
    pub csum_ipv6: bool,
    /// TCP over IPv4 in packets that have to be cut (`NETIF_F_TSO`).
    pub tso4: bool,
    /// The same over IPv6 (`NETIF_F_TSO6`).
    pub tso6: bool,
}

impl Offloads {
    /// Those that both have: what is offered and what a user wants.
    #[inline]
    pub fn and(self, other: Offloads) -> Offloads {
        Offloads {
            sg: self.sg && other.sg,
            csum_ipv4: self.csum_ipv4 && other.csum_ipv4,
            csum_ipv6: self.csum_ipv6 && other.csum_ipv6,
            tso4: self.tso4 && other.tso4,
            tso6: self.tso6 && other.tso6,
        }
        .consistent()
    }

    /// Without those that need another that is missing. A packet to be cut lies in more than a
    /// page, so it takes several pieces; and each segment needs a checksum, which cannot be in the
    /// packet yet.
    #[inline]
    pub fn consistent(self) -> Offloads {
        Offloads {
            tso4: self.tso4 && self.sg && self.csum_ipv4,
            tso6: self.tso6 && self.sg && self.csum_ipv6,
            ..self
        }
    }

    /// The largest MTU with these.
    #[inline]
    pub fn max_mtu(&self) -> u32 {
        if self.sg {
            MAX_MTU
        } else {
            MAX_MTU_WITHOUT_SG
        }
    }
}

/// The largest MTU if each packet we receive has to lie in one page behind `headroom` bytes, as a
/// program for XDP wants it.
#[inline]
pub const fn max_mtu_behind(headroom: u32) -> u32 {
    (PAGE_SIZE as u32).saturating_sub(headroom.saturating_add(VLAN_ETH_HLEN))
}

fn flag<V: AsRef<[u8]>>(value: Option<V>) -> bool {
    number(value).unwrap_or(0) != 0
}
