// SPDX-License-Identifier: GPL-2.0

//! Per-CPU data. The GS base points to it while the hypervisor runs.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use paravane::asid::CpuAsids;
use paravane::lock_profile::LockProfile;
use paravane::trace::TraceBuffer;
use spin::{Mutex, Once, RwLock};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

use super::descriptors::Descriptors;
use super::paging;

/// Size of a processor's stack in frames.
const STACK_FRAMES: u64 = 16;
/// Size of the first processor's stack in frames. It unpacks dom0's kernel, and a zstd block of 128 KiB lies on the
/// stack.
const FIRST_STACK_FRAMES: u64 = 80;

/// Data of one processor, which are never freed.
#[repr(C)]
pub struct PerCpu {
    /// The address of this structure, which [`this`] reads.
    me: AtomicPtr<PerCpu>,
    /// Number of the processor, from 0 in the order in which they came up.
    pub index: usize,
    /// The local APIC's id.
    pub apic_id: u32,
    /// End of its stack.
    pub stack: u64,
    descriptors: Descriptors,
    /// Set once the processor runs its main loop.
    pub ready: AtomicBool,
    /// Set by the timer interrupt: the timer has to be armed again.
    pub timer_fired: AtomicBool,
    /// It holds a lock for which other processors wait: what it writes to the console is printed later.
    pub defers_output: AtomicBool,
    /// How long it waited for the system's lock and held it.
    pub lock_profile: Mutex<LockProfile>,
    /// What it does, if that is traced. Only the processor itself writes.
    pub trace: Once<TraceBuffer<'static>>,
    /// Set when a more urgent vCPU waits for it.
    pub reschedule: AtomicBool,
    /// Nanoseconds that it was idle.
    pub idle: AtomicU64,
    /// Serial number of the vCPU whose extended state is in its registers; 0 for none.
    pub last_vcpu: AtomicU64,
    /// The ASIDs under which its TLB keeps translations. Only the processor itself locks it.
    pub asids: Mutex<CpuAsids>,
    /// Physical address of the VMCB with the processor's own state, which VMLOAD restores after a VMEXIT; 0 as long as SVM
    /// is not enabled.
    pub host_vmcb: AtomicU64,
}

/// The first processor has loaded its data; the others do so before anything else.
static LOADED: AtomicBool = AtomicBool::new(false);
static ALL: RwLock<Vec<&'static PerCpu>> = RwLock::new(Vec::new());
static ALLOCATING: Mutex<()> = Mutex::new(());

/// Allocates the data of a processor that will be started.
pub fn alloc(apic_id: u32) -> &'static PerCpu {
    let _guard = ALLOCATING.lock();
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
        defers_output: AtomicBool::new(false),
        lock_profile: Mutex::new(LockProfile::NEW),
        trace: Once::new(),
        reschedule: AtomicBool::new(false),
        idle: AtomicU64::new(0),
        last_vcpu: AtomicU64::new(0),
        asids: Mutex::new(CpuAsids::new(0)),
        host_vmcb: AtomicU64::new(0),
    }));
    cpu.me
        .store((&raw const *cpu).cast_mut(), Ordering::Relaxed);
    ALL.write().push(cpu);
    cpu
}

/// Makes `cpu` the data of the calling processor, and loads its descriptor tables.
pub fn load(cpu: &'static PerCpu) {
    cpu.descriptors.load();
    GsBase::write(VirtAddr::from_ptr(cpu));
    LOADED.store(true, Ordering::Relaxed);
}

/// The data of the calling processor.
pub fn this() -> &'static PerCpu {
    let cpu: *const PerCpu;
    // SAFETY: `load`, which each processor calls first, points the GS base to a `PerCpu`, whose first field is its
    // address.
    unsafe {
        core::arch::asm!("mov {}, gs:[0]", out(reg) cpu, options(nostack, readonly, preserves_flags));
    }
    // SAFETY: a `PerCpu` is never freed, and its fields change by interior mutability only.
    unsafe { &*cpu }
}

/// The data of the calling processor; `None` early at boot.
pub fn try_this() -> Option<&'static PerCpu> {
    LOADED.load(Ordering::Relaxed).then(this)
}

/// The data of all processors.
pub fn all() -> Vec<&'static PerCpu> {
    ALL.read().clone()
}

/// How many processors there are.
pub fn count() -> usize {
    ALL.read().len()
}

/// The data of a processor by its number.
pub fn get(index: usize) -> Option<&'static PerCpu> {
    ALL.read().get(index).copied()
}

/// Removes the data that were allocated last: the processor does not come up.
pub fn remove_last() {
    ALL.write().pop();
}

/// Leaves the present stack for ever and continues in `then` on the processor's own stack.
pub fn switch_stack(cpu: &'static PerCpu, then: extern "C" fn() -> !) -> ! {
    // SAFETY:
    // - `make_stack` has mapped the stack, for this processor only.
    // - `then` does not return, so nothing on the old stack is used again.
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
