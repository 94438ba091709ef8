// SPDX-License-Identifier: GPL-2.0

//! What a CPU shares with the hypervisor (`struct vcpu_info`).

use core::{
    mem::offset_of,
    ptr::NonNull, //
};

use kernel::bindings as k;

use core_bindings as bindings;

use xen_core::{
    per_cpu::{
        self,
        PossibleCpu, //
    },
    shared_word::{
        Word64,
        Word8, //
    },
};

/// A CPU's structure.
///
/// # Invariants
///
/// The structure is mapped, and what is accessed by this type is accessed by atomic operations.
#[derive(Clone, Copy)]
pub(crate) struct Vcpu(NonNull<k::vcpu_info>);

impl Vcpu {
    /// That of this CPU, while it cannot be preempted. `None` before the CPU has one.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        // SAFETY: Reads this CPU's value of a variable of C's.
        // INVARIANT: C stores the address of a structure that the CPU has from then on.
        NonNull::new(unsafe { per_cpu::of_this_cpu(&raw const bindings::xen_vcpu).read() })
            .map(Self)
    }

    /// That of a CPU.
    pub(crate) fn of(cpu: PossibleCpu) -> Option<Self> {
        // SAFETY: The variable is C's; it is written when its CPU comes up or its domain resumes.
        // INVARIANT: As in `current`.
        NonNull::new(unsafe { per_cpu::read_c(&raw const bindings::xen_vcpu, cpu) }).map(Self)
    }

    #[inline]
    fn field<T>(&self, offset: usize) -> &T {
        // SAFETY: By the type invariant the field is mapped. Types and offsets are those of the
        // functions below.
        unsafe { self.0.byte_add(offset).cast().as_ref() }
    }

    /// Whether there are events to look for.
    #[inline]
    pub(crate) fn upcall_pending(&self) -> &Word8 {
        self.field(offset_of!(k::vcpu_info, evtchn_upcall_pending))
    }

    /// Whether a PV domain has interrupts disabled.
    pub(crate) fn upcall_mask(&self) -> &Word8 {
        self.field(offset_of!(k::vcpu_info, evtchn_upcall_mask))
    }

    /// The selector of the 2-level ABI.
    #[inline]
    pub(crate) fn selector(&self) -> &Word64 {
        self.field(offset_of!(k::vcpu_info, evtchn_pending_sel))
    }
}
