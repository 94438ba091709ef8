// SPDX-License-Identifier: GPL-2.0

//! Whether interrupts are disabled on this CPU of a PV domain: a byte that the CPU shares with the
//! hypervisor (`vcpu_info`).
//!
//! All functions are inlined: the shims are only in an image with the object that uses them.

use core::{
    arch::asm,
    mem::offset_of, //
};

use kernel::{
    bindings as k,
    ffi::c_ulong, //
};

use core_bindings as bindings;

/// Whether interrupts are known to be disabled. Any context in a PV domain. Early at boot they are,
/// but this is false: the byte is not shared with the hypervisor yet.
#[inline]
pub fn are_disabled() -> bool {
    let mask: u8;
    // SAFETY: Reads this CPU's byte, as C does in assembler (`xen_save_fl_direct`). If the task can
    // be preempted, interrupts are enabled, and so they are on the CPU that the byte is of.
    unsafe {
        asm!(
            "mov {0}, byte ptr gs:[rip + {1} + {2}]",
            out(reg_byte) mask,
            sym bindings::xen_vcpu_info,
            const offset_of!(k::vcpu_info, evtchn_upcall_mask),
            options(readonly, nostack, preserves_flags)
        );
    }
    mask != 0
}

/// Whether the task can be preempted, and continue on another CPU (`preemptible()`).
#[inline]
pub fn is_preemptible() -> bool {
    cfg!(CONFIG_PREEMPT_COUNT) && !are_disabled() && preempt_count() == 0
}

/// For how many reasons the task must not be preempted.
#[inline]
fn preempt_count() -> u32 {
    let count: u32;
    // SAFETY: Reads a word of this CPU's, or, if that is 0, of the one that the task was on.
    unsafe {
        asm!(
            "mov {0:e}, dword ptr gs:[rip + {1}]",
            out(reg) count,
            sym k::__preempt_count,
            options(readonly, nostack, preserves_flags)
        );
    }
    // The upper bit says, inverted, that the task is to be preempted (`PREEMPT_NEED_RESCHED`).
    count & !(1 << 31)
}

/// Keeps interrupts of this CPU disabled until it is dropped.
pub struct IrqsDisabled {
    /// What they are restored to; 0 if they were disabled before.
    flags: c_ulong,
}

impl IrqsDisabled {
    /// Disables interrupts. Costs next to nothing if they are disabled.
    #[inline]
    pub fn new() -> Self {
        let flags = match are_disabled() {
            true => 0,
            // SAFETY: The flags are restored on drop.
            false => unsafe { bindings::xen_core_irq_save() },
        };
        Self { flags }
    }
}

impl Default for IrqsDisabled {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for IrqsDisabled {
    #[inline]
    fn drop(&mut self) {
        if self.flags != 0 {
            // SAFETY: The flags are those of `new`.
            unsafe { bindings::xen_core_irq_restore(self.flags) };
        }
    }
}
