// SPDX-License-Identifier: GPL-2.0

use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

/// A bzImage with one setup sector and 100 bytes of code before the packed file.
fn image(packed: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024 + 100];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206] = 0x0f;
    image[0x207] = 2;
    image[0x248..0x24c].copy_from_slice(&100u32.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    image.extend(packed);
    image
}

/// Something like a kernel: it begins as an ELF file does, half of it can be packed.
fn kernel(len: usize) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01".to_vec();
    let noise = (0u32..).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
    bytes.extend(
        noise
            .enumerate()
            .map(|(n, b)| if n % 64 < 32 { b } else { (n >> 12) as u8 })
            .take(len),
    );
    bytes.truncate(len);
    bytes
}

fn with_size(mut packed: Vec<u8>, size: usize) -> Vec<u8> {
    packed.extend((size as u32).to_le_bytes());
    packed
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0".to_vec();
    packed.extend(miniz_oxide::deflate::compress_to_vec(bytes, 6));
    // In the place of the checksum.
    packed.extend([0; 4]);
    with_size(packed, bytes.len())
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    with_size(
        compress_to_vec(bytes, CompressionLevel::Fastest),
        bytes.len(),
    )
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut packed = b"\x02\x21\x4c\x18".to_vec();
    for block in bytes.chunks(8 << 20) {
        let block = lz4_flex::block::compress(block);
        packed.extend((block.len() as u32).to_le_bytes());
        packed.extend(block);
    }
    with_size(packed, bytes.len())
}

fn unpack(file: &Vec<u8>, packed: &Packed) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    packed.unpack(file, &mut |bytes| out.extend_from_slice(bytes))?;
    Ok(out)
}

#[test]
fn every_format_is_unpacked() {
    let whole = kernel((9 << 20) + 123);
    for (format, packed) in [
        (Format::Plain, whole.clone()),
        (Format::Gzip, gzip(&whole)),
        (Format::Zstd, zstd(&whole)),
        (Format::Lz4, lz4(&whole)),
    ] {
        let file = image(&packed);
        let found = find(&file).unwrap().unwrap();
        assert_eq!((found.format, found.size), (format, whole.len() as u64));
        assert!(unpack(&file, &found).unwrap() == whole, "{format:?}");
    }
}

#[test]
fn other_files_are_none() {
    assert_eq!(find(&kernel(4096)), Ok(None));
    assert_eq!(find(&vec![]), Ok(None));
    assert_eq!(find(&vec![0; 0x203]), Ok(None));
}

#[test]
fn what_cannot_be_unpacked_is_named() {
    let xz = image(b"\xfd7zXZ\0 and so on, and so on");
    assert_eq!(find(&xz), Err(Error::Unknown("xz")));
    let mut old = image(&gzip(&kernel(100)));
    old[0x206] = 7;
    assert_eq!(find(&old), Err(Error::Header));
    let whole = image(&gzip(&kernel(100)));
    for len in [0x210, 0x24f, 1100, whole.len() - 1] {
        let cut = whole[..len].to_vec();
        assert_eq!(find(&cut), Err(Error::Header), "{len:#x}");
    }
    assert!(Error::Unknown("xz").to_string().contains("packed by xz"));
}

#[test]
fn claimed_sizes_are_bounded_and_have_to_be_true() {
    let bytes = kernel(100_000);
    for pack in [gzip, zstd, lz4] {
        let packed = pack(&bytes);
        let claim = |size: u32| {
            let mut packed = packed.clone();
            let end = packed.len() - 4;
            packed[end..].copy_from_slice(&size.to_le_bytes());
            image(&packed)
        };
        assert_eq!(find(&claim(0)), Err(Error::Size(0)));
        assert_eq!(find(&claim(u32::MAX)), Err(Error::Size(u32::MAX.into())));
        for size in [1, 99_999, 100_001, 10_000_000] {
            let file = claim(size);
            let found = find(&file).unwrap().unwrap();
            let mut got = 0;
            let result = found.unpack(&file, &mut |bytes| got += bytes.len());
            assert_eq!(result, Err(Error::OtherSize), "{size}");
            assert!(got <= size as usize);
        }
    }
}

#[test]
fn memory_for_zstd_is_bounded_by_the_size() {
    // A frame that names a window of 128 MiB, as kernels' do, and whose one block repeats a byte 3 million times, in
    // blocks of 128 KiB.
    let mut packed = b"\x28\xb5\x2f\xfd\x00\x88".to_vec();
    for n in 0..24u32 {
        let header = u32::from(n == 23) | 1 << 1 | (128 << 10) << 3;
        packed.extend(&header.to_le_bytes()[..3]);
        packed.push(b'x');
    }
    let size = 24 * (128 << 10);
    let file = image(&with_size(packed.clone(), size));
    let found = find(&file).unwrap().unwrap();
    assert!(found.room() < 32 << 20);
    assert_eq!(unpack(&file, &found).unwrap(), vec![b'x'; size]);
    // The same that says it is small: it ends long before all of it is unpacked.
    let file = image(&with_size(packed, 1000));
    let found = find(&file).unwrap().unwrap();
    assert_eq!(unpack(&file, &found), Err(Error::OtherSize));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Damage anywhere ends in an error or in as many bytes as were announced, never in a panic.
    #[test]
    fn damage_is_survived(
        which in 0..3usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let bytes = kernel(20_000);
        let mut packed = [gzip, zstd, lz4][which](&bytes);
        for (at, value) in changes {
            let at = at.index(packed.len());
            packed[at] = value;
        }
        let mut image = image(&packed);
        if let Some(cut) = cut {
            image.truncate(cut.index(image.len()));
        }
        let file = image;
        if let Ok(Some(found)) = find(&file) {
            // A size that became large would only take time.
            if found.size < 1 << 20 {
                if let Ok(out) = unpack(&file, &found) {
                    prop_assert_eq!(out.len() as u64, found.size);
                }
            }
        }
    }
}
