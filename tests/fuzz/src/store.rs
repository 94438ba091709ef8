// SPDX-License-Identifier: GPL-2.0

//! What comes out of the xenstore: the keys of a back end, numbers, paths and messages.

use crate::bytes::Bytes;
use xen_abi::io::xs_wire::{Header, PAYLOAD_MAX};
use xen_ring::blkif::features::{Disk, Features, Transport};
use xen_ring::blkif::vdev::{DiskName, Placement};
use xen_ring::netif::{features as netif, mac};
use xen_ring::xenstore::number::decimal;
use xen_ring::xenstore::path::Path;
use xen_ring::xenstore::wire::Message;
use zerocopy::FromBytes;

/// Reads all that a back end offers from keys with made-up values, and places a device. Whatever
/// it is, what comes out is within its documented bounds.
pub fn features(input: &[u8]) {
    let mut input = Bytes::new(input);
    let vdevice = input.u32();
    let mut nodes = Nodes::new(&mut input);
    let mut get = |key: &str| nodes.get(key);
    let transport = Transport::from_store(&mut get);
    assert!(transport.max_ring_page_order <= 4);
    assert!((1..=4096).contains(&transport.max_queues));
    let sector_size = match Disk::from_store(&mut get) {
        Ok(disk) => {
            assert!(disk.sector_size.is_power_of_two());
            assert!((512..=4096).contains(&disk.sector_size));
            assert!(disk.physical_sector_size.is_power_of_two());
            assert!(disk.physical_sector_size >= disk.sector_size);
            assert!(disk
                .sectors
                .checked_mul(512)
                .is_some_and(|b| i64::try_from(b).is_ok()));
            assert_eq!(Disk::sectors_from_store(&mut get), Ok(disk.sectors));
            disk.sector_size
        }
        Err(_) => 512,
    };
    let features = Features::from_store(&mut get, sector_size);
    let most = features.max_indirect_segments;
    assert!(most == 0 || (12..=4096).contains(&most));
    let limit = features.transfer_limit(256);
    assert!((11..=256).contains(&limit.segments));
    assert_eq!(limit.sectors, limit.segments * 8);
    if let Some(discard) = features.discard {
        assert!(discard.granularity > 0 && discard.granularity % sector_size == 0);
        assert!(discard.alignment < discard.granularity && discard.alignment % 512 == 0);
    }
    if let Ok(placement) = Placement::of(vdevice) {
        assert!(placement.first_minor < 1 << 20);
        assert!([1, 16, 256].contains(&placement.minors));
        let name = placement.name();
        assert!(name.as_str().len() <= DiskName::MAX && name.as_str().starts_with("xvd"));
    }
}

/// Nodes with made-up values.
struct Nodes<'a, 'b> {
    input: &'a mut Bytes<'b>,
    values: Vec<(String, Option<Vec<u8>>)>,
}

impl<'a, 'b> Nodes<'a, 'b> {
    fn new(input: &'a mut Bytes<'b>) -> Self {
        let values = Vec::new();
        Self { input, values }
    }

    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        // A key has one value, however often it is read.
        if let Some((_, value)) = self.values.iter().find(|(known, _)| known == key) {
            return value.clone();
        }
        let value = match self.input.below(4) {
            0 => None,
            1 => {
                let len = self.input.below(24);
                Some(self.input.take(len).to_vec())
            }
            2 => Some((1u64 << self.input.below(64)).to_string().into_bytes()),
            _ => Some(self.input.u64().to_string().into_bytes()),
        };
        self.values.push((key.to_owned(), value.clone()));
        value
    }
}

/// The same for an interface, and its address.
pub fn netif_features(input: &[u8]) {
    let mut input = Bytes::new(input);
    let len = input.below(24);
    let text = input.take(len);
    if let Ok(address) = mac::parse(text) {
        assert!(address[0] & 1 == 0 && address != [0; 6]);
        let again = address.map(|byte| format!("{byte:02x}")).join(":");
        assert_eq!(mac::parse(again.as_bytes()), Ok(address));
    }
    // Most of what is made up is none, so an address is made of it.
    let address: [u8; 6] = input.array();
    let text = address.map(|byte| format!("{byte:x}")).join(":");
    let good = address[0] & 1 == 0 && address != [0; 6];
    assert_eq!(mac::parse(text.as_bytes()).ok(), good.then_some(address));

    let mut nodes = Nodes::new(&mut input);
    let mut get = |key: &str| nodes.get(key);
    let transport = netif::Transport::from_store(&mut get);
    assert!((1..=4096).contains(&transport.max_queues));
    assert!(transport.multi_queue || transport.max_queues == 1);
    if let Ok(features) = netif::Features::from_store(&mut get) {
        let offloads = features.offloads();
        assert!(offloads.sg || !(offloads.tso4 || offloads.tso6));
        assert!(offloads.csum_ipv4 || !offloads.tso4);
        assert!(offloads.csum_ipv6 || !offloads.tso6);
        assert_eq!(offloads.and(offloads), offloads);
        assert!(features.multicast_control || !features.dynamic_multicast_control);
    } else {
        assert!(get("feature-rx-copy").is_none_or(|copy| decimal(&copy).unwrap_or(0) == 0));
    }
}

/// Takes messages off a stream, and reads their payload in every way there is.
pub fn xenstore(input: &[u8]) {
    let mut stream = input;
    while let Ok(Some((message, len))) = Message::parse(stream) {
        assert_eq!(len, message.wire_len());
        assert!(len <= stream.len() && message.payload.len() <= PAYLOAD_MAX);
        let mut copy = vec![0; len];
        assert_eq!(message.write(&mut copy), Some(len));
        assert_eq!(copy, stream[..len]);
        let strings: usize = message.strings().map(|s| s.len() + 1).sum();
        assert!(strings <= message.payload.len() + 1);
        let _ = message.error();
        if let Ok((path, token)) = message.watch_event() {
            assert_eq!(path.len() + token.len() + 2, message.payload.len());
        }
        message.strings().for_each(text);
        stream = &stream[len..];
    }
    if let (Ok(None), Ok((header, _))) = (Message::parse(stream), Header::read_from_prefix(stream))
    {
        // Waiting for the rest makes sense only if it can come.
        assert!(header.len as usize <= PAYLOAD_MAX && stream.len() < header.len as usize + 16);
    }
    text(stream);
}

/// Reads bytes as a number and as a path.
fn text(bytes: &[u8]) {
    // Where Rust's own parser and ours both say it is a number, it is the same; ours takes no
    // sign, and white space around it.
    let plain = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.starts_with('+'));
    if let Some(number) = plain.and_then(|text| text.parse::<u64>().ok()) {
        assert_eq!(decimal(bytes), Some(number));
    }
    if let Some(number) = decimal(bytes) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_suffix('\0').unwrap_or(&text);
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
        assert_eq!(trimmed.parse(), Ok(number));
    }
    if let Ok(path) = Path::new(bytes) {
        let names: Vec<&str> = path.names().collect();
        let joined = names.join("/");
        let whole = if path.is_absolute() {
            format!("/{joined}")
        } else {
            joined
        };
        assert_eq!(whole.as_bytes(), bytes);
        assert_eq!(path.below(path), Some(""));
    }
}
