// SPDX-License-Identifier: GPL-2.0

//! What belongs to one processor. The GS base points at it while the hypervisor runs.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use spin::{Mutex, RwLock};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

use super::descriptors::Descriptors;
use super::paging;

/// Frames of a processor's stack.
const STACK_FRAMES: u64 = 16;
/// Frames of the first processor's, which unpacks dom0's kernel: a block of zstd's, 128 KiB, lies on the stack.
const FIRST_STACK_FRAMES: u64 = 80;

/// A processor's own data; lives for ever.
#[repr(C)]
pub struct PerCpu {
    /// Its own address, for [`this`] to read.
    me: AtomicPtr<PerCpu>,
    /// Number of the processor, from 0 in the order in which they came up.
    pub index: usize,
    /// The local APIC's id.
    pub apic_id: u32,
    /// Behind the end of the stack this processor runs on.
    pub stack: u64,
    descriptors: Descriptors,
    /// Set once the processor runs its main loop.
    pub ready: AtomicBool,
    /// Set when the timer's interrupt came: it has to be armed again.
    pub timer_fired: AtomicBool,
    /// Set when the scheduler has something more urgent for it than what it runs.
    pub reschedule: AtomicBool,
    /// Nanoseconds it had nothing to run.
    pub idle: AtomicU64,
    /// The number of the vCPU whose extended state it has; `usize::MAX` for none.
    pub last_vcpu: AtomicUsize,
}

static ALL: RwLock<Vec<&'static PerCpu>> = RwLock::new(Vec::new());
static MAKING: Mutex<()> = Mutex::new(());

/// Makes the data of a processor that will come up.
pub fn make(apic_id: u32) -> &'static PerCpu {
    let _one_at_a_time = MAKING.lock();
    let index = ALL.read().len();
    let frames = match index {
        0 => FIRST_STACK_FRAMES,
        _ => STACK_FRAMES,
    };
    let cpu: &'static PerCpu = Box::leak(Box::new(PerCpu {
        me: AtomicPtr::new(core::ptr::null_mut()),
        index,
        apic_id,
        stack: paging::make_stack(frames),
        descriptors: Descriptors::new(),
        ready: AtomicBool::new(false),
        timer_fired: AtomicBool::new(false),
        reschedule: AtomicBool::new(false),
        idle: AtomicU64::new(0),
        last_vcpu: AtomicUsize::new(usize::MAX),
    }));
    cpu.me
        .store((&raw const *cpu).cast_mut(), Ordering::Relaxed);
    ALL.write().push(cpu);
    cpu
}

/// Makes `cpu` the data of the processor that calls, and loads its descriptor tables.
pub fn adopt(cpu: &'static PerCpu) {
    cpu.descriptors.load();
    GsBase::write(VirtAddr::from_ptr(cpu));
}

/// The data of the processor that calls.
pub fn this() -> &'static PerCpu {
    let cpu: *const PerCpu;
    // SAFETY: the GS base points at a `PerCpu` from `adopt` on, which is called before anything that comes here, and
    // its first field is its address.
    unsafe {
        core::arch::asm!("mov {}, gs:[0]", out(reg) cpu, options(nostack, readonly, preserves_flags));
    }
    // SAFETY: it is never freed, and what changes in it is atomic or locked.
    unsafe { &*cpu }
}

/// The data of all processors known so far.
pub fn all() -> Vec<&'static PerCpu> {
    ALL.read().clone()
}

/// The data of a processor by its number.
pub fn get(index: usize) -> Option<&'static PerCpu> {
    ALL.read().get(index).copied()
}

/// Forgets the processor that was made last: it does not come up.
pub fn forget_last() {
    ALL.write().pop();
}

/// Leaves the present stack for ever and goes on in `then` on this processor's own.
pub fn switch_stack(cpu: &'static PerCpu, then: extern "C" fn() -> !) -> ! {
    // SAFETY: the stack is mapped, large, and nobody else's; nothing of the old one is used again.
    unsafe {
        core::arch::asm!(
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {then}",
            "ud2",
            stack = in(reg) cpu.stack,
            then = in(reg) then,
            options(noreturn)
        )
    }
}
