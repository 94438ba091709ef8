// SPDX-License-Identifier: GPL-2.0

//! Reporting PCI functions, memory-mapped configuration space and resets to the hypervisor.

use core::{
    cell::UnsafeCell,
    ptr, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*,
    sync::atomic::{
        AtomicFlag,
        Relaxed, //
    },
};

use core_bindings as bindings;

use xen_irq::{
    function::{
        self,
        ReportError, //
    },
    SegmentSupport, //
};

use crate::{
    device::Function,
    hypervisor::Hypervisor, //
};

/// `AE_OK`, a macro with a cast.
const OK: k::acpi_status = 0;

/// Whether the hypervisor has commands that take a segment.
static SEGMENT_SUPPORT: SegmentSupport = SegmentSupport::new();
/// Whether memory-mapped configuration space was reported.
static MMCFG_REPORTED: AtomicFlag = AtomicFlag::new(false);

/// A notifier block of the PCI bus type.
struct Notifier(UnsafeCell<k::notifier_block>);

// SAFETY: Only the notifier chain accesses it, under its lock.
unsafe impl Sync for Notifier {}

static NOTIFIER: Notifier = Notifier(UnsafeCell::new(k::notifier_block {
    notifier_call: Some(bus_changed),
    next: ptr::null_mut(),
    priority: 0,
}));

/// Reports functions from now on when they are added to and removed from a PCI bus. To be called
/// once. Returns 0 or a negative error number.
pub(crate) fn register_notifier() -> c_int {
    // SAFETY: The bus type and the notifier block are statics.
    unsafe { k::bus_register_notifier(&raw const k::pci_bus_type, NOTIFIER.0.get()) }
}

/// # Safety
///
/// To be called by the notifier chain, with the device of a PCI function.
unsafe extern "C" fn bus_changed(
    _: *mut k::notifier_block,
    action: c_ulong,
    data: *mut c_void,
) -> c_int {
    // SAFETY: By the requirement of this function.
    let function = unsafe { Function::from_device(data.cast()) };
    let (result, what) = match action as u32 {
        k::bus_notifier_event_BUS_NOTIFY_ADD_DEVICE => (add(function), ("registering", "add")),
        k::bus_notifier_event_BUS_NOTIFY_DEL_DEVICE => (
            function::remove(&Hypervisor, &SEGMENT_SUPPORT, function.sbdf()),
            ("unregistering", "delete"),
        ),
        _ => return k::NOTIFY_DONE as c_int,
    };
    match result {
        Ok(()) => (),
        Err(ReportError::Segment) => {
            dev_info!(
                function.device(),
                "not {} with Xen: invalid PCI segment\n",
                what.0
            );
        }
        Err(ReportError::Refused(error)) => dev_err!(
            function.device(),
            "Failed to {} ({error}) - passthrough or MSI/MSI-X might fail!\n",
            what.1
        ),
    }
    k::NOTIFY_OK as c_int
}

fn add(of: Function<'_>) -> Result<(), ReportError> {
    // The first function may be added while ACPI is initialised, just after the MCFG table is read.
    if !MMCFG_REPORTED.xchg(true, Relaxed) {
        report_mmcfg_regions();
    }
    function::add(
        &Hypervisor,
        &SEGMENT_SUPPORT,
        of.sbdf(),
        of.function_type(),
        || proximity(of),
    )
}

/// The proximity domain of a function: `_PXM` of its ACPI object, of the bridge above it, or of a
/// parent of these.
fn proximity(of: Function<'_>) -> Option<u32> {
    // SAFETY: The device is valid as long as `of`.
    let own = unsafe { bindings::xen_core_acpi_handle(of.as_device()) };
    let physicals = || {
        let bus = of.physical()?.buses().next()?;
        // SAFETY: The bus of a physical function is valid.
        let bridge = unsafe { (*bus).bridge };
        // SAFETY: The bridge to a bus lives longer than the bus, and is not null here.
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
        // SAFETY: The handle is valid; the name is only read, and the value is a local.
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
        // SAFETY: The handle is valid, and replaced by its parent's.
        if unsafe { k::acpi_get_parent(handle, &mut handle) } != OK {
            return None;
        }
    }
}

/// Reports the memory-mapped configuration space of the MCFG table.
#[cfg(CONFIG_PCI_MMCONFIG)]
fn report_mmcfg_regions() {
    // SAFETY: Written early at boot.
    if unsafe { bindings::pci_probe } & bindings::PCI_PROBE_MMCONF == 0 {
        return;
    }
    let head = &raw mut bindings::pci_mmcfg_list;
    // SAFETY: The list is a static. Regions are added at boot and with a host bridge, always before
    // the devices behind them.
    let mut entry = unsafe { (*head).next };
    while entry.cast_const() != head.cast_const() {
        // SAFETY: Every entry but the head is embedded in a region.
        let region = unsafe { &*kernel::container_of!(entry, bindings::pci_mmcfg_region, list) };
        let result = function::report_mmcfg(
            &Hypervisor,
            region.address,
            region.segment,
            region.start_bus,
            region.end_bus,
        );
        if let Err(error) = result {
            pr_warn!(
                "Failed to report MMCONFIG reservation state for segment {} to hypervisor \
                 ({error:?})\n",
                region.segment
            );
        }
        entry = region.list.next;
    }
}

/// This kernel does not use memory-mapped configuration space.
#[cfg(not(CONFIG_PCI_MMCONFIG))]
fn report_mmcfg_regions() {}

/// Reports that a function was reset. Returns 0 or a negative error number.
///
/// # Safety
///
/// `dev` is a valid device.
#[no_mangle]
pub unsafe extern "C" fn xen_reset_device(dev: *const k::pci_dev) -> c_int {
    // SAFETY: By the requirement of this function.
    let function = unsafe { Function::from_raw(dev) };
    match function::report_reset(&Hypervisor, function.sbdf()) {
        Ok(()) => 0,
        Err(ReportError::Segment) => {
            dev_info!(
                function.device(),
                "unable to notify Xen of device reset: invalid PCI segment\n"
            );
            0
        }
        Err(ReportError::Refused(error)) => error,
    }
}
