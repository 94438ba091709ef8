// SPDX-License-Identifier: GPL-2.0

//! The other processors: a trampoline below 1 MiB takes each from real mode to [`crate::processor`], one at a time.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::acpi::Acpi;
use super::{lapic, paging, percpu, phys, time};

/// Where the trampoline goes: a page below 640 KiB that neither the firmware's data nor a loader's structures
/// occupy, and that belongs to no domain yet.
const PAGE: u64 = 0x8000;

/// How long a processor may take to come up, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

global_asm!(
    r#"
    .set VIRT2, 0xffffffff80000000
    .section .boot, "ax"
    .code16
    .global trampoline_start
trampoline_start:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl trampoline_pointer - trampoline_start + 0x8000
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $(trampoline_protected - trampoline_start + 0x8000)
    .code32
trampoline_protected:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %ss
    movl $(trampoline_long - VIRT2), %ebx
    movl $(enter_long_mode - VIRT2), %eax
    jmp *%eax
    .balign 8
trampoline_gdt:
    .quad 0
    .quad 0x00cf9a000000ffff
    .quad 0x00cf92000000ffff
trampoline_pointer:
    .short 23
    .long trampoline_gdt - trampoline_start + 0x8000
    .global trampoline_end
trampoline_end:
    .code64
trampoline_long:
    movabsq ${stack}, %rax
    movq (%rax), %rsp
    xorl %ebp, %ebp
    movabsq ${start}, %rax
    call *%rax
    ud2
    .text
    "#,
    stack = sym STACK,
    start = sym start,
    options(att_syntax)
);

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_end: u8;
}

/// The stack of the processor that is being started: of the boot stack's kind, mapped by the boot tables.
static STACK: AtomicU64 = AtomicU64::new(0);
static STARTED: AtomicBool = AtomicBool::new(false);

#[repr(C, align(4096))]
struct BootStack([u8; 32768]);

static BOOT_STACK: spin::Mutex<BootStack> = spin::Mutex::new(BootStack([0; 32768]));

/// Brings all other processors up.
pub fn start_others(acpi: &Acpi) {
    let me = lapic::id();
    let (from, to) = (
        (&raw const trampoline_start) as u64,
        (&raw const trampoline_end) as u64,
    );
    // SAFETY: the trampoline lies between these symbols of the image and never changes.
    let code = unsafe { core::slice::from_raw_parts(from as *const u8, (to - from) as usize) };
    // SAFETY: the page is RAM that no object of ours lives in.
    unsafe { phys::write_bytes(PAGE, code) };
    let mut stack = BOOT_STACK.lock();
    STACK.store(
        (&raw mut *stack) as u64 + size_of::<BootStack>() as u64,
        Ordering::SeqCst,
    );
    for &apic_id in acpi.apic_ids.iter().filter(|&&id| id != me) {
        percpu::make(apic_id);
        STARTED.store(false, Ordering::SeqCst);
        lapic::send_init(apic_id);
        time::delay(10_000_000);
        lapic::send_startup(apic_id, (PAGE >> 12) as u8);
        if !wait(200_000) {
            lapic::send_startup(apic_id, (PAGE >> 12) as u8);
        }
        if !wait(PATIENCE) {
            log::error!("processor with APIC id {apic_id} does not come up");
            // It may still come late, on the stack that the next one would get.
            lapic::send_init(apic_id);
            percpu::forget_last();
        }
    }
    log::info!(
        "{} processors",
        percpu::all()
            .iter()
            .filter(|cpu| cpu.ready.load(Ordering::SeqCst))
            .count()
    );
}

fn wait(nanoseconds: u64) -> bool {
    let end = time::now() + nanoseconds;
    while !STARTED.load(Ordering::SeqCst) {
        if time::now() > end {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

/// Where the trampoline ends: on the boot tables and the boot stack for processors.
extern "C" fn start() -> ! {
    paging::load();
    lapic::init();
    let id = lapic::id();
    match percpu::all().into_iter().find(|cpu| cpu.apic_id == id) {
        Some(cpu) => {
            percpu::adopt(cpu);
            percpu::switch_stack(cpu, on_own_stack)
        }
        None => super::halt_forever(),
    }
}

extern "C" fn on_own_stack() -> ! {
    let cpu = percpu::this();
    cpu.ready.store(true, Ordering::SeqCst);
    // The boot stack is free for the next one from here on.
    STARTED.store(true, Ordering::SeqCst);
    crate::processor(cpu)
}

/// Stops all other processors, for a crash.
pub fn stop_others() {
    if percpu::all().len() > 1 {
        lapic::send_nmi_to_others();
    }
}
