// SPDX-License-Identifier: GPL-2.0

//! Model-specific registers, with an access that survives one that does not exist.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .text.msr, "ax"
    .global msr_read_at
    .global msr_write_at
    .global msr_failed
    # rdi: number; rsi: where the value goes. Returns 0, or 1 if the processor objects.
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

/// Where to go on after a general-protection fault at `rip`, if it is one of the accesses below.
pub fn fixup(rip: u64) -> Option<u64> {
    let places = [
        (&raw const msr_read_at) as u64,
        (&raw const msr_write_at) as u64,
    ];
    places
        .contains(&rip)
        .then_some((&raw const msr_failed) as u64)
}

/// Reads a register; `None` if the processor has none of this number.
pub fn read(number: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: reading has no effect on memory, and a fault is fixed up.
    let failed = unsafe { msr_read(number, &raw mut value) };
    (failed == 0).then_some(value)
}

/// Writes a register; false if the processor refuses.
///
/// # Safety
///
/// The value does not change how the hypervisor's own memory or code is reached.
pub unsafe fn write(number: u32, value: u64) -> bool {
    // SAFETY: the caller's promise; a fault is fixed up.
    unsafe { msr_write(number, value) == 0 }
}
