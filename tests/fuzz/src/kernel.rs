// SPDX-License-Identifier: GPL-2.0

//! Packed kernels: whatever the bytes, what is unpacked has the size that was announced, or there is an error.

use paravane::bzimage::find;

use crate::bytes::Bytes;

/// A bzImage whose header is mostly right, so that the packed bytes are looked at.
pub fn bzimage(input: &[u8]) {
    let mut input = Bytes::new(input);
    let magic: &[u8] = match input.below(5) {
        0 => b"\x1f\x8b\x08\0\0\0\0\0\0\0",
        1 => b"\x28\xb5\x2f\xfd\x04\x88",
        2 => b"\x28\xb5\x2f\xfd",
        3 => b"\x02\x21\x4c\x18",
        _ => b"",
    };
    let size = u32::from(input.u16());
    let change = (input.u16(), input.byte());
    let mut packed = magic.to_vec();
    packed.extend(input.take(usize::MAX));
    packed.extend(size.to_le_bytes());
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    image.extend(packed);
    // One byte of the header may be anything.
    if let Some(byte) = image.get_mut(usize::from(change.0)) {
        *byte = change.1;
    }
    let Ok(Some(packed)) = find(&image) else {
        return;
    };
    assert!(packed.range.end <= image.len() as u64);
    let mut got = 0;
    let result = packed.unpack(&image, &mut |bytes| got += bytes.len() as u64);
    assert!(got <= packed.size && (result.is_err() || got == packed.size));
}
