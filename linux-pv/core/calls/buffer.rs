// SPDX-License-Identifier: GPL-2.0

//! Each CPU's batch: its state, and the memory of calls, arguments and callbacks. C fills it
//! through pointers, the hypervisor reads it and writes results.

use core::{
    cell::UnsafeCell,
    ptr::{
        self,
        addr_of, //
    },
};

use kernel::ffi::c_void;

use core_bindings as bindings;

use xen_abi::xen::{
    hypercall as number,
    MulticallEntry, //
};

use xen_core::{
    call_counts::{
        self,
        How, //
    },
    define_per_cpu,
    hypercall_instruction::{
        call2_uncounted,
        call5_uncounted, //
    },
};

use xen_hypercall::batch::{
    self,
    Batch,
    Event,
    Place,
    ARGUMENT_BYTES,
    MAX_CALLBACKS,
    MAX_CALLS, //
};

use crate::{
    multicalls::Callback,
    report::{
        self,
        Failed, //
    },
    trace, //
};

/// Memory for what calls' arguments point to.
#[repr(C, align(8))]
struct Arguments([u8; ARGUMENT_BYTES]);

/// A CPU's batch. Nothing refers to the memory but by raw pointers.
#[repr(C)]
pub(crate) struct Buffer {
    batch: Batch,
    calls: UnsafeCell<[MulticallEntry; MAX_CALLS]>,
    arguments: UnsafeCell<Arguments>,
    callbacks: UnsafeCell<[(Option<Callback>, *mut c_void); MAX_CALLBACKS]>,
}

// SAFETY: It is only used by its CPU, as `Buffer::of_this_cpu` requires.
unsafe impl Sync for Buffer {}

define_per_cpu! {
    /// The batches, with the C object's name for those who look at a dump.
    #[allow(non_upper_case_globals)]
    static mc_buffer: Buffer = Buffer {
        batch: Batch::new(),
        calls: UnsafeCell::new([MulticallEntry { op: 0, result: 0, args: [0; 6] }; MAX_CALLS]),
        arguments: UnsafeCell::new(Arguments([0; ARGUMENT_BYTES])),
        callbacks: UnsafeCell::new([(None, ptr::null_mut()); MAX_CALLBACKS]),
    };
}

impl Buffer {
    /// This CPU's batch.
    ///
    /// # Safety
    ///
    /// The task cannot be preempted, and no interrupt's handler uses the batch, until the last use
    /// of the reference.
    #[inline]
    pub(crate) unsafe fn of_this_cpu() -> &'static Self {
        mc_buffer.of_this_cpu()
    }

    #[inline]
    fn call(&self, index: usize) -> *mut MulticallEntry {
        self.calls
            .get()
            .cast::<MulticallEntry>()
            .wrapping_add(index)
    }

    /// A place's memory, as C has it.
    #[inline]
    pub(crate) fn space(&self, place: Place) -> bindings::multicall_space {
        let arguments = self.arguments.get().cast::<u8>();
        bindings::multicall_space {
            mc: self.call(place.call()).cast(),
            args: arguments.wrapping_add(place.argument()).cast(),
        }
    }

    /// Counts the calls of the batch, and that of the batch itself.
    #[cold]
    #[inline(never)]
    fn count(&self, calls: usize) {
        let how = match calls {
            1 => How::Direct,
            _ => {
                call_counts::add(number::MULTICALL.into(), How::Direct);
                How::Batched
            }
        };
        for call in 0..calls {
            call_counts::add(batch::Buffer::number(self, call), how);
        }
    }

    /// Fills the place of a callback.
    #[inline]
    pub(crate) fn set_callback(&self, index: usize, function: Callback, data: *mut c_void) {
        let callback = self.callbacks.get().cast::<(Option<Callback>, _)>();
        // SAFETY: The index is one of `batch::callback`, so it is within the table; only this CPU
        // uses it.
        unsafe { callback.add(index).write((Some(function), data)) };
    }
}

impl batch::Buffer for Buffer {
    #[inline]
    fn batch(&self) -> &Batch {
        &self.batch
    }

    #[inline]
    fn number(&self, call: usize) -> u64 {
        // SAFETY: The batch has this call, so it is within the table.
        unsafe { addr_of!((*self.call(call)).op).read() }
    }

    /// One call is made directly, which is what a list of one comes to.
    #[inline]
    fn issue(&self, calls: usize) {
        let list = self.call(0);
        if report::is_recording() {
            // SAFETY: The batch has so many calls, and nobody writes them now.
            unsafe { report::record_calls(list, calls) };
        }
        if call_counts::is_counting() {
            self.count(calls);
        }
        let (answer, has_failed);
        if calls == 1 {
            // SAFETY: The batch has a call; only this CPU uses it.
            let call = unsafe { list.read() };
            let [a, b, c, d, e, _] = call.args;
            // SAFETY: C asks for this call, and answers for it. Only PV domains have batches.
            let result = unsafe { call5_uncounted(call.op as u32, [a, b, c, d, e]) };
            // SAFETY: The batch has a call; only this CPU uses it.
            unsafe { addr_of!((*list).result).cast_mut().write(result as u64) };
            answer = 0;
            has_failed = result < 0;
        } else {
            let arguments = [list.expose_provenance() as u64, calls as u64];
            // SAFETY: C asks for these calls, and answers for them. The hypervisor writes nothing
            // but their results, and their arguments while it is not done.
            answer = unsafe { call2_uncounted(number::MULTICALL, arguments) } as i32;
            let mut signs = 0;
            let mut call = list;
            for _ in 0..calls {
                // SAFETY: The batch has so many calls.
                signs |= unsafe { addr_of!((*call).result).read() };
                call = call.wrapping_add(1);
            }
            has_failed = answer != 0 || (signs as i64) < 0;
        }
        if has_failed {
            // SAFETY: The batch has so many calls, and nobody writes them now.
            unsafe {
                report::failed(Failed {
                    answer,
                    list,
                    calls,
                })
            };
        }
    }

    #[inline]
    fn call_back(&self, callback: usize) {
        let callbacks = self
            .callbacks
            .get()
            .cast::<(Option<Callback>, *mut c_void)>();
        // SAFETY: The batch has this callback, so it is within the table.
        if let (Some(function), data) = unsafe { callbacks.add(callback).read() } {
            // SAFETY: Whoever added the callback has asked for this.
            unsafe { function(data) };
        }
    }

    #[inline(always)]
    fn trace(&self, event: Event) {
        trace::event(event);
    }
}
