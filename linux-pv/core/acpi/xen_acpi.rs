// SPDX-License-Identifier: GPL-2.0

//! ACPI in dom0, in place of `drivers/xen/acpi.c`: sleep states, which the hypervisor enters, and
//! the GSIs of devices that a PVH dom0 passes through.
//!
//! Functions with C names are declared in `xen/acpi.h`; exports are in `exports.c`. The values of
//! the sleep registers are checked in `xen_irq::sleep`, which is tested on the host.

use core::ptr;

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::atomic::{
        Acquire,
        AtomicFlag,
        Release, //
    },
};

use core_bindings as bindings;

use xen_abi::{
    platform::{
        op,
        Header,
        INTERFACE_VERSION, //
    },
    xen::hypercall::PLATFORM_OP, //
};

use xen_core::hypercall_instruction::call2;

use xen_irq::{
    irq_type::IrqType,
    sleep::{
        self,
        SleepRegisters, //
    },
};

use zerocopy::IntoBytes;

/// Prefix of messages in the log.
const __LOG_PREFIX: &[u8] = b"xen_acpi\0";

/// An `arch_initcall`: runs before the users of the lock.
#[link_section = ".init.text"]
extern "C" fn init_lock() -> c_int {
    // SAFETY: Called once, and the lock is not used before `READY` is set.
    unsafe { GET_GSI.init() };
    READY.store(true, Release);
    0
}

xen_core::initcall!(arch, init_lock);

/// Makes the hypervisor enter a sleep state by writing these values to the control registers.
/// Returns 1 if the caller must not write them itself, -1 for an error.
fn enter_sleep(state: u8, a: u32, b: u32, registers: SleepRegisters) -> c_int {
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
    // SAFETY: C calls this on Xen only. The structure belongs to the hypercall, and has the
    // command's argument; the hypervisor accesses it during the call only.
    let result = unsafe { call2(PLATFORM_OP, [ptr::from_mut(&mut header) as u64, 0]) };
    if result != 0 {
        pr_err!("the hypervisor does not enter S{state}: {result}\n");
    }
    1
}

/// Enters a sleep state of a machine with PM1 control registers.
#[no_mangle]
pub extern "C" fn xen_acpi_notify_hypervisor_sleep(state: u8, pm1a: u32, pm1b: u32) -> c_int {
    enter_sleep(state, pm1a, pm1b, SleepRegisters::Pm1)
}

/// Enters a sleep state of a hardware-reduced machine, with sleep control registers.
#[no_mangle]
pub extern "C" fn xen_acpi_notify_hypervisor_extended_sleep(state: u8, a: u32, b: u32) -> c_int {
    enter_sleep(state, a, b, SleepRegisters::SleepControl)
}

/// `struct acpi_prt_entry` of `drivers/acpi/pci_irq.c`, which no header has.
#[repr(C)]
struct PrtEntry {
    id: k::acpi_pci_id,
    pin: u8,
    link: k::acpi_handle,
    /// The GSI, or an index into the resources of the link device.
    index: u32,
}

/// The GSI of a PCI function's INTx, with trigger and polarity in ACPI's numbers. Returns `-EINVAL`
/// if `_PRT` has no entry for it.
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
    // SAFETY: By the requirement of this function the device is valid.
    let pin = unsafe { (*dev).pin };
    if pin == 0 {
        return invalid;
    }
    // SAFETY: By the requirement of this function the device is valid.
    let entry: *mut PrtEntry = unsafe { k::acpi_pci_irq_lookup(dev, pin.into()) }.cast();
    if entry.is_null() {
        return invalid;
    }
    // SAFETY: The function returned a valid `struct acpi_prt_entry`.
    let (link, index) = unsafe { ((*entry).link, (*entry).index) };
    // SAFETY: The caller of the function has to free the entry, and it is not used any more.
    unsafe { k::kfree(entry.cast::<c_void>()) };
    // The default of PCI devices in ACPI's numbers: level is 0, low is 1.
    let (mut trigger, mut polarity, mut gsi) = (
        c_int::from(!IrqType::PCI.is_level()),
        c_int::from(IrqType::PCI.is_low()),
        index,
    );
    if !link.is_null() {
        // SAFETY: The handle is a link device's; the pointers are to locals.
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
    // SAFETY: By the requirement of this function the pointers are valid.
    unsafe {
        gsi_out.write(gsi as c_int);
        trigger_out.write(trigger);
        polarity_out.write(polarity);
    }
    0
}

/// A function that returns the GSI of a device.
type GetGsi = Option<unsafe extern "C" fn(sbdf: u32) -> c_int>;

kernel::sync::global_lock! {
    // SAFETY: `READY` is set when the lock is initialised, and the lock is not used before.
    unsafe(uninit) static GET_GSI: SpinLock<GetGsi> = None;
}

/// Whether the lock is initialised. The C functions may be called earlier.
static READY: AtomicFlag = AtomicFlag::new(false);

/// Sets the function that returns the GSI of a device, or clears it with null. The previous
/// function is not called any more when this returns.
///
/// # Safety
///
/// The function may be called in atomic context until it is replaced.
#[no_mangle]
pub unsafe extern "C" fn xen_acpi_register_get_gsi_func(function: GetGsi) {
    if READY.load(Acquire) {
        *GET_GSI.lock() = function;
    }
}

/// The GSI of a device, or a negative error number; `-EOPNOTSUPP` without a function for it.
#[no_mangle]
pub extern "C" fn xen_acpi_get_gsi_from_sbdf(sbdf: u32) -> c_int {
    let unknown = -(k::EOPNOTSUPP as c_int);
    if !READY.load(Acquire) {
        return unknown;
    }
    let get_gsi = GET_GSI.lock();
    match *get_gsi {
        // SAFETY: By the requirement of `xen_acpi_register_get_gsi_func`, which takes the lock to
        // replace the function.
        Some(function) => unsafe { function(sbdf) },
        None => unknown,
    }
}
