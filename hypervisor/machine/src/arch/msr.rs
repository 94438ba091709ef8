// SPDX-License-Identifier: GPL-2.0

//! Model-specific registers. An access to one that does not exist is an error, not a crash.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .text.msr, "ax"
    .global msr_read_at
    .global msr_write_at
    .global msr_failed
    # rdi: number; rsi: address for the value. Returns 0, or 1 after a #GP.
    .global msr_read
msr_read:
    mov ecx, edi
msr_read_at:
    rdmsr
    mov [rsi], eax
    mov [rsi + 4], edx
    xor eax, eax
    ret
    # rdi: number; rsi: value.
    .global msr_write
msr_write:
    mov ecx, edi
    mov eax, esi
    shr rsi, 32
    mov edx, esi
msr_write_at:
    wrmsr
    xor eax, eax
    ret
msr_failed:
    mov eax, 1
    ret
    "#
);

unsafe extern "C" {
    fn msr_read(number: u32, value: *mut u64) -> u32;
    fn msr_write(number: u32, value: u64) -> u32;
    static msr_read_at: u8;
    static msr_write_at: u8;
    static msr_failed: u8;
}

/// The address at which to continue after a #GP at `rip`, if that is RDMSR or WRMSR below.
pub fn fixup(rip: u64) -> Option<u64> {
    let places = [
        (&raw const msr_read_at) as u64,
        (&raw const msr_write_at) as u64,
    ];
    places
        .contains(&rip)
        .then_some((&raw const msr_failed) as u64)
}

/// Reads an MSR; `None` if it does not exist.
pub fn read(number: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: `value` is valid for writes, reading an MSR does not affect memory, and a #GP has a fixup.
    let failed = unsafe { msr_read(number, &raw mut value) };
    (failed == 0).then_some(value)
}

/// Writes an MSR; false on a #GP.
///
/// # Safety
///
/// The value must not change how the hypervisor's memory or code is accessed.
pub unsafe fn write(number: u32, value: u64) -> bool {
    // SAFETY: by the function's contract the value is harmless; a #GP has a fixup.
    unsafe { msr_write(number, value) == 0 }
}
