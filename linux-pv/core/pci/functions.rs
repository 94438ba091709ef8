// SPDX-License-Identifier: GPL-2.0

//! Telling the hypervisor which PCI functions there are, where configuration space is mapped, and what was reset.

use core::cell::UnsafeCell;
use core::ptr;

use core_bindings as bindings;
use kernel::bindings as k;
use kernel::ffi::{c_int, c_ulong, c_void};
use kernel::prelude::*;
use kernel::sync::atomic::{AtomicFlag, Relaxed};
use xen_irq::function::{self, Failure};
use xen_irq::Segments;

use crate::device::Function;
use crate::hypervisor::Xen;

/// ACPI's word for success (`AE_OK`, a macro with a cast).
const OK: k::acpi_status = 0;

/// Whether the hypervisor knows segments.
static SEGMENTS: Segments = Segments::new();
/// Whether it knows where configuration space is mapped.
static WINDOWS_TOLD: AtomicFlag = AtomicFlag::new(false);

/// The kernel's entry in a list of those who are told of changes on a bus.
struct Watch(UnsafeCell<k::notifier_block>);

// SAFETY: Only the kernel's list uses it, under its lock.
unsafe impl Sync for Watch {}

static WATCH: Watch = Watch(UnsafeCell::new(k::notifier_block {
    notifier_call: Some(changed),
    next: ptr::null_mut(),
    priority: 0,
}));

/// From now on, what comes to a PCI bus and what goes is told. To be called once. Returns an error number.
pub(crate) fn watch() -> c_int {
    // SAFETY: The bus type is the kernel's, and the entry lives for ever.
    unsafe { k::bus_register_notifier(&raw const k::pci_bus_type, WATCH.0.get()) }
}

/// # Safety
///
/// The kernel calls it, with a PCI function's device.
unsafe extern "C" fn changed(
    _: *mut k::notifier_block,
    action: c_ulong,
    data: *mut c_void,
) -> c_int {
    // SAFETY: The caller's promise.
    let function = unsafe { Function::from_device(data.cast()) };
    let (result, what) = match action as u32 {
        k::bus_notifier_event_BUS_NOTIFY_ADD_DEVICE => (add(function), ("registering", "add")),
        k::bus_notifier_event_BUS_NOTIFY_DEL_DEVICE => (
            function::remove(&Xen, &SEGMENTS, function.place()),
            ("unregistering", "delete"),
        ),
        _ => return k::NOTIFY_DONE as c_int,
    };
    match result {
        Ok(()) => (),
        Err(Failure::Segment) => {
            dev_info!(
                function.device(),
                "not {} with Xen: invalid PCI segment\n",
                what.0
            );
        }
        Err(Failure::Refused(error)) => dev_err!(
            function.device(),
            "Failed to {} ({error}) - passthrough or MSI/MSI-X might fail!\n",
            what.1
        ),
    }
    k::NOTIFY_OK as c_int
}

fn add(of: Function<'_>) -> Result<(), Failure> {
    // The first function may come from within ACPI's start, just after its table of windows was read.
    if !WINDOWS_TOLD.xchg(true, Relaxed) {
        tell_windows();
    }
    function::add(&Xen, &SEGMENTS, of.place(), of.kind(), || proximity(of))
}

/// The proximity domain of a function: that of its own object in ACPI's name space, of the bridge above it, or of what those
/// are in.
fn proximity(of: Function<'_>) -> Option<u32> {
    // SAFETY: The function is valid.
    let own = unsafe { bindings::xen_core_acpi_handle(of.as_device()) };
    let physicals = || {
        let bus = of.physical()?.buses().next()?;
        // SAFETY: The bus of a physical function is valid.
        let bridge = unsafe { (*bus).bridge };
        // SAFETY: The bridge to a bus lives longer; a bus may have none, which is not asked about.
        (!bridge.is_null()).then(|| unsafe { bindings::xen_core_acpi_handle(bridge) })
    };
    let bridges = || {
        of.buses().find_map(|bus| {
            // SAFETY: The buses are valid as long as the function.
            let handle = unsafe { bindings::xen_core_acpi_bridge(bus) };
            (!handle.is_null()).then_some(handle)
        })
    };
    let found = Some(own).filter(|handle| !handle.is_null());
    let found = found.or_else(|| physicals().filter(|handle| !handle.is_null()));
    let mut handle = found.or_else(bridges)?;
    loop {
        let mut value = 0;
        // SAFETY: The handle is one of ACPI's; the name is only read, and the value written.
        let status = unsafe {
            k::acpi_evaluate_integer(
                handle,
                c"_PXM".as_char_ptr().cast_mut(),
                ptr::null_mut(),
                &mut value,
            )
        };
        if status == OK {
            return Some(value as u32);
        }
        // SAFETY: The handle is one of ACPI's, and is replaced by its parent's.
        if unsafe { k::acpi_get_parent(handle, &mut handle) } != OK {
            return None;
        }
    }
}

/// Tells where configuration space is mapped, as the MCFG table has it.
#[cfg(CONFIG_PCI_MMCONFIG)]
fn tell_windows() {
    // SAFETY: Written while the kernel boots.
    if unsafe { bindings::pci_probe } & bindings::PCI_PROBE_MMCONF == 0 {
        return;
    }
    let head = &raw mut bindings::pci_mmcfg_list;
    // SAFETY: The kernel's list; windows are added to it while the kernel boots and when a host bridge comes, and devices
    // behind that come after it.
    let mut entry = unsafe { (*head).next };
    while entry.cast_const() != head.cast_const() {
        // SAFETY: An entry that is not the head is in a region.
        let region = unsafe { &*kernel::container_of!(entry, bindings::pci_mmcfg_region, list) };
        let told = function::window(
            &Xen,
            region.address,
            region.segment,
            region.start_bus,
            region.end_bus,
        );
        if let Err(error) = told {
            pr_warn!(
                "Failed to report MMCONFIG reservation state for segment {} to hypervisor ({error:?})\n",
                region.segment
            );
        }
        entry = region.list.next;
    }
}

/// This kernel maps none.
#[cfg(not(CONFIG_PCI_MMCONFIG))]
fn tell_windows() {}

/// Tells that a function was reset. Returns an error number.
///
/// # Safety
///
/// `dev` is a valid device.
#[no_mangle]
pub unsafe extern "C" fn xen_reset_device(dev: *const k::pci_dev) -> c_int {
    // SAFETY: The caller's promise.
    let function = unsafe { Function::from_raw(dev) };
    match function::was_reset(&Xen, function.place()) {
        Ok(()) => 0,
        Err(Failure::Segment) => {
            dev_info!(
                function.device(),
                "unable to notify Xen of device reset: invalid PCI segment\n"
            );
            0
        }
        Err(Failure::Refused(error)) => error,
    }
}
