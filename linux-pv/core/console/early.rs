// SPDX-License-Identifier: GPL-2.0

//! Before the kernel's consoles: single lines of the first code that runs, and the console
//! `xenboot` (`earlyprintk=xen`), which ends when `hvc0` is there.
//!
//! dom0 writes on the hypervisor's console. So does any domain that may; others use their own, and
//! HVM domains a port.

use core::slice;

use kernel::{
    bindings as k,
    ffi::{
        c_char,
        c_int,
        c_uint, //
    },
    prelude::*, //
};

use xen_core::{
    declared_in_c,
    domain,
    error::Error, //
};

use crate::{
    consoles,
    hypervisor,
    start, //
};

declared_in_c! {
    xen_raw_console_write: unsafe extern "C" fn(*const c_char);
    xen_core_xenboot_setup: unsafe extern "C" fn(*mut k::console, *mut c_char) -> c_int;
    xen_core_xenboot_write: unsafe extern "C" fn(*mut k::console, *const c_char, c_uint);
    xen_core_earlycon_write: unsafe extern "C" fn(*mut k::console, *const c_char, c_uint);
}

/// Writes a line where it can be seen. Called from the first lines of a PV domain's kernel on.
///
/// # Safety
///
/// `text` is a C string.
#[no_mangle]
pub unsafe extern "C" fn xen_raw_console_write(text: *const c_char) {
    // SAFETY: By the requirement of this function.
    let bytes = unsafe { CStr::from_char_ptr(text) }.to_bytes();
    if domain::is_xen() {
        let result = hypervisor::write(bytes);
        if result != Error::ENOSYS.to_raw_size() || !domain::is_hvm() {
            return;
        }
    }
    hypervisor::write_port(bytes);
}

/// `xenboot_console.setup`: a PV domain has its page from the start.
#[no_mangle]
extern "C" fn xen_core_xenboot_setup(_: *mut k::console, _: *mut c_char) -> c_int {
    if !domain::is_initial() && domain::is_pv() {
        start::find_pv_page();
    }
    0
}

/// `xenboot_console.write`.
///
/// # Safety
///
/// So many bytes are at `text`.
#[no_mangle]
unsafe extern "C" fn xen_core_xenboot_write(_: *mut k::console, text: *const c_char, len: c_uint) {
    // SAFETY: By the requirement of this function.
    let bytes = unsafe { slice::from_raw_parts(text.cast::<u8>(), len as usize) };
    if hypervisor::write(bytes) >= 0 {
        return;
    }
    if !domain::is_pv() {
        hypervisor::write_port(bytes);
        return;
    }
    if !start::is_ready() || consoles::put_all(0, b"(early) ") < 0 {
        return;
    }
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                consoles::put_all(0, line);
                consoles::put_all(0, b"\r\n");
            }
            None => {
                consoles::put_all(0, line);
            }
        }
    }
}

/// The write function of `earlycon=xenboot`.
///
/// # Safety
///
/// So many bytes are at `text`.
#[no_mangle]
unsafe extern "C" fn xen_core_earlycon_write(_: *mut k::console, text: *const c_char, len: c_uint) {
    // SAFETY: By the requirement of this function.
    hypervisor::write(unsafe { slice::from_raw_parts(text.cast::<u8>(), len as usize) });
}
