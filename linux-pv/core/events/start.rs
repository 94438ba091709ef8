// SPDX-License-Identifier: GPL-2.0

//! Initialisation at boot, and how the hypervisor interrupts CPUs of HVM and PVH domains.

use core::{
    arch::x86_64::__cpuid,
    ptr::{
        self,
        addr_of,
        addr_of_mut, //
    },
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
};

use core_bindings as bindings;

use xen_abi::{
    features::HVM_CALLBACK_VECTOR,
    hvm::{
        hvm_op::{
            op::SET_EVTCHN_UPCALL_VECTOR,
            EvtchnUpcallVector, //
        },
        params::{
            callback,
            CALLBACK_TYPE_SHIFT, //
        },
    },
    xen::hypercall::HVM_OP, //
};

use xen_core::{
    declared_in_c,
    domain,
    hypercall_instruction::call2,
    per_cpu::PossibleCpu, //
};

use crate::{
    delivery,
    fifo,
    hypercall,
    mapping,
    pirq,
    two_level, //
};

declared_in_c! {
    xen_init_IRQ: unsafe extern "C" fn();
    xen_setup_callback_vector: unsafe extern "C" fn();
    xen_set_upcall_vector: unsafe extern "C" fn(c_uint) -> c_int;
}

/// Initialises event channels.
///
/// # Safety
///
/// To be called once, at boot, as `x86_init.irqs.intr_init` of a domain of Xen's.
#[no_mangle]
#[link_section = ".init.text"]
pub unsafe extern "C" fn xen_init_IRQ() {
    // SAFETY: By the requirement of this function.
    unsafe {
        mapping::init();
        choose_delivery();
        k::__cpuhp_setup_state(
            k::cpuhp_state_CPUHP_XEN_EVTCHN_PREPARE,
            c"xen/evtchn:prepare".to_bytes_with_nul().as_ptr(),
            false,
            Some(delivery::prepare_cpu),
            Some(delivery::cpu_is_dead),
            false,
        );
    }
    if domain::is_pv() && domain::is_initial() {
        // SAFETY: Called at boot, after the above.
        unsafe { bindings::pci_xen_initial_domain() };
    }
    set_up_upcalls();
    match domain::is_hvm() {
        // SAFETY: Called at boot, in this order: the second function replaces what the first sets.
        true => unsafe {
            k::native_init_IRQ();
            bindings::pci_xen_hvm_init();
        },
        false => pirq::share_eoi_map(k::GFP_KERNEL),
    }
}

/// Begins to use an ABI (`xen.fifo_events`).
///
/// # Safety
///
/// As [`xen_init_IRQ`].
#[link_section = ".init.text"]
unsafe fn choose_delivery() {
    let wanted = addr_of_mut!(bindings::xen_fifo_events);
    // SAFETY: A variable of ours in C, which others read after this. FIFO is initialised once.
    let is_fifo = unsafe { wanted.read() && fifo::init().is_ok() };
    // SAFETY: Likewise.
    unsafe { wanted.write(is_fifo) };
    delivery::choose(is_fifo);
    if !is_fifo {
        two_level::mask_all();
    }
}

/// Whether vectors are used instead of the interrupt of the platform's PCI device.
fn has_vector() -> bool {
    // SAFETY: Written at boot, and when a domain resumes.
    unsafe { addr_of!(bindings::xen_have_vector_callback).read() }
}

fn set_has_vector(has: bool) {
    // SAFETY: A variable of C's. Only called at boot, and when a domain resumes with one CPU.
    unsafe { addr_of_mut!(bindings::xen_have_vector_callback).write(has) };
}

/// Has the hypervisor interrupt CPUs of an HVM or PVH domain: by a vector that each CPU sets up, or
/// by one for all. The latter's EOI is the hypervisor's.
#[link_section = ".init.text"]
fn set_up_upcalls() {
    if !domain::is_hvm() {
        // A PV domain calls the hypervisor's callback.
        set_has_vector(false);
    }
    if !has_vector() {
        return;
    }
    if has_vector_of_each_cpu() && set_vector(PossibleCpu::FIRST) == 0 {
        // SAFETY: Written once, here, and read after that.
        unsafe { addr_of_mut!(bindings::xen_percpu_upcall).write(true) };
    } else if has_callback_vector() {
        xen_setup_callback_vector();
    } else {
        set_has_vector(false);
    }
    if has_vector() {
        pr_info!("Xen HVM callback vector for event delivery is enabled\n");
        // SAFETY: Called at boot.
        unsafe { bindings::xen_core_install_upcall_vector() };
    }
}

/// Whether the hypervisor has a vector for each CPU.
#[link_section = ".init.text"]
fn has_vector_of_each_cpu() -> bool {
    /// Distance from Xen's first leaf, and the bit there.
    const LEAF: u32 = 4;
    // SAFETY: Only executes CPUID.
    let base = unsafe { bindings::xen_core_xen_cpuid_base() };
    // SAFETY: Likewise; every processor that runs this kernel has the instruction.
    let leaf = unsafe { __cpuid(base.wrapping_add(LEAF)) };
    leaf.eax & xen_abi::cpuid::hvm::UPCALL_VECTOR != 0
}

fn has_callback_vector() -> bool {
    // SAFETY: Written early at boot; the array has an element for each feature.
    unsafe { addr_of!(bindings::xen_features[HVM_CALLBACK_VECTOR as usize]).read() != 0 }
}

/// Has the hypervisor interrupt all CPUs by one vector: at boot, and after a restore.
#[no_mangle]
pub extern "C" fn xen_setup_callback_vector() {
    if !has_vector() {
        return;
    }
    let via = callback::VECTOR << CALLBACK_TYPE_SHIFT | VECTOR;
    // SAFETY: Sets a parameter of this domain.
    if unsafe { bindings::xen_set_callback_via(via) } != 0 {
        pr_err!("Request for Xen HVM callback vector failed\n");
        set_has_vector(false);
    }
}

/// The vector whose entry calls `xen_evtchn_do_upcall`.
const VECTOR: u64 = bindings::HYPERVISOR_CALLBACK_VECTOR as u64;

/// Has the hypervisor interrupt a CPU by a vector: when it comes up, and after a restore. Returns
/// 0, or a negative error number.
///
/// # Safety
///
/// The CPU is possible.
#[no_mangle]
pub unsafe extern "C" fn xen_set_upcall_vector(cpu: c_uint) -> c_int {
    // SAFETY: By the requirement of this function.
    set_vector(unsafe { PossibleCpu::from_raw(cpu as c_int) })
}

fn set_vector(cpu: PossibleCpu) -> c_int {
    let mut argument = EvtchnUpcallVector {
        vcpu: hypercall::vcpu(cpu),
        vector: VECTOR as u8,
        pad: [0; 3],
    };
    let arguments = [
        SET_EVTCHN_UPCALL_VECTOR.into(),
        ptr::from_mut(&mut argument) as u64,
    ];
    // SAFETY: Called on Xen only. The hypervisor reads the argument, during the call.
    let result = unsafe { call2(HVM_OP, arguments) } as c_int;
    if result != 0 || cpu.number() != 0 {
        return result;
    }
    // Toolstacks look at this to see that the domain knows of event channels.
    // SAFETY: Sets a parameter of this domain.
    unsafe { bindings::xen_set_callback_via(1) }
}
