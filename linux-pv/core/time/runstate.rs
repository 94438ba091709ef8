// SPDX-License-Identifier: GPL-2.0

//! Runstate areas: one for each CPU, which the hypervisor writes whenever its vCPU is scheduled.
//!
//! [`xen_manage_runstate_time`] runs in `stop_machine()` while all CPUs wait with interrupts
//! disabled, and allocates nothing.

use core::{
    mem::offset_of,
    ptr::{
        self,
        addr_of, //
    },
};

use kernel::{
    ffi::c_int,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

use core_bindings as bindings;

use xen_abi::{
    vcpu::{
        op::REGISTER_RUNSTATE_MEMORY_AREA,
        runstate,
        RunstateInfo, //
    },
    xen::hypercall::VCPU_OP, //
};

use xen_core::{
    declared_in_c, define_per_cpu,
    hypercall_instruction::call3,
    per_cpu::{
        self,
        PossibleCpu, //
    },
    shared_word::Word64,
};

use xen_runstate::{
    area::{
        self,
        StealWords, //
    },
    steal::StealClock,
};

/// What belongs to a CPU: a cache line, so that the hypervisor finds the area in one page.
#[repr(C, align(64))]
struct CpuSteal {
    area: RunstateArea,
    /// What is added to the area's time.
    base: Word64,
    /// The latest reading of the clock.
    latest: Word64,
}

/// `struct vcpu_runstate_info`, in words.
#[repr(C)]
struct RunstateArea {
    state: Word64,
    state_entry_time: Word64,
    time: [Word64; 4],
}

const _: () = {
    assert!(size_of::<RunstateArea>() == size_of::<RunstateInfo>());
    assert!(offset_of!(RunstateArea, state) == offset_of!(RunstateInfo, state));
    assert!(
        offset_of!(RunstateArea, state_entry_time) == offset_of!(RunstateInfo, state_entry_time)
    );
    assert!(offset_of!(RunstateArea, time) == offset_of!(RunstateInfo, time));
    assert!(size_of::<CpuSteal>() == 64);
};

impl CpuSteal {
    /// Of a CPU whose area is not registered yet.
    const fn new() -> Self {
        Self {
            area: RunstateArea {
                state: Word64::new(0),
                state_entry_time: Word64::new(0),
                time: [const { Word64::new(0) }; 4],
            },
            base: Word64::new(0),
            latest: Word64::new(0),
        }
    }

    #[inline]
    fn clock(&self) -> StealClock<'_, &Word64, Word64> {
        StealClock {
            area: StealWords {
                state_entry_time: &self.area.state_entry_time,
                runnable: &self.area.time[runstate::RUNNABLE as usize],
                offline: &self.area.time[runstate::OFFLINE as usize],
            },
            base: &self.base,
            latest: &self.latest,
        }
    }
}

define_per_cpu! {
    /// The area, with the C object's name for those who look at a dump.
    #[no_mangle]
    #[allow(non_upper_case_globals)]
    static xen_runstate: CpuSteal = CpuSteal::new();

    /// What the clock showed when the domain was saved.
    static SAVED: Word64 = Word64::new(0);
}

/// Whether [`SAVED`] is of a save that has not ended yet.
static IS_SAVED: Atomic<u32> = Atomic::new(0);

declared_in_c! {
    xen_steal_clock: unsafe extern "C" fn(c_int) -> u64;
    xen_vcpu_stolen: unsafe extern "C" fn(c_int) -> bool;
    xen_setup_runstate_info: unsafe extern "C" fn(c_int);
    xen_manage_runstate_time: unsafe extern "C" fn(c_int);
}

/// `pv_steal_clock`: nanoseconds in which a vCPU was not run although it could, or was offline. Any
/// context: the scheduler calls it with the run queue's lock held, for its own or another CPU.
///
/// # Safety
///
/// The CPU is possible.
#[no_mangle]
pub unsafe extern "C" fn xen_steal_clock(cpu: c_int) -> u64 {
    // SAFETY: By the requirement of this function.
    let cpu = unsafe { PossibleCpu::from_raw(cpu) };
    xen_runstate.of(cpu).clock().read()
}

/// Whether a vCPU waits for a CPU. Any context: paravirtualised spinlocks call it.
///
/// # Safety
///
/// The CPU is possible.
#[no_mangle]
pub unsafe extern "C" fn xen_vcpu_stolen(cpu: c_int) -> bool {
    // SAFETY: By the requirement of this function.
    let cpu = unsafe { PossibleCpu::from_raw(cpu) };
    area::is_runnable(&xen_runstate.of(cpu).area.state)
}

/// Gives the hypervisor the area of a CPU: when the CPU comes up, and after a restore. If the
/// hypervisor refuses it, this CPU's steal clock stands still, which the log says; C stops the
/// kernel.
///
/// # Safety
///
/// The CPU is possible.
#[no_mangle]
pub unsafe extern "C" fn xen_setup_runstate_info(cpu: c_int) {
    // SAFETY: By the requirement of this function.
    let cpu = unsafe { PossibleCpu::from_raw(cpu) };
    // SAFETY: The variable is C's; it is written before its CPU comes up.
    let vcpu = unsafe { per_cpu::read_c(addr_of!(bindings::xen_vcpu_id), cpu) };
    // `struct vcpu_register_runstate_memory_area`: one address.
    let mut address = ptr::from_ref(&xen_runstate.of(cpu).area).expose_provenance();
    // SAFETY: C calls this on Xen only. The hypervisor reads the argument during the call. It
    // writes the area from then on, which is never freed and consists of shared words.
    let result = unsafe {
        call3(
            VCPU_OP,
            [
                REGISTER_RUNSTATE_MEMORY_AREA.into(),
                vcpu.into(),
                ptr::from_mut(&mut address) as u64,
            ],
        )
    };
    if result != 0 {
        pr_warn!(
            "no steal time of CPU {}: the hypervisor refuses its runstate area: {result}\n",
            cpu.number()
        );
    }
}

/// Keeps the steal clocks over a save: -1 before it, 0 after a restore, and another number if the
/// same domain goes on, after a checkpoint or a save that was given up.
#[no_mangle]
pub extern "C" fn xen_manage_runstate_time(action: c_int) {
    if action == -1 {
        for cpu in PossibleCpu::all() {
            xen_runstate.of(cpu).clock().save(SAVED.of(cpu));
        }
        IS_SAVED.store(1, Relaxed);
        return;
    }
    let is_saved = IS_SAVED.load(Relaxed) != 0;
    IS_SAVED.store(0, Relaxed);
    if action != 0 {
        return;
    }
    if !is_saved {
        pr_warn!("steal time starts anew: it was not kept before the domain was saved\n");
        return;
    }
    for cpu in PossibleCpu::all() {
        xen_runstate.of(cpu).clock().restore(SAVED.of(cpu));
    }
}
