// SPDX-License-Identifier: GPL-2.0

//! The features of an interface: those that the backend offers and the user has enabled.

use kernel::prelude::*;
use kernel_ext::net::{
    Capabilities,
    Feature,
    Features,
    ETH_DATA_LEN,
    MAX_XDP_LEN,
    VLAN_ETH_HLEN, //
};
use xen_ring::netif::features::{
    Offloads,
    MAX_MTU, //
};

use crate::interface::Nic;

/// What an interface can do before anything is known of the backend.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        fixed: Feature::ReceiveChecksum | Feature::RobustGso,
        changeable: Feature::ScatterGather
            | Feature::Ipv4Checksum
            | Feature::Ipv6Checksum
            | Feature::Tso4
            | Feature::Tso6,
        xdp: true,
        max_mtu: MAX_MTU,
    }
}

/// Those of the requested features that the backend offers, too.
pub(crate) fn fix(nic: &Nic, requested: Features) -> Features {
    let has = |feature: Feature| requested.contains(feature);
    let offloads = Offloads {
        sg: has(Feature::ScatterGather),
        csum_ipv4: has(Feature::Ipv4Checksum),
        csum_ipv6: has(Feature::Ipv6Checksum),
        tso4: has(Feature::Tso4),
        tso6: has(Feature::Tso6),
    };
    let can = offloads.and(*nic.data().offloads.lock());
    let mut cannot = Features::default();
    for (can, feature) in [
        (can.sg, Feature::ScatterGather),
        (can.csum_ipv4, Feature::Ipv4Checksum),
        (can.csum_ipv6, Feature::Ipv6Checksum),
        (can.tso4, Feature::Tso4),
        (can.tso6, Feature::Tso6),
    ] {
        if !can {
            cannot |= feature;
        }
    }
    requested.without(cannot)
}

/// These features are used from now on. Large packets need scatter-gather.
pub(crate) fn set(nic: &Nic, features: Features) {
    if !features.contains(Feature::ScatterGather) && nic.mtu() > ETH_DATA_LEN {
        pr_info!("{}: Reducing MTU because no SG offload\n", nic.name());
        nic.set_mtu(ETH_DATA_LEN);
    }
}

/// The largest MTU that the features in use, and XDP programs, allow.
pub(crate) fn max_mtu(nic: &Nic) -> u32 {
    let sg = nic.features().contains(Feature::ScatterGather);
    let max = if sg { MAX_MTU } else { ETH_DATA_LEN };
    if nic.has_program() {
        max.min(MAX_XDP_LEN - VLAN_ETH_HLEN)
    } else {
        max
    }
}
