// SPDX-License-Identifier: GPL-2.0

//! The first instructions. A multiboot loader enters in 32-bit protected mode without paging. This code maps the first
//! 4 GiB three times (at 0 for the jump, at the direct map, and at the image's addresses), enters long mode and calls
//! [`crate::start`]. [`crate::arch::paging`] replaces these boot tables by ones with W^X.

use core::arch::global_asm;

use paravane::multiboot::{MAGIC1, MAGIC2};

/// Multiboot 1 header flags: page-aligned modules, memory map wanted, address fields valid.
const FLAGS1: u32 = 1 | 2 | 0x1_0000;

global_asm!(
    r#"
    .set VIRT, 0xffffffff80000000

    .section .multiboot, "a"
    .balign 8
multiboot1_header:
    .long 0x1badb002
    .long {flags1}
    .long -(0x1badb002 + {flags1})
    .long multiboot1_header - VIRT
    .long image_start - VIRT
    .long load_end - VIRT
    .long image_end - VIRT
    .long multiboot_entry - VIRT

    .balign 8
multiboot2_header:
    .long 0xe85250d6
    .long 0
    .long multiboot2_end - multiboot2_header
    .long -(0xe85250d6 + (multiboot2_end - multiboot2_header))
    # Load addresses, entry address, page-aligned modules, end.
    .short 2, 0
    .long 24
    .long multiboot2_header - VIRT
    .long image_start - VIRT
    .long load_end - VIRT
    .long image_end - VIRT
    .short 3, 0
    .long 12
    .long multiboot_entry - VIRT
    .long 0
    .short 6, 0
    .long 8
    .short 0, 0
    .long 8
multiboot2_end:

    .section .boot, "ax"
    .code32
    .global multiboot_entry
multiboot_entry:
    cli
    cld
    movl %eax, boot_magic - VIRT
    movl %ebx, boot_info - VIRT
    movl $(boot_stack_top - VIRT), %esp

    # Without long mode there is only a message.
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc no_long_mode

    # Four page directories of 2 MiB pages: the first 4 GiB.
    movl $(boot_pd - VIRT), %edi
    movl $0x83, %eax
    xorl %edx, %edx
    movl $2048, %ecx
1:  movl %eax, (%edi)
    movl %edx, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    movl $(boot_pdpt - VIRT), %edi
    movl $(boot_pd - VIRT + 3), %eax
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 2b

    # The image's 2 GiB: the last two entries of the last table.
    movl $(boot_pd - VIRT + 3), boot_pdpt_high - VIRT + 510 * 8
    movl $(boot_pd - VIRT + 4096 + 3), boot_pdpt_high - VIRT + 511 * 8
    movl $(boot_pdpt - VIRT + 3), boot_pml4 - VIRT
    movl $(boot_pdpt - VIRT + 3), boot_pml4 - VIRT + 273 * 8
    movl $(boot_pdpt_high - VIRT + 3), boot_pml4 - VIRT + 511 * 8

    movl $(boot_low - VIRT), %ebx
    jmp enter_long_mode
    .code64
boot_low:
    movabsq $boot_high, %rax
    jmp *%rax

    # Enters long mode on the boot tables and continues at EBX in 64-bit code. Application processors use it too.
    .code32
    .global enter_long_mode
enter_long_mode:
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $(boot_pml4 - VIRT), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer - VIRT
    ljmp $8, $(in_long_mode - VIRT)
    .code64
in_long_mode:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    jmp *%rbx

boot_high:
    movabsq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    # The low addresses go away with the boot tables: the same GDT by its address in the image.
    lgdt boot_gdt_pointer_high(%rip)
    movl boot_magic(%rip), %edi
    movl boot_info(%rip), %esi
    call {start}
3:  cli
    hlt
    jmp 3b

    .code32
no_long_mode:
    movl $(no_long_mode_text - VIRT), %esi
4:  lodsb
    testb %al, %al
    jz 5f
    movw $0x3f8, %dx
    outb %al, %dx
    jmp 4b
5:  cli
    hlt
    jmp 5b
    .code64

    .section .rodata.boot, "a"
no_long_mode_text:
    .asciz "Paravane: this processor has no 64-bit mode\r\n"
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00af92000000ffff
boot_gdt_pointer:
    .short 23
    .long boot_gdt - VIRT
boot_gdt_pointer_high:
    .short 23
    .quad boot_gdt

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .global boot_pml4
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pdpt_high: .skip 4096
boot_pd: .skip 16384
    .skip 4096
boot_stack: .skip 65536
boot_stack_top:
boot_magic: .skip 4
boot_info: .skip 4
    .text
    "#,
    flags1 = const FLAGS1,
    start = sym start,
    options(att_syntax)
);

/// Called by the assembly above, on the boot stack, with interrupts off.
extern "C" fn start(magic: u32, info: u32) -> ! {
    match magic {
        MAGIC1 | MAGIC2 => crate::start(magic, u64::from(info)),
        _ => crate::arch::halt_forever(),
    }
}
