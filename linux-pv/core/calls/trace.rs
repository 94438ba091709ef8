// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of batches (`trace/events/xen.h`). What is not traced costs an instruction that does
//! nothing, as in C.

use kernel::ffi::{
    c_int,
    c_void, //
};

use xen_hypercall::batch::{
    Event,
    Full,
    NotExtended, //
};

use crate::multicalls::Callback;

/// Calls a shim if its tracepoint is on.
macro_rules! if_traced {
    ($tracepoint:ident, $shim:ident($($argument:expr),*)) => {{
        #[cfg(CONFIG_TRACEPOINTS)]
        {
            // SAFETY: The key is that of a tracepoint, which C defines.
            let is_traced = unsafe {
                kernel::jump_label::static_branch_unlikely!(
                    core_bindings::$tracepoint,
                    kernel::bindings::tracepoint,
                    key
                )
            };
            if is_traced {
                // SAFETY: Records the arguments.
                unsafe { core_bindings::$shim($($argument),*) };
            }
        }
        #[cfg(not(CONFIG_TRACEPOINTS))]
        {
            let _ = ($($argument),*);
        }
    }};
}

/// Numbers of `enum xen_mc_flush_reason` (`asm/xen/trace_types.h`).
fn reason(full: Full) -> c_int {
    match full {
        Full::Calls => 1,
        Full::Arguments => 2,
        Full::Callbacks => 3,
    }
}

/// Numbers of `enum xen_mc_extend_args`.
fn extension(result: Result<(), NotExtended>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(NotExtended::OtherCall) => 1,
        Err(NotExtended::NoRoom) => 2,
    }
}

/// Traces what happens to a batch.
#[inline(always)]
pub(crate) fn event(event: Event) {
    match event {
        Event::Entry { bytes } => {
            if_traced!(
                __tracepoint_xen_mc_entry_alloc,
                xen_core_trace_mc_entry_alloc(bytes)
            );
        }
        Event::Extend {
            number,
            bytes,
            result,
        } => {
            if_traced!(
                __tracepoint_xen_mc_extend_args,
                xen_core_trace_mc_extend_args(number as usize, bytes, extension(result))
            );
        }
        Event::Full(full) => {
            if_traced!(
                __tracepoint_xen_mc_flush_reason,
                xen_core_trace_mc_flush_reason(reason(full))
            );
        }
        Event::Flush {
            calls,
            bytes,
            callbacks,
        } => {
            if_traced!(
                __tracepoint_xen_mc_flush,
                xen_core_trace_mc_flush(calls, bytes, callbacks)
            );
        }
    }
}

/// Traces that a callback was added.
#[inline(always)]
pub(crate) fn callback(function: Callback, data: *mut c_void) {
    if_traced!(
        __tracepoint_xen_mc_callback,
        xen_core_trace_mc_callback(Some(function), data)
    );
}
