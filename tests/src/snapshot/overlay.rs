// SPDX-License-Identifier: GPL-2.0

//! An empty qcow2 overlay, as in QEMU's docs/interop/qcow2.rst: whatever is not written to it is read from the image behind it.
//! The sandbox has no `qemu-img`, and an empty overlay is four clusters.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Bytes of a cluster, and its logarithm.
const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;

/// "QFI\xfb".
const MAGIC: u32 = 0x5146_49fb;
/// With lengths of the header and of reference counts in it.
const VERSION: u32 = 3;
const HEADER_LEN: u32 = 104;
/// A reference count has 2^4 bits.
const REFCOUNT_ORDER: u32 = 4;

/// The header's extension that says which format the image behind has.
const BACKING_FORMAT: u32 = 0xe279_2aca;

/// Where the parts are: the header is cluster 0.
const REFCOUNT_TABLE: u64 = CLUSTER;
const REFCOUNT_BLOCK: u64 = 2 * CLUSTER;
const L1_TABLE: u64 = 3 * CLUSTER;
const CLUSTERS: u64 = 4;

/// Makes an overlay of a raw image of `size` bytes, whose path is `behind` for QEMU.
pub fn write(to: &Path, behind: &str, size: u64) -> Result<()> {
    let file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    // An entry of the first table leads to a cluster of entries of eight bytes.
    let entries = size.div_ceil(CLUSTER * (CLUSTER / 8));
    ensure!(
        entries <= CLUSTER / 8,
        "an image of {size} bytes is too large"
    );
    file.write_all_at(&header(behind, size, u32::try_from(entries)?), 0)?;
    file.write_all_at(&REFCOUNT_BLOCK.to_be_bytes(), REFCOUNT_TABLE)?;
    for cluster in 0..CLUSTERS {
        file.write_all_at(&1u16.to_be_bytes(), REFCOUNT_BLOCK + cluster * 2)?;
    }
    file.set_len(CLUSTERS * CLUSTER)?;
    Ok(())
}

fn header(behind: &str, size: u64, l1_entries: u32) -> Vec<u8> {
    let format = b"raw\0\0\0\0\0";
    // The header, the extension, the mark of their end.
    let name_at = u64::from(HEADER_LEN) + 8 + format.len() as u64 + 8;
    let mut bytes = Vec::new();
    let long = |bytes: &mut Vec<u8>, value: u64| bytes.extend(value.to_be_bytes());
    let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_be_bytes());
    word(&mut bytes, MAGIC);
    word(&mut bytes, VERSION);
    long(&mut bytes, name_at);
    word(&mut bytes, behind.len() as u32);
    word(&mut bytes, CLUSTER_BITS);
    long(&mut bytes, size);
    // No encryption.
    word(&mut bytes, 0);
    word(&mut bytes, l1_entries);
    long(&mut bytes, L1_TABLE);
    long(&mut bytes, REFCOUNT_TABLE);
    // One cluster of that.
    word(&mut bytes, 1);
    // No internal snapshots: their number and where they are.
    word(&mut bytes, 0);
    long(&mut bytes, 0);
    // No features: incompatible, compatible, of bitmaps.
    (0..3).for_each(|_| long(&mut bytes, 0));
    word(&mut bytes, REFCOUNT_ORDER);
    word(&mut bytes, HEADER_LEN);
    word(&mut bytes, BACKING_FORMAT);
    word(&mut bytes, 3);
    bytes.extend(format);
    long(&mut bytes, 0);
    bytes.extend(behind.bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_where_everything_is() {
        let header = header("/vm/root.img", 1 << 30, 2);
        let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_be_bytes(header[at..at + 8].try_into().unwrap());
        assert_eq!(&header[..4], b"QFI\xfb");
        assert_eq!(long(24), 1 << 30);
        assert_eq!((word(36), long(40)), (2, L1_TABLE));
        assert_eq!((long(48), word(56)), (REFCOUNT_TABLE, 1));
        assert_eq!(word(100) as usize, 104, "the header's length is at its end");
        let name = long(8) as usize;
        assert_eq!(&header[name..name + word(16) as usize], b"/vm/root.img");
    }

    #[test]
    fn an_overlay_is_four_clusters() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.qcow2");
        write(&file, "/vm/root.img", 1_380_974_592).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes.len() as u64, CLUSTERS * CLUSTER);
        let counts = &bytes[REFCOUNT_BLOCK as usize..][..10];
        assert_eq!(counts, [0, 1, 0, 1, 0, 1, 0, 1, 0, 0]);
        assert!(write(&file, "/vm/root.img", u64::MAX / 2).is_err());
    }
}
