// SPDX-License-Identifier: GPL-2.0

//! Initialisation: makes the scheduler use the steal clock. In `.init.text`, since it runs once, at
//! boot.

use core::ptr::addr_of_mut;

use kernel::ffi::c_int;

use core_bindings as bindings;

use xen_abi::xen::hypercall::VM_ASSIST;

use xen_core::{
    declared_in_c,
    hypercall_instruction::call2,
    static_call::StaticCall, //
};

use crate::runstate::xen_steal_clock;

declared_in_c! {
    xen_time_setup_guest: unsafe extern "C" fn();
}

/// Switches the steal clock on. With a hypervisor that marks updates (Xen 4.4) every CPU may read
/// every area, and so the run queues' clocks leave steal time out; otherwise only a CPU's own time
/// is accounted.
#[no_mangle]
#[link_section = ".init.text"]
pub extern "C" fn xen_time_setup_guest() {
    // SAFETY: C calls this on Xen only. Lets the hypervisor write a bit that the areas' reader
    // knows.
    let refused = unsafe {
        call2(
            VM_ASSIST,
            [
                bindings::VMASST_CMD_enable.into(),
                bindings::VMASST_TYPE_runstate_update_flag.into(),
            ],
        )
    };
    // SAFETY: Both are symbols of the static call `pv_steal_clock`, with the type of its
    // declaration.
    let steal_clock = unsafe {
        StaticCall::<unsafe extern "C" fn(c_int) -> u64>::new(
            addr_of_mut!(bindings::__SCK__pv_steal_clock),
            bindings::__SCT__pv_steal_clock,
        )
    };
    steal_clock.update(xen_steal_clock);
    // SAFETY: The key is a variable of the scheduler's.
    unsafe { bindings::xen_core_static_key_inc(addr_of_mut!(bindings::paravirt_steal_enabled)) };
    if refused == 0 {
        // SAFETY: Likewise.
        unsafe {
            bindings::xen_core_static_key_inc(addr_of_mut!(bindings::paravirt_steal_rq_enabled));
        }
    }
}
