// SPDX-License-Identifier: GPL-2.0

//! Calls of a batch that have failed: a warning, and a line for each. With `xen_mc_debug` on the
//! command line the lines are of all calls of the batch, with who has asked for each, and all their
//! arguments.
//!
//! What the hypervisor answers never stops the kernel here. (`panic_on_warn` does.)

use core::{
    cell::UnsafeCell,
    mem::{
        align_of,
        size_of, //
    },
    ptr::{
        self,
        addr_of_mut, //
    },
    sync::atomic::{
        AtomicPtr,
        AtomicU32,
        Ordering::Relaxed, //
    },
};

use kernel::{
    bindings as k,
    cpu::CpuId,
    ffi::{
        c_char,
        c_int,
        c_ulong,
        c_void, //
    },
    pr_cont,
    prelude::*,
};

use core_bindings as bindings;

use xen_abi::xen::{
    hypercall as number,
    MulticallEntry, //
};

use xen_core::{
    per_cpu,
    pv_irqs::IrqsDisabled, //
};

use xen_hypercall::batch::{
    Place,
    MAX_CALLS, //
};

use crate::multicalls::xen_mc_flush;

/// What is recorded of a batch: for each place who has asked for it and for how many bytes, and the
/// calls as they were made. (The hypervisor may change their arguments.)
#[repr(C)]
struct Record {
    calls: [MulticallEntry; MAX_CALLS],
    callers: [usize; MAX_CALLS],
    bytes: [usize; MAX_CALLS],
    arguments: [*const u64; MAX_CALLS],
}

/// The record of the only CPU that runs early at boot.
struct Early(UnsafeCell<Record>);

// SAFETY: It is used by one CPU, with interrupts disabled.
unsafe impl Sync for Early {}

#[link_section = ".init.data"]
static EARLY: Early = Early(UnsafeCell::new(Record {
    calls: [MulticallEntry {
        op: 0,
        result: 0,
        args: [0; 6],
    }; MAX_CALLS],
    callers: [0; MAX_CALLS],
    bytes: [0; MAX_CALLS],
    arguments: [ptr::null(); MAX_CALLS],
}));

/// The CPUs' records, or null early at boot. Written once, at boot.
static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());

/// Whether batches are recorded. Written at boot. (An atomic of the kernel's is a function in C.)
#[link_section = ".data..read_mostly"]
static IS_RECORDING: AtomicU32 = AtomicU32::new(0);

/// Whether batches are recorded.
#[inline]
pub(crate) fn is_recording() -> bool {
    IS_RECORDING.load(Relaxed) != 0
}

/// This CPU's record. The early one is gone when there are others, as `.ref.text` says.
#[link_section = ".ref.text"]
#[inline(never)]
fn record() -> *mut Record {
    match RECORDS.load(Relaxed) {
        records if records.is_null() => EARLY.0.get(),
        records => per_cpu::of_this_cpu(records).cast_mut(),
    }
}

/// An element of a list of the record's.
fn element<T>(list: *mut [T; MAX_CALLS], index: usize) -> *mut T {
    list.cast::<T>().wrapping_add(index)
}

/// Records who has asked for a place. Interrupts do not use the batch.
#[cold]
pub(crate) fn record_entry(place: Place, caller: c_ulong, bytes: usize, arguments: *mut c_void) {
    let (record, call) = (record(), place.call());
    // SAFETY:
    // - The record is this CPU's, and nobody else uses it.
    // - A place's call is below `MAX_CALLS`.
    unsafe {
        element(addr_of_mut!((*record).callers), call).write(caller);
        element(addr_of_mut!((*record).bytes), call).write(bytes);
        element(addr_of_mut!((*record).arguments), call).write(arguments.cast());
    }
}

/// Records calls before they are made. Interrupts are disabled.
///
/// # Safety
///
/// `list` has so many calls, at most [`MAX_CALLS`], which nobody writes.
#[cold]
pub(crate) unsafe fn record_calls(list: *const MulticallEntry, calls: usize) {
    // SAFETY: The record is this CPU's, and nobody else uses it. By the requirement of this
    // function the list is as long as that.
    unsafe { ptr::copy_nonoverlapping(list, addr_of_mut!((*record()).calls).cast(), calls) };
}

/// A caller that has no right to a place, or has asked for too much.
#[cold]
#[inline(never)]
pub(crate) fn misused() {
    kernel::warn_on!(true);
}

/// A batch in which calls have failed.
pub(crate) struct Failed {
    /// What the hypervisor has returned for the batch as such: not 0 if it has not made all calls.
    pub(crate) answer: i32,
    /// The calls.
    pub(crate) list: *const MulticallEntry,
    /// Their number.
    pub(crate) calls: usize,
}

