// SPDX-License-Identifier: GPL-2.0

//! What dom0's ACPI asks of the hypervisor, in place of `drivers/xen/acpi.c`: putting the machine to sleep, and the interrupt
//! lines of devices that a PVH dom0 passes on.
//!
//! Functions with C names are declared in `xen/acpi.h`; exports are in `exports.c`. What may be written into the registers is
//! decided in `xen_irq::sleep`, which is tested on the host.

use core::ptr;

use core_bindings as bindings;
use kernel::bindings as k;
use kernel::ffi::{c_int, c_void};
use kernel::prelude::*;
use kernel::sync::atomic::{Acquire, AtomicFlag, Release};
use xen_abi::platform::{op, Header, INTERFACE_VERSION};
use xen_irq::line::Line;
use xen_irq::sleep::{self, Registers};
use zerocopy::IntoBytes;

/// What messages begin with.
const __LOG_PREFIX: &[u8] = b"xen_acpi\0";

/// An `arch_initcall`: before those come that use it.
#[no_mangle]
#[link_section = ".init.text"]
extern "C" fn __xen_acpi_early_init() -> c_int {
    // SAFETY: Called once, and nobody uses the lock before `READY` is set.
    unsafe { ASKED.init() };
    READY.store(true, Release);
    0
}

// What the C macro for such calls makes: the distance of the function from the place where it is noted.
core::arch::global_asm!(
    r#".section ".initcall3.init", "a"
    __xen_acpi_early_initcall:
        .long __xen_acpi_early_init - .
        .previous
    "#
);

/// Has the hypervisor put the machine to sleep, as the ACPI code would by writing these values into its control registers. 1 is
/// "done, do not", -1 an error.
fn enter(state: u8, a: u32, b: u32, registers: Registers) -> c_int {
    let argument = match sleep::argument(state, a, b, registers) {
        Ok(argument) => argument,
        Err(bits) => {
            pr_err!("Using more than {bits} bits of sleep control values {a:#x}/{b:#x}!\n");
            return -1;
        }
    };
    let mut header = Header {
        cmd: op::ENTER_ACPI_SLEEP,
        interface_version: INTERFACE_VERSION,
        u: [0; 16],
    };
    let bytes = argument.as_bytes();
    header.u.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    // SAFETY: The structure is the one of the call, with the command's argument in it; it is read during the call.
    let result = unsafe { bindings::xen_core_platform_op(ptr::from_mut(&mut header).cast()) };
    if result != 0 {
        pr_err!("the hypervisor does not enter S{state}: {result}\n");
    }
    1
}

/// For machines with the usual registers, of 16 bits.
#[no_mangle]
pub extern "C" fn xen_acpi_notify_hypervisor_sleep(state: u8, pm1a: u32, pm1b: u32) -> c_int {
    enter(state, pm1a, pm1b, Registers::Usual)
}

/// For machines with reduced hardware, whose registers have 8 bits.
#[no_mangle]
pub extern "C" fn xen_acpi_notify_hypervisor_extended_sleep(state: u8, a: u32, b: u32) -> c_int {
    enter(state, a, b, Registers::Extended)
}

/// `struct acpi_prt_entry` of `drivers/acpi/pci_irq.c`, which no header has.
#[repr(C)]
struct Route {
    id: k::acpi_pci_id,
    pin: u8,
    link: k::acpi_handle,
    /// The line, or an index into the link's.
    index: u32,
}

/// Which line a PCI function's interrupt is, and how it is triggered, in ACPI's numbers. `-EINVAL` if ACPI does not say.
///
/// # Safety
///
/// Each pointer is valid or null.
#[no_mangle]
pub unsafe extern "C" fn xen_acpi_get_gsi_info(
    dev: *mut k::pci_dev,
    gsi_out: *mut c_int,
    trigger_out: *mut c_int,
    polarity_out: *mut c_int,
) -> c_int {
    let invalid = -(k::EINVAL as c_int);
    if dev.is_null() || gsi_out.is_null() || trigger_out.is_null() || polarity_out.is_null() {
        return invalid;
    }
    // SAFETY: The device is valid.
    let pin = unsafe { (*dev).pin };
    if pin == 0 {
        return invalid;
    }
    // SAFETY: The device is valid.
    let route: *mut Route = unsafe { k::acpi_pci_irq_lookup(dev, pin.into()) }.cast();
    if route.is_null() {
        return invalid;
    }
    // SAFETY: What is returned is one of these, ours to free.
    let (link, index) = unsafe { ((*route).link, (*route).index) };
    // SAFETY: As above.
    unsafe { k::kfree(route.cast::<c_void>()) };
    // ACPI's words for what PCI devices have: level is 0, low is 1.
    let (mut trigger, mut polarity, mut gsi) = (
        c_int::from(!Line::PCI.is_level()),
        c_int::from(Line::PCI.is_low()),
        index,
    );
    if !link.is_null() {
        // SAFETY: The handle is one of ACPI's; the function writes into the three.
        let result = unsafe {
            bindings::acpi_pci_link_allocate_irq(
                link,
                index as c_int,
                &mut trigger,
                &mut polarity,
                ptr::null_mut(),
                &mut gsi,
            )
        };
        if result < 0 {
            return invalid;
        }
    }
    // SAFETY: The caller's promise.
    unsafe {
        gsi_out.write(gsi as c_int);
        trigger_out.write(trigger);
        polarity_out.write(polarity);
    }
    0
}

/// A function that tells the line of a device, by segment, bus, device and function.
type Ask = Option<unsafe extern "C" fn(sbdf: u32) -> c_int>;

kernel::sync::global_lock! {
    // SAFETY: `READY` is set after it is initialised, and it is not used before.
    unsafe(uninit) static ASKED: SpinLock<Ask> = None;
}

/// Whether the lock is ready: the C names may be called before this object is.
static READY: AtomicFlag = AtomicFlag::new(false);

/// Says which function knows devices' lines, or takes it away with null; then it is no longer called when this returns.
///
/// # Safety
///
/// The function may be called, in atomic context, until another is given.
#[no_mangle]
pub unsafe extern "C" fn xen_acpi_register_get_gsi_func(function: Ask) {
    if READY.load(Acquire) {
        *ASKED.lock() = function;
    }
}

/// The line of a device, or an error number; `-EOPNOTSUPP` if nobody knows.
#[no_mangle]
pub extern "C" fn xen_acpi_get_gsi_from_sbdf(sbdf: u32) -> c_int {
    let unknown = -(k::EOPNOTSUPP as c_int);
    if !READY.load(Acquire) {
        return unknown;
    }
    let asked = ASKED.lock();
    match *asked {
        // SAFETY: By the promise to `xen_acpi_register_get_gsi_func`, which waits for the lock before the function goes.
        Some(function) => unsafe { function(sbdf) },
        None => unknown,
    }
}
