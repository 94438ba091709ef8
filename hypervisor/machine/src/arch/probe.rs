// SPDX-License-Identifier: GPL-2.0

//! Reading the hypervisor's own memory where it may not be mapped, for crash reports.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .text.probe, "ax"
    .global probe_read_at
    .global probe_failed
    # rdi: address; rsi: address for the value. Returns 0, or 1 after a fault.
    .global probe_read
probe_read:
probe_read_at:
    mov rax, [rdi]
    mov [rsi], rax
    xor eax, eax
    ret
probe_failed:
    mov eax, 1
    ret
    "#
);

unsafe extern "C" {
    fn probe_read(address: u64, value: *mut u64) -> u32;
    static probe_read_at: u8;
    static probe_failed: u8;
}

/// The address at which to continue after a fault at `rip`, if that is the read below.
pub fn fixup(rip: u64) -> Option<u64> {
    (rip == (&raw const probe_read_at) as u64).then_some((&raw const probe_failed) as u64)
}

/// Reads a word; `None` if nothing is mapped there.
///
/// # Safety
///
/// No device may be mapped at the address: reading its registers may have effects.
pub unsafe fn read(address: u64) -> Option<u64> {
    let mut value = 0;
    // SAFETY: `value` is valid for writes, a fault of the read has a fixup, and by the function's contract the read has no
    // effect.
    let failed = unsafe { probe_read(address, &raw mut value) };
    (failed == 0).then_some(value)
}
