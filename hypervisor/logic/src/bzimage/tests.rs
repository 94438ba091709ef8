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
fn the_first_protocol_with_a_payload_and_the_smallest_payload_are_taken() {
    let mut oldest = image(&gzip(&kernel(100)));
    oldest[0x206] = 8;
    assert!(find(&oldest).unwrap().is_some());
    let found = find(&image(&kernel(16))).unwrap().unwrap();
    assert_eq!((found.format, found.size), (Format::Plain, 16));
    for len in [0, 3, 15] {
        assert_eq!(find(&image(&kernel(len))), Err(Error::Header), "{len}");
    }
    assert!(File::is_empty(&Vec::new()) && !File::is_empty(&oldest));
}

#[test]
fn a_size_up_to_the_limit_is_believed() {
    let claim = |size: u64| {
        let mut packed = lz4(&kernel(100));
        packed.truncate(packed.len() - 4);
        find(&image(&with_size(packed, size as usize)))
    };
    assert_eq!(claim(512 << 20).unwrap().unwrap().size, 512 << 20);
    assert_eq!(claim((512 << 20) + 1), Err(Error::Size((512 << 20) + 1)));
}

#[test]
fn there_is_room_for_the_buffers_of_each_format() {
    let room = |format| {
        let packed = Packed {
            format,
            range: 0..100,
            size: 20 << 20,
        };
        packed.room() >> 20
    };
    assert_eq!((room(Format::Plain), room(Format::Gzip)), (4, 4));
    // Two blocks of 8 MiB, packed and unpacked.
    assert_eq!(room(Format::Lz4), 4 + 16);
    // The next power of two above 20 MiB, while the one before still exists.
    assert_eq!(room(Format::Zstd), 4 + 2 * 32);
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
fn optional_fields_of_a_gzip_header_are_skipped() {
    let bytes = kernel(1000);
    let plain = gzip(&bytes);
    // Behind the fixed part and the name that `gzip` puts there.
    let data = &plain[15..];
    let with = |method: u8, flags: u8, fields: &[u8]| {
        let head = [0x1f, 0x8b, method, flags, 0, 0, 0, 0, 0, 3];
        let file = image(&[&head[..], fields, data].concat());
        let found = find(&file).unwrap().unwrap();
        unpack(&file, &found)
    };
    // A checksum of the header, an extra field of three bytes, a name, a comment; and all.
    for (flags, fields) in [
        (0, &b""[..]),
        (1 << 1, b"\x01\x02"),
        (1 << 2, b"\x03\x00abc"),
        (1 << 3, b"name\0"),
        (1 << 4, b"a comment\0"),
        (0x1e, b"\x03\x00abcname\0a comment\0\x01\x02"),
    ] {
        assert_eq!(with(8, flags, fields), Ok(bytes.clone()), "{flags:#x}");
    }
    assert_eq!(with(7, 0, b""), Err(Error::Damaged), "another method");
    let name_without_end = image(&with_size(
        b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name".to_vec(),
        0x0101_0101,
    ));
    let found = find(&name_without_end).unwrap().unwrap();
    assert_eq!(unpack(&name_without_end, &found), Err(Error::Damaged));
    let cut = image(&with_size(plain[..200].to_vec(), 1000));
    let found = find(&cut).unwrap().unwrap();
    assert_eq!(unpack(&cut, &found), Err(Error::Damaged));
}

#[test]
fn an_lz4_block_that_could_not_be_packed_is_unpacked() {
    let mut state = 1u64;
    let noise = core::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    let bytes: Vec<u8> = noise.take(8 << 20).collect();
    let packed = lz4(&bytes);
    assert!(
        packed.len() > bytes.len() + (8 << 20) / 300,
        "it grows by a 255th"
    );
    let file = image(&packed);
    let found = find(&file).unwrap().unwrap();
    assert!(unpack(&file, &found).unwrap() == bytes);
}

#[test]
fn every_form_of_a_zstd_header_is_replaced() {
    let with = |descriptor: u8, fields: usize| {
        let mut packed = [&b"\x28\xb5\x2f\xfd"[..], &[descriptor]].concat();
        // Windows and sizes that are none, for nobody is to believe them.
        packed.resize(packed.len() + fields, 0xff);
        // Two blocks: a byte, fifty times each.
        for last in [0u32, 1] {
            packed.extend(&(last | 1 << 1 | 50 << 3).to_le_bytes()[..3]);
            packed.push(b'x');
        }
        let file = image(&with_size(packed, 100));
        let found = find(&file).unwrap().unwrap();
        unpack(&file, &found)
    };
    // The size of the size field, and the window's byte unless there is a single segment.
    for (descriptor, fields) in [
        (0x00, 1),
        (0x20, 1),
        (0x40, 1 + 2),
        (0x60, 2),
        (0x80, 1 + 4),
        (0xa0, 4),
        (0xc0, 1 + 8),
        (0xe0, 8),
    ] {
        let unpacked = with(descriptor, fields);
        assert_eq!(unpacked, Ok(vec![b'x'; 100]), "{descriptor:#x}");
    }
    for descriptor in [0x01, 0x02, 0x03, 0x08] {
        let unpacked = with(descriptor, 1);
        assert_eq!(unpacked, Err(Error::Damaged), "{descriptor:#x}");
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
