// SPDX-License-Identifier: GPL-2.0

//! The operations that the kernel's hvc driver calls, of a domain's console and of the
//! hypervisor's. Any context, with interrupts disabled.
//!
//! Nothing here waits but `flush` of a kernel's message. When the ring is full, the hvc driver
//! keeps what a program writes on the terminal and tries again later, so that program sleeps.

use core::slice;

use kernel::ffi::c_int;

use core_bindings::{
    self as bindings,
    hv_ops, //
};

use xen_core::error::{
    Error,
    Result, //
};

use crate::{
    consoles::{
        self,
        COOKIE, //
    },
    hypervisor,
};

/// A table of operations, which nobody changes.
#[repr(transparent)]
pub(crate) struct Operations(hv_ops);

// SAFETY: Only functions, which are called in any context.
unsafe impl Sync for Operations {}

impl Operations {
    /// For the hvc driver.
    pub(crate) fn as_ptr(&'static self) -> *const hv_ops {
        &self.0
    }
}

/// Of a console with a page.
pub(crate) static OF_A_PAGE: Operations = Operations(hv_ops {
    get_chars: Some(get),
    put_chars: Some(put),
    flush: Some(flush),
    ..COMMON
});

/// Of the hypervisor's console.
pub(crate) static OF_THE_HYPERVISOR: Operations = Operations(hv_ops {
    get_chars: Some(get_of_the_hypervisor),
    put_chars: Some(put_of_the_hypervisor),
    ..COMMON
});

/// An interrupt has hvc look for input.
const COMMON: hv_ops = hv_ops {
    get_chars: None,
    put_chars: None,
    flush: None,
    notifier_add: Some(bindings::notifier_add_irq),
    notifier_del: Some(bindings::notifier_del_irq),
    notifier_hangup: Some(bindings::notifier_hangup_irq),
    tiocmget: None,
    tiocmset: None,
    dtr_rts: None,
};

/// The console with a number of hvc's.
fn number(vtermno: u32) -> u32 {
    vtermno.wrapping_sub(COOKIE)
}

/// Reads input.
///
/// # Safety
///
/// `to` is valid for writes of `count` bytes.
unsafe extern "C" fn get(vtermno: u32, to: *mut u8, count: usize) -> isize {
    // SAFETY: By the requirement of this function.
    consoles::get(number(vtermno), unsafe {
        slice::from_raw_parts_mut(to, count)
    })
}

/// Writes output.
///
/// # Safety
///
/// `from` is valid for reads of `count` bytes.
unsafe extern "C" fn put(vtermno: u32, from: *const u8, count: usize) -> isize {
    // SAFETY: By the requirement of this function.
    consoles::put(number(vtermno), unsafe {
        slice::from_raw_parts(from, count)
    })
}

/// Called for a kernel's message while the ring has no room, and at its end; `sleeps` for what a
/// program writes, for which the hvc driver waits by itself.
extern "C" fn flush(vtermno: u32, sleeps: bool) -> c_int {
    if !sleeps {
        consoles::wait(number(vtermno));
    }
    0
}

/// Reads from the hypervisor's console.
///
/// # Safety
///
/// As of [`get`].
unsafe extern "C" fn get_of_the_hypervisor(_: u32, to: *mut u8, count: usize) -> isize {
    // SAFETY: By the requirement of this function.
    hypervisor::read(unsafe { slice::from_raw_parts_mut(to, count) })
}

/// Writes on the hypervisor's console.
///
/// # Safety
///
/// As of [`put`].
unsafe extern "C" fn put_of_the_hypervisor(_: u32, from: *const u8, count: usize) -> isize {
    // SAFETY: By the requirement of this function.
    hypervisor::write(unsafe { slice::from_raw_parts(from, count) })
}

/// A terminal of the hvc driver.
pub(crate) struct Terminal(*mut bindings::hvc_struct);

impl Terminal {
    /// Bytes that hvc collects of what a program writes.
    const BUFFER: c_int = 256;

    /// Makes a console a terminal. May sleep.
    ///
    /// # Errors
    ///
    /// What the hvc driver says.
    pub(crate) fn new(number: u32, irq: u32, ops: &'static Operations) -> Result<Self> {
        // SAFETY: The operations are static, and the interrupt is the console's or 0.
        let terminal = unsafe {
            bindings::hvc_alloc(
                COOKIE.wrapping_add(number),
                irq as c_int,
                ops.as_ptr(),
                Self::BUFFER,
            )
        };
        // `IS_ERR()`: the last page of addresses.
        match terminal as isize {
            error @ -4095..=-1 => Err(Error::from_raw(error as c_int)),
            0 => Err(Error::ENOMEM),
            _ => Ok(Self(terminal)),
        }
    }

    /// The pointer, to be given to [`remove_raw`](Self::remove_raw) once.
    pub(crate) fn into_raw(self) -> *mut bindings::hvc_struct {
        self.0
    }

    /// Hangs a terminal up and removes it. May sleep.
    ///
    /// # Safety
    ///
    /// The pointer is from [`into_raw`](Self::into_raw), and was not passed here before.
    pub(crate) unsafe fn remove_raw(terminal: *mut bindings::hvc_struct) {
        // SAFETY: By the requirement of this function.
        unsafe { bindings::hvc_remove(terminal) };
    }
}
