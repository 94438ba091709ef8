// SPDX-License-Identifier: GPL-2.0

//! What a back end offers is read within bounds, and what needs another is not used without it.

use xen_ring::netif::features::{
    max_mtu_behind, BadNode, BadNodeWhy, Features, Offloads, Transport,
};

/// A look-up in a list of nodes.
fn store<'a>(nodes: &'a [(&str, &'a str)]) -> impl FnMut(&str) -> Option<&'a str> {
    move |key| {
        let (_, value) = nodes.iter().find(|(name, _)| *name == key)?;
        Some(value)
    }
}

#[test]
fn the_transport_is_put_into_bounds() {
    let read = |queues, split| {
        let nodes = [
            ("multi-queue-max-queues", queues),
            ("feature-split-event-channels", split),
        ];
        let read = Transport::from_store(store(&nodes));
        (read.max_queues, read.multi_queue, read.split_event_channels)
    };
    assert_eq!(read("8", "1"), (8, true, true));
    assert_eq!(read("0", "0"), (1, true, false));
    assert_eq!(read("4294967297", "2"), (4096, true, true));
    assert_eq!(read("many", "yes"), (1, false, false));
    let nothing = Transport {
        max_queues: 1,
        multi_queue: false,
        split_event_channels: false,
    };
    assert_eq!(Transport::from_store(store(&[])), nothing);
}

const RX_COPY: (&str, &str) = ("feature-rx-copy", "1");

#[test]
fn there_is_no_connection_without_copying() {
    let bad = |why| {
        Err(BadNode {
            key: "feature-rx-copy",
            why,
        })
    };
    let read = |nodes: &[(&str, &str)]| Features::from_store(store(nodes));
    assert_eq!(read(&[]), bad(BadNodeWhy::Missing));
    let zero = ("feature-rx-copy", "0");
    assert_eq!(read(&[zero]), bad(BadNodeWhy::OutOfRange(0)));
    let no = ("feature-rx-copy", "no");
    assert_eq!(read(&[no]), bad(BadNodeWhy::NotANumber));
    assert!(read(&[RX_COPY]).is_ok());
}

#[test]
fn each_feature_is_read_from_its_node_and_off_by_default() {
    let none = Features {
        sg: false,
        gso_tcpv4: false,
        gso_tcpv6: false,
        no_csum_offload: false,
        ipv6_csum_offload: false,
        xdp_headroom: false,
        ctrl_ring: false,
        multicast_control: false,
        dynamic_multicast_control: false,
    };
    let read = |node| Features::from_store(store(&[RX_COPY, node])).expect("it copies");
    assert_eq!(read(RX_COPY), none);
    type Set = fn(&mut Features);
    let each: [(&str, Set); 8] = [
        ("feature-sg", |f| f.sg = true),
        ("feature-gso-tcpv4", |f| f.gso_tcpv4 = true),
        ("feature-gso-tcpv6", |f| f.gso_tcpv6 = true),
        ("feature-no-csum-offload", |f| f.no_csum_offload = true),
        ("feature-ipv6-csum-offload", |f| f.ipv6_csum_offload = true),
        ("feature-xdp-headroom", |f| f.xdp_headroom = true),
        ("feature-ctrl-ring", |f| f.ctrl_ring = true),
        ("feature-multicast-control", |f| f.multicast_control = true),
    ];
    for (key, set) in each {
        let mut expected = none;
        set(&mut expected);
        assert_eq!(read((key, "1")), expected);
        assert_eq!(read((key, "0")), none);
        assert_eq!(read((key, "on")), none);
    }
    // When it may be asked for says nothing if it may not be.
    let dynamic = ("feature-dynamic-multicast-control", "1");
    assert_eq!(read(dynamic), none);
    let both = [RX_COPY, ("feature-multicast-control", "1"), dynamic];
    let both = Features::from_store(store(&both)).expect("it copies");
    assert!(both.multicast_control && both.dynamic_multicast_control);
}

#[test]
fn segmentation_is_left_to_us_only_with_pieces_and_checksums() {
    for bits in 0..1_u32 << 5 {
        let bit = |n: u32| bits & 1 << n != 0;
        let offered = Features {
            sg: bit(0),
            gso_tcpv4: bit(1),
            gso_tcpv6: bit(2),
            no_csum_offload: !bit(3),
            ipv6_csum_offload: bit(4),
            xdp_headroom: false,
            ctrl_ring: false,
            multicast_control: false,
            dynamic_multicast_control: false,
        };
        let expected = Offloads {
            sg: bit(0),
            csum_ipv4: bit(3),
            csum_ipv6: bit(4),
            tso4: bit(0) && bit(1) && bit(3),
            tso6: bit(0) && bit(2) && bit(4),
        };
        let offloads = offered.offloads();
        assert_eq!(offloads, expected);
        assert_eq!(offloads.consistent(), offloads);
        assert_eq!(offloads.max_mtu(), if bit(0) { 65_517 } else { 1500 });
    }
}

#[test]
fn what_is_left_to_us_is_both_offered_and_wanted() {
    let offloads = |bits: u32| Offloads {
        sg: bits & 1 != 0,
        csum_ipv4: bits & 2 != 0,
        csum_ipv6: bits & 4 != 0,
        tso4: bits & 8 != 0,
        tso6: bits & 16 != 0,
    };
    for offered in 0..1 << 5 {
        for wanted in 0..1 << 5 {
            let both = offloads(offered & wanted).consistent();
            assert_eq!(offloads(offered).and(offloads(wanted)), both);
        }
    }
}

#[test]
fn a_packet_behind_head_room_fits_its_page() {
    assert_eq!(max_mtu_behind(256) + 18 + 256, 4096);
    assert_eq!(max_mtu_behind(u32::MAX), 0);
}
