// SPDX-License-Identifier: GPL-2.0

//! Application processors: a trampoline below 1 MiB takes each from real mode to long mode, one at a time.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use spin::Once;

use super::acpi::Acpi;
use super::percpu::PerCpu;
use super::{lapic, paging, percpu, phys, time};

/// Physical address of the trampoline: a page below 640 KiB that neither the firmware nor loaders use, and that belongs
/// to no domain yet.
const TRAMPOLINE: u64 = 0x8000;

/// How long to wait for a processor to come up, in nanoseconds.
const START_TIMEOUT: u64 = 1_000_000_000;

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

/// Initial stack pointer of the processor that is being started; the boot tables map that stack.
static STACK: AtomicU64 = AtomicU64::new(0);
/// The processor that is being started has left the boot stack.
static STARTED: AtomicBool = AtomicBool::new(false);
/// Whether a processor that comes up may go on. One that was given up and comes later may not: its data are gone, and the
/// boot stack may be another one's.
static GATE: AtomicU8 = AtomicU8::new(CLOSED);

/// Nobody may go on.
const CLOSED: u8 = 0;
/// The next processor may go on.
const OPEN: u8 = 1;
/// It has.
const PASSED: u8 = 2;

#[repr(C, align(4096))]
struct BootStack([u8; 32768]);

static BOOT_STACK: spin::Mutex<BootStack> = spin::Mutex::new(BootStack([0; 32768]));

/// What a processor runs once it is up, on its own stack.
pub type Entry = fn(&'static PerCpu) -> !;

static ENTRY: Once<Entry> = Once::new();

/// Starts all other processors; each continues in `entry`.
pub fn start_others(acpi: &Acpi, entry: Entry) {
    ENTRY.call_once(|| entry);
    let me = lapic::id();
    let (from, to) = (
        (&raw const trampoline_start) as u64,
        (&raw const trampoline_end) as u64,
    );
    // SAFETY: the assembly above defines both symbols around the trampoline, which is code of the image and never
    // changes.
    let code = unsafe { core::slice::from_raw_parts(from as *const u8, (to - from) as usize) };
    // SAFETY: the first MiB is RAM that `memory::init` has reserved, so no object of the hypervisor lies there.
    unsafe { phys::write_bytes(TRAMPOLINE, code) };
    let mut stack = BOOT_STACK.lock();
    STACK.store(
        (&raw mut *stack) as u64 + size_of::<BootStack>() as u64,
        Ordering::SeqCst,
    );
    for &apic_id in acpi.apic_ids.iter().filter(|&&id| id != me) {
        percpu::alloc(apic_id);
        STARTED.store(false, Ordering::SeqCst);
        GATE.store(OPEN, Ordering::SeqCst);
        lapic::send_init(apic_id);
        time::delay(10_000_000);
        lapic::send_startup(apic_id, (TRAMPOLINE >> 12) as u8);
        if !wait(200_000) {
            lapic::send_startup(apic_id, (TRAMPOLINE >> 12) as u8);
        }
        if wait(START_TIMEOUT) {
            continue;
        }
        if GATE.compare_exchange(OPEN, CLOSED, Ordering::SeqCst, Ordering::SeqCst) == Ok(OPEN) {
            log::error!("processor with APIC id {apic_id} does not come up");
            // Wherever it is, it has taken no lock, and INIT stops it there.
            lapic::send_init(apic_id);
            percpu::remove_last();
        } else {
            // It has come at the last moment.
            while !wait(START_TIMEOUT) {}
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

/// The end of the trampoline: on the boot tables and the shared boot stack.
extern "C" fn start() -> ! {
    let passes = GATE.compare_exchange(OPEN, PASSED, Ordering::SeqCst, Ordering::SeqCst);
    if passes.is_err() {
        super::halt_forever();
    }
    paging::load();
    lapic::init();
    let id = lapic::id();
    match percpu::all().into_iter().find(|cpu| cpu.apic_id == id) {
        Some(cpu) => {
            percpu::load(cpu);
            percpu::switch_stack(cpu, on_own_stack)
        }
        None => super::halt_forever(),
    }
}

extern "C" fn on_own_stack() -> ! {
    let cpu = percpu::this();
    cpu.ready.store(true, Ordering::SeqCst);
    // From here on the next processor may use the boot stack.
    STARTED.store(true, Ordering::SeqCst);
    match ENTRY.get() {
        Some(entry) => entry(cpu),
        None => super::halt_forever(),
    }
}