/// Reports calls that have failed. Interrupts are disabled.
///
/// # Safety
///
/// `list` has so many calls, at most [`MAX_CALLS`], which nobody writes.
#[cold]
#[inline(never)]
pub(crate) unsafe fn failed(batch: Failed) {
    let Failed { answer, calls, .. } = batch;
    // SAFETY: By the requirement of this function.
    let call = |index| unsafe { batch.list.add(index).read() };
    let failed = (0..calls).filter(|index| (call(*index).result as i64) < 0);
    let cpu = CpuId::current().as_u32();
    // With the callers.
    kernel::warn_on!(true);
    match answer {
        0 => pr_err!(
            "{} of {calls} multicall(s) failed: cpu {cpu}\n",
            failed.count()
        ),
        _ => pr_err!(
            "a batch of {calls} multicall(s) failed: {answer}, results are not known: cpu {cpu}\n"
        ),
    }
    for index in 0..calls {
        let MulticallEntry { op, result, args } = call(index);
        let (line, result) = (index.wrapping_add(1), result as i64);
        if is_recording() {
            // SAFETY: This batch was recorded.
            unsafe { print_recorded(index, result) };
        } else if answer != 0 || result < 0 {
            let [first, ..] = args;
            pr_err!("  call {line:2}: op={op} arg=[{first:x}] result={result}\n");
        }
    }
}

/// Prints a call that was recorded, with all arguments.
///
/// # Safety
///
/// The batch was recorded, and `index` is one of its calls; nobody writes it or its arguments.
unsafe fn print_recorded(index: usize, result: i64) {
    let record = record();
    // SAFETY: By the requirement of this function.
    let (call, caller, bytes, arguments) = unsafe {
        (
            element(addr_of_mut!((*record).calls), index).read(),
            element(addr_of_mut!((*record).callers), index).read(),
            element(addr_of_mut!((*record).bytes), index).read(),
            element(addr_of_mut!((*record).arguments), index).read(),
        )
    };
    // Rust's formatting knows no `%pS`.
    // SAFETY: Text and arguments fit.
    unsafe {
        k::_printk(
            c"\x013  call %2d: op=%lu result=%ld caller=%pS "
                .to_bytes_with_nul()
                .as_ptr(),
            index.wrapping_add(1) as c_int,
            call.op,
            result,
            caller as *const c_void,
        )
    };
    let parameters = call.args.iter().take(parameters(call.op));
    for (at, argument) in parameters.enumerate() {
        let name = if at == 0 { "pars=" } else { "" };
        pr_cont!("{name}{argument:x} ");
    }
    for at in 0..bytes / size_of::<u64>() {
        // SAFETY: The call has so many bytes of arguments in this CPU's batch.
        let argument = unsafe { arguments.add(at).read() };
        let name = if at == 0 { "args=" } else { "" };
        pr_cont!("{name}{argument:x} ");
    }
    pr_cont!("\n");
}

/// How many parameters a hypercall has, of those that are made in batches.
fn parameters(op: u64) -> usize {
    match op as u32 & 0xff {
        number::MMU_UPDATE | number::MMUEXT_OP => 4,
        number::UPDATE_VA_MAPPING => 3,
        number::STACK_SWITCH | number::UPDATE_DESCRIPTOR => 2,
        number::FPU_TASKSWITCH => 1,
        _ => 0,
    }
}

/// `xen_mc_debug`: batches are recorded.
#[link_section = ".init.text"]
extern "C" fn set_debug(_text: *mut c_char) -> c_int {
    IS_RECORDING.store(1, Relaxed);
    0
}

xen_core::early_param!(c"xen_mc_debug", set_debug);

/// An `early_initcall`: gives each CPU a record, before the others run.
#[link_section = ".init.text"]
extern "C" fn make_records() -> c_int {
    if !is_recording() {
        return 0;
    }
    // SAFETY: An allocation, which is never freed.
    let records =
        unsafe { bindings::xen_core_alloc_percpu(size_of::<Record>(), align_of::<Record>()) };
    if records.is_null() {
        pr_err!("xen_mc_debug inactive\n");
        IS_RECORDING.store(0, Relaxed);
        return -(k::ENOMEM as c_int);
    }
    let disabled = IrqsDisabled::new();
    if xen_core::domain::is_pv() {
        // What was begun with the other record.
        // SAFETY: All places are filled: nobody is filling one now.
        unsafe { xen_mc_flush() };
    }
    RECORDS.store(records.cast(), Relaxed);
    drop(disabled);
    pr_info!("xen_mc_debug active\n");
    0
}

xen_core::initcall!(early, make_records);
