// SPDX-License-Identifier: GPL-2.0

//! The functions that C calls to collect hypercalls in a batch and to make them
//! (`arch/x86/xen/xen-ops.h`). A batch is flushed when it is full, and when C asks for it: at the
//! end of each change of a page table, or of many (lazy mode).
//!
//! They are called with interrupts disabled (`xen_mc_batch()`), or in a section that cannot be
//! preempted; [`xen_mc_flush`] may be called in any context.

use core::ptr;

use kernel::ffi::{
    c_ulong,
    c_void, //
};

use core_bindings as bindings;

use xen_core::{
    declared_in_c,
    define_per_cpu,
    pv_irqs::{
        self,
        IrqsDisabled, //
    },
    shared_word::Word64, //
};

use xen_hypercall::batch;

use crate::{
    buffer::Buffer,
    report,
    trace, //
};

/// A function that is called when a batch was made, with data of whoever has added it.
pub(crate) type Callback = unsafe extern "C" fn(*mut c_void);

define_per_cpu! {
    /// What C's inline functions keep while a batch is filled: whether interrupts were enabled.
    #[no_mangle]
    #[allow(non_upper_case_globals)]
    static xen_mc_irq_flags: Word64 = Word64::new(0);
}

declared_in_c! {
    xen_mc_flush: unsafe extern "C" fn();
    xen_core_mc_entry: unsafe extern "C" fn(usize, c_ulong) -> bindings::multicall_space;
    xen_mc_extend_args: unsafe extern "C" fn(c_ulong, usize) -> bindings::multicall_space;
    xen_mc_callback: unsafe extern "C" fn(Option<Callback>, *mut c_void);
}

/// What a caller gets that cannot have a place.
const NOTHING: bindings::multicall_space = bindings::multicall_space {
    mc: ptr::null_mut(),
    args: ptr::null_mut(),
};

/// Makes the calls of this CPU's batch, and then its callbacks. Any context in a PV domain.
///
/// # Safety
///
/// All places that were given out are filled: with calls that may be made, whose arguments are
/// valid.
#[no_mangle]
pub unsafe extern "C" fn xen_mc_flush() {
    let _disabled = IrqsDisabled::new();
    // SAFETY: Interrupts are disabled. A callback that uses the batch does so in the middle of
    // `flush`, which is ready for it.
    batch::flush(unsafe { Buffer::of_this_cpu() });
}

/// `__xen_mc_entry()`: gives a place for a call with so many bytes of arguments. A caller that
/// could be moved to another CPU while it fills the place, or whose arguments are too many for any
/// batch, gets none: null pointers, which it does not look at. So it faults, where C stops the
/// kernel here.
///
/// # Safety
///
/// The caller fills the place before interrupts are enabled and before it uses the batch again.
#[no_mangle]
pub unsafe extern "C" fn xen_core_mc_entry(
    bytes: usize,
    caller: c_ulong,
) -> bindings::multicall_space {
    if !pv_irqs::is_preemptible() && !report::is_recording() {
        // SAFETY: The task is not preempted, and the caller keeps interrupts from using the batch.
        let buffer = unsafe { Buffer::of_this_cpu() };
        if let Some(place) = batch::entry_if_room(buffer, bytes) {
            return buffer.space(place);
        }
    }
    // SAFETY: By the requirement of this function.
    unsafe { entry(bytes, caller) }
}

/// What is seldom needed of [`xen_core_mc_entry`]: by itself, so that the rest needs no stack.
///
/// # Safety
///
/// As there.
#[cold]
#[inline(never)]
unsafe fn entry(bytes: usize, caller: c_ulong) -> bindings::multicall_space {
    if pv_irqs::is_preemptible() {
        report::misused();
        return NOTHING;
    }
    // SAFETY: The task is not preempted, and the caller keeps interrupts from using the batch.
    let buffer = unsafe { Buffer::of_this_cpu() };
    // SAFETY: By the requirement of this function the places before this one are filled.
    let flush = || unsafe { xen_mc_flush() };
    let Some(place) = batch::entry(buffer, bytes, flush) else {
        report::misused();
        return NOTHING;
    };
    let space = buffer.space(place);
    if report::is_recording() {
        report::record_entry(place, caller, bytes, space.args);
    }
    space
}

/// Gives more bytes of arguments to the latest call, if it has this number and there is room;
/// otherwise null pointers.
///
/// # Safety
///
/// As [`xen_core_mc_entry`].
#[no_mangle]
pub unsafe extern "C" fn xen_mc_extend_args(
    number: c_ulong,
    bytes: usize,
) -> bindings::multicall_space {
    if pv_irqs::is_preemptible() {
        report::misused();
        return NOTHING;
    }
    // SAFETY: The task is not preempted, and the caller keeps interrupts from using the batch.
    let buffer = unsafe { Buffer::of_this_cpu() };
    match batch::extend(buffer, number as u64, bytes) {
        Some(place) => buffer.space(place),
        None => NOTHING,
    }
}

/// Has a function called when this CPU's batch was made.
///
/// # Safety
///
/// The task is not preempted, and interrupts do not use the batch. The function may be called with
/// the data, with interrupts disabled.
#[no_mangle]
pub unsafe extern "C" fn xen_mc_callback(function: Option<Callback>, data: *mut c_void) {
    let Some(function) = function else {
        return;
    };
    // SAFETY: By the requirement of this function.
    let buffer = unsafe { Buffer::of_this_cpu() };
    // SAFETY: What was given out before is filled when a callback is added.
    let flush = || unsafe { xen_mc_flush() };
    match batch::callback(buffer, flush) {
        Some(index) => {
            trace::callback(function, data);
            buffer.set_callback(index, function, data);
        }
        // A flush leaves no callbacks.
        None => report::misused(),
    }
}
