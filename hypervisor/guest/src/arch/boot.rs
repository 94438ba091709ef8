// SPDX-License-Identifier: GPL-2.0

//! From the PVH entry to 64-bit mode: all memory below 4 GiB at its own address, and the window
//! ([`misbehaving::scratch`]). On the way all paging modes are passed: the hypervisor emulates writes of control registers,
//! whose instructions it reads by the guest's page tables. In each of them 32-bit code makes a hypercall.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use misbehaving::scratch;

/// Bits of a page table's entry: present, writable.
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;

global_asm!(
    r#"
    .section .note.xen, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long pvh_entry

    .section .boot, "ax"
    .code32
    .global pvh_entry
pvh_entry:
    cli
    cld
    movl $stack_top, %esp
    movl %ebx, start_info
    movl ${answers}, %edi
    call ask_features
    movl %edi, next_answer

    # 4 GiB in pages of 2 MiB.
    movl $low_pd, %edi
    movl $0x83, %eax
    movl $2048, %ecx
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b
    movl $low_pdpt, %edi
    movl $(low_pd + 3), %eax
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 2b
    # The window at 256 GiB. Rust fills in the entries of its page table.
    movl $(low_pdpt + 3), pml4
    movl $(window_pd + 3), low_pdpt + 256 * 8
    movl $(window_pt + 3), window_pd

    # Legacy paging, in pages of 4 MiB.
    movl $legacy_pd, %edi
    movl $0x83, %eax
    movl $1024, %ecx
3:  movl %eax, (%edi)
    addl $0x400000, %eax
    addl $4, %edi
    loop 3b
    movl %cr4, %eax
    orl $0x10, %eax
    movl %eax, %cr4
    movl $legacy_pd, %eax
    call page_and_unpage

    # PAE. Entries of its topmost table have no permissions.
    movl $pae_pdpt, %edi
    movl $(low_pd + 1), %eax
    movl $4, %ecx
4:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 4b
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $pae_pdpt, %eax
    call page_and_unpage

    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    # With CR0.WP, so that read-only pages are.
    movl %cr0, %eax
    orl $0x80010001, %eax
    movl %eax, %cr0
    movl next_answer, %edi
    call ask_features
    lgdt gdt_pointer
    ljmp $8, $in_long_mode

    # Asks for the features by XENVER_get_features, with the argument at EDI + 4: which 32 of them, and which they are.
    # The result goes to EDI, which then points behind it all.
ask_features:
    movl $17, %eax
    movl $6, %ebx
    leal 4(%edi), %ecx
    vmmcall
    movl %eax, (%edi)
    addl $12, %edi
    ret

    # Enables paging with the tables at EAX, writes CR4 with them, and disables it again.
page_and_unpage:
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80000001, %eax
    movl %eax, %cr0
    movl %cr4, %ecx
    movl %ecx, %cr4
    movl next_answer, %edi
    call ask_features
    movl %edi, next_answer
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    ret

    .code64
in_long_mode:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl start_info(%rip), %edi
    call {enter}
3:  hlt
    jmp 3b

    .section .rodata.boot, "a"
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00af92000000ffff
gdt_pointer:
    .short 23
    .long gdt

    .section .bss.boot, "aw", @nobits
    .balign 4096
pml4: .skip 4096
low_pdpt: .skip 4096
low_pd: .skip 16384
legacy_pd: .skip 4096
pae_pdpt: .skip 4096
window_pd: .skip 4096
    .global window_pt
window_pt: .skip 4096
    .global window_memory
window_memory: .skip {memory}
stack: .skip 65536
stack_top:
start_info: .skip 4
next_answer: .skip 4
    .text
    "#,
    enter = sym enter,
    answers = sym ANSWERS,
    memory = const scratch::MEMORY * scratch::PAGE,
    options(att_syntax)
);

unsafe extern "C" {
    static window_pt: u8;
    static window_memory: u8;
}

/// What 32-bit code was answered: the result, the number of the features' word, and the word.
static ANSWERS: [[AtomicU32; 3]; CODE_32.len()] =
    [const { [const { AtomicU32::new(0) }; 3] }; CODE_32.len()];

/// Where 32-bit code has asked, in this order.
pub const CODE_32: [&str; 4] = [
    "without paging",
    "with two levels of page tables",
    "with PAE",
    "in long mode",
];

/// The features that 32-bit code was told, in each of [`CODE_32`], or the error.
pub fn features_of_32_bit_code() -> [Result<u32, i32>; CODE_32.len()] {
    let answer = |index: usize| {
        let [result, _, features] = &ANSWERS[index];
        match result.load(Ordering::Relaxed) as i32 {
            0 => Ok(features.load(Ordering::Relaxed)),
            error => Err(error),
        }
    };
    core::array::from_fn(answer)
}

/// The first frame of the window's memory.
pub fn scratch_frame() -> u64 {
    (&raw const window_memory) as u64 / scratch::PAGE
}

/// The start information, as far as it is used.
pub struct StartInfo {
    /// The command line.
    pub command_line: &'static str,
}

extern "C" fn enter(info: u64) -> ! {
    super::traps::load();
    let table = (&raw const window_pt).cast::<u64>().cast_mut();
    for index in 0..scratch::PAGES {
        let entry = match index {
            0..scratch::READ_ONLY => (scratch_frame() + index) << 12 | PRESENT,
            scratch::READ_ONLY..scratch::MEMORY => {
                (scratch_frame() + index) << 12 | PRESENT | WRITABLE
            }
            scratch::HYPERVISORS => scratch::HYPERVISORS_FRAME << 12 | PRESENT | WRITABLE,
            scratch::NOTHING => scratch::NO_FRAME << 12 | PRESENT | WRITABLE,
            _ => 0,
        };
        // SAFETY: the assembly reserves 512 entries for the table, which only this code writes; nothing was accessed
        // through them yet.
        unsafe { table.add(index as usize).write_volatile(entry) };
    }
    // SAFETY: `info` is the start information that RBX pointed to at the PVH entry; `cmdline_paddr` is at offset 24 of
    // it.
    let text = unsafe { ((info + 24) as *const u64).read() } as *const core::ffi::c_char;
    // SAFETY: the command line ends with NUL, and lies in memory that neither the guest nor its hypercalls write to.
    let text = unsafe { core::ffi::CStr::from_ptr(text) };
    crate::start(&StartInfo {
        command_line: text.to_str().unwrap_or(""),
    })
}
