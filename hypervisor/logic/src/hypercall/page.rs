// SPDX-License-Identifier: GPL-2.0

//! The hypercall page: code by which a guest makes hypercalls without knowing the processor's instruction for it.

use crate::mem::PAGE_SIZE;

/// Bytes of the code of one hypercall.
const STUB: usize = 32;

/// A hypercall page for AMD processors: `mov eax, N; vmmcall; ret` for each hypercall, and breakpoints behind that.
pub fn hypercall_page() -> [u8; PAGE_SIZE as usize] {
    let mut bytes = [0xcc; PAGE_SIZE as usize];
    for (number, stub) in (0u32..).zip(bytes.chunks_exact_mut(STUB)) {
        stub[0] = 0xb8;
        stub[1..5].copy_from_slice(&number.to_le_bytes());
        stub[5..9].copy_from_slice(&[0x0f, 0x01, 0xd9, 0xc3]);
    }
    bytes
}
