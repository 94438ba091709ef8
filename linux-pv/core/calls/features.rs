// SPDX-License-Identifier: GPL-2.0

//! Features of the hypervisor (`xen/interface/features.h`), which C's inline function
//! `xen_feature()` reads.
//!
//! The first C function of a PV domain asks for them. So the table is not in `.bss`, and no stack
//! protector is set up: Rust functions use none.

use core::{
    ffi::CStr,
    sync::atomic::{
        AtomicU8,
        Ordering::Relaxed, //
    },
};

use core_bindings as bindings;

use xen_abi::{
    command::version::GetFeatures,
    features,
    version::FeatureInfo, //
};

use xen_core::{
    declared_in_c,
    domain,
    hypercall_instruction::Xen, //
};

use xen_hypercall::call;

/// How many times 32 features are asked for.
const SUBMAPS: usize = bindings::XENFEAT_NR_SUBMAPS as usize;

/// A byte for each feature, 1 if the hypervisor has it. Written at boot, while only one CPU runs.
#[no_mangle]
#[link_section = ".data..read_mostly"]
#[allow(non_upper_case_globals)]
static xen_features: [AtomicU8; SUBMAPS * 32] = [const { AtomicU8::new(0) }; SUBMAPS * 32];

/// What a PV kernel cannot do without, and what it says without it. Every hypervisor since Xen 4.0
/// has both.
const REQUIRED: [(u32, &CStr); 2] = [
    (
        features::MMU_PT_UPDATE_PRESERVE_AD,
        c"Xen: feature XENFEAT_mmu_pt_update_preserve_ad not available!",
    ),
    (
        features::GNTTAB_MAP_AVAIL_BITS,
        c"Xen: feature XENFEAT_gnttab_map_avail_bits not available!",
    ),
];

declared_in_c! {
    xen_setup_features: unsafe extern "C" fn();
}

/// Asks the hypervisor for its features. Called at boot: first of all in a PV domain, and when the
/// hypervisor was recognised in others. Stops the kernel if a required one is missing.
#[no_mangle]
pub extern "C" fn xen_setup_features() {
    let Some(xen) = Xen::get() else {
        return;
    };
    for (index, bytes) in (0..).zip(xen_features.chunks_exact(32)) {
        let mut info = FeatureInfo {
            submap_idx: index,
            submap: 0,
        };
        if call::<GetFeatures>(&xen, &mut info).is_err() {
            break;
        }
        for (bit, byte) in (0..32).zip(bytes) {
            byte.store((info.submap >> bit & 1) as u8, Relaxed);
        }
    }
    if !domain::is_pv() {
        return;
    }
    for (feature, text) in REQUIRED {
        let byte = xen_features.get(feature as usize);
        if byte.is_none_or(|byte| byte.load(Relaxed) == 0) {
            // SAFETY: Prints the text. It does not return.
            unsafe { bindings::xen_core_stop(text.to_bytes_with_nul().as_ptr()) };
        }
    }
}
