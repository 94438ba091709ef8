// SPDX-License-Identifier: GPL-2.0

//! The network protocol: what one end puts on a ring the other takes off as it was meant, what is
//! malformed costs a packet or the connection as it is laid down, and no buffer is ever lost.

mod control;
mod features;
mod messages;
mod rx;
mod tx;

use xen_ring::netif::extra::{Gso, GsoKind, Hash, HashKind};

fn gso(size: u16, kind: GsoKind) -> Gso {
    let size = size.try_into().expect("not zero");
    Gso { size, kind }
}

fn hash(kind: HashKind, value: u32) -> Hash {
    Hash { kind, value }
}

/// What packets are made of, for proptest.
mod any {
    use super::{gso, hash};
    use proptest::option;
    use proptest::prelude::*;
    use xen_ring::netif::extra::{Gso, GsoKind, Hash, HashKind};
    use xen_ring::netif::Checksum;

    pub fn checksum() -> impl Strategy<Value = Checksum> {
        let all = [Checksum::Unknown, Checksum::Validated, Checksum::Blank];
        proptest::sample::select(all.to_vec())
    }

    pub fn segmented() -> impl Strategy<Value = Option<Gso>> {
        let kind = prop_oneof![Just(GsoKind::TcpV4), Just(GsoKind::TcpV6)];
        option::of((1..=u16::MAX, kind).prop_map(|(size, kind)| gso(size, kind)))
    }

    pub fn hashed() -> impl Strategy<Value = Option<Hash>> {
        let all = [
            HashKind::IpV4,
            HashKind::TcpV4,
            HashKind::IpV6,
            HashKind::TcpV6,
        ];
        let kind = proptest::sample::select(all.to_vec());
        option::of((kind, any::<u32>()).prop_map(|(kind, value)| hash(kind, value)))
    }
}
