// SPDX-License-Identifier: GPL-2.0

//! Root buses: making and scanning them, removing their devices.

use core::ptr::{
    self,
    NonNull, //
};

use kernel::{
    bindings as k,
    device,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

use xen_bindings as bindings;

use super::{
    config::{
        BusData,
        ConfigAccess,
        OPS, //
    },
    LIVE, //
};

/// The bus numbers of every root bus. The PCI core only reads it.
struct BusNumbers(k::resource);

// SAFETY: The resource is only read.
unsafe impl Sync for BusNumbers {}

static BUS_NUMBERS: BusNumbers = BusNumbers(k::resource {
    start: 0,
    end: 255,
    flags: k::IORESOURCE_BUS as usize,
    name: ptr::null(),
    desc: 0,
    parent: ptr::null_mut(),
    sibling: ptr::null_mut(),
    child: ptr::null_mut(),
});

/// Guard of the lock for adding and removing PCI buses and devices.
///
/// # Invariants
///
/// This value holds the lock.
struct Rescan;

impl Rescan {
    fn lock() -> Self {
        // INVARIANT: The lock is taken here.
        // SAFETY: The callers may sleep, and hold no other lock of the PCI core.
        unsafe { k::pci_lock_rescan_remove() };
        Self
    }
}

impl Drop for Rescan {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the lock is held.
        unsafe { k::pci_unlock_rescan_remove() };
    }
}

/// A root bus. Dropping it removes the bus and its devices, and waits for accesses in progress.
///
/// All functions may sleep, and call functions of the devices' drivers.
///
/// # Invariants
///
/// - `bus` is a valid root bus with `OPS`, which only this value removes.
/// - `data` is the bus's `sysdata`. It exists as long as the bridge, to which this value owns a
///   reference.
pub struct RootBus {
    bus: NonNull<k::pci_bus>,
    data: NonNull<BusData>,
}

// SAFETY: The PCI core has locks of its own, and any task may remove a bus.
unsafe impl Send for RootBus {}
// SAFETY: The PCI core has locks of its own, which the functions of `&RootBus` take.
unsafe impl Sync for RootBus {}

impl RootBus {
    /// Makes bus `number` of segment `domain` as a child of `parent`, scans it, and binds the
    /// devices to their drivers. Calls `found` with the `devfn` of each.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if there is a bus of that number.
    pub fn new(
        parent: &device::Device,
        domain: u16,
        number: u8,
        access: Arc<dyn ConfigAccess>,
        found: &mut dyn FnMut(u8),
    ) -> Result<Self> {
        // SAFETY: The shim only reads a variable.
        let node = unsafe { bindings::xen_rs_first_online_node() };
        let data = BusData::new(domain, node, access)?;
        // SAFETY: The data does not move until it is freed, by `release` or below.
        let data = KBox::into_raw(unsafe { Pin::into_inner_unchecked(data) });
        // `Device` is a transparent wrapper, but its pointer is private.
        let parent = ptr::from_ref(parent).cast_mut().cast::<k::device>();
        let _rescan = Rescan::lock();
        // SAFETY: `parent` is a valid device, `data` is valid as long as the bus, and the lock is
        // held.
        let Some(bus) = NonNull::new(unsafe { scan(parent, number, data) }) else {
            // SAFETY: The data is from a box, and not used by a bus.
            drop(unsafe { KBox::from_raw(data) });
            return Err(ENOMEM);
        };
        LIVE.add(1);
        // SAFETY: The bus is valid, since only this function knows it, and a root bus has a bridge.
        // `data` is from a box, which `release` frees.
        let data = unsafe {
            let bridge = k::pci_find_host_bridge(bus.as_ptr());
            k::pci_set_host_bridge_release(bridge, Some(release), data.cast());
            NonNull::new_unchecked(data)
        };
        // INVARIANT: The bus was just made, with a reference to its bridge; `release` frees the
        // data with the bridge.
        let this = Self { bus, data };
        this.scan_locked(found);
        Ok(this)
    }

    /// Scans for new devices. Calls `found` with the `devfn` of each.
    pub fn rescan(&self, found: &mut dyn FnMut(u8)) {
        let _rescan = Rescan::lock();
        self.scan_locked(found);
    }

    /// Scans for new devices. The caller holds the [`Rescan`] lock.
    fn scan_locked(&self, found: &mut dyn FnMut(u8)) {
        let bus = self.bus.as_ptr();
        // The PCI core skips devices without function 0, but a backend may pass other functions
        // only.
        for devfn in 0..=u8::MAX {
            // SAFETY: By the type invariant the bus is valid.
            let known = unsafe { k::pci_get_slot(bus, devfn.into()) };
            if !known.is_null() {
                // SAFETY: `pci_get_slot` returned a reference.
                unsafe { k::pci_dev_put(known) };
                continue;
            }
            // SAFETY: By the type invariant the bus is valid; the lock is held.
            let new = unsafe { k::pci_scan_single_device(bus, devfn.into()) };
            if !new.is_null() {
                found(devfn);
            }
        }
        // SAFETY: By the type invariant the bus is valid; `claim` is called with its devices.
        unsafe {
            k::pci_walk_bus(bus, Some(claim), ptr::null_mut());
            k::pci_bus_add_devices(bus);
        }
    }

    /// Unbinds a function from its driver and removes it. Returns whether it existed.
    pub fn remove(&self, devfn: u8) -> bool {
        let _rescan = Rescan::lock();
        let Some(device) = self.device(devfn) else {
            return false;
        };
        // SAFETY: By the invariant of `HeldDevice` the device is valid; the lock is held.
        unsafe { k::pci_stop_and_remove_bus_device(device.0.as_ptr()) };
        true
    }

    /// The function, if it exists.
    pub(super) fn device(&self, devfn: u8) -> Option<HeldDevice> {
        // SAFETY: By the type invariant the bus is valid.
        let device = unsafe { k::pci_get_slot(self.bus.as_ptr(), devfn.into()) };
        // INVARIANT: `pci_get_slot` returned a reference.
        NonNull::new(device).map(HeldDevice)
    }
}

impl Drop for RootBus {
    fn drop(&mut self) {
        let bus = self.bus.as_ptr();
        let rescan = Rescan::lock();
        // SAFETY: By the type invariant the bus is valid, and removed here only; it is not used
        // afterwards.
        let bridge = unsafe {
            let bridge = (*bus).bridge;
            k::pci_stop_root_bus(bus);
            k::pci_remove_root_bus(bus);
            bridge
        };
        drop(rescan);
        // Devices that are still referenced may be accessed, which fails from here on.
        // SAFETY: By the type invariant the data exists as long as the bridge, to which there is a
        // reference.
        drop(unsafe { self.data.as_ref() }.access.close());
        // SAFETY: By the type invariant this value owns a reference.
        unsafe { k::put_device(bridge) };
    }
}

/// A reference to a device.
///
/// # Invariants
///
/// `0` is a valid device, to which this value owns a reference.
pub(super) struct HeldDevice(pub(super) NonNull<k::pci_dev>);

impl Drop for HeldDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns a reference.
        unsafe { k::pci_dev_put(self.0.as_ptr()) };
    }
}

/// Makes and scans a root bus.
///
/// # Safety
///
/// `parent` is a valid device, `data` is valid as long as the bus. The [`Rescan`] lock is held.
unsafe fn scan(parent: *mut k::device, number: u8, data: *mut BusData) -> *mut k::pci_bus {
    let windows = Opaque::<k::list_head>::uninit();
    let list = windows.get();
    // SAFETY:
    // - The list is a local, which is initialised here, and empty at the end: the bus takes its
    //   entries, or they are freed.
    // - The resources are statics. `BUS_NUMBERS` is only read; the other two are those of every
    //   root bus.
    // - By the requirements of this function the other arguments are valid.
    unsafe {
        (*list).next = list;
        (*list).prev = list;
        k::pci_add_resource(list, &raw mut k::ioport_resource);
        k::pci_add_resource(list, &raw mut k::iomem_resource);
        k::pci_add_resource(list, (&raw const BUS_NUMBERS.0).cast_mut());
        let bus = k::pci_scan_root_bus(parent, number.into(), OPS.as_ptr(), data.cast(), list);
        if bus.is_null() {
            k::pci_free_resource_list(list);
        }
        bus
    }
}

/// Claims the resources of a device at their addresses, which cannot be changed.
///
/// # Safety
///
/// To be called by `pci_walk_bus` for a valid device.
unsafe extern "C" fn claim(dev: *mut k::pci_dev, _data: *mut c_void) -> c_int {
    // SAFETY: By the requirement of this function the device is valid; only an address is computed.
    let resources = unsafe { &raw const (*dev).resource };
    for index in 0..k::DEVICE_COUNT_RESOURCE as usize {
        // SAFETY: The index is below the number of resources, which only change with the lock that
        // is held.
        let (parent, start, flags) = unsafe {
            let resource = &raw const (*resources)[index];
            ((*resource).parent, (*resource).start, (*resource).flags)
        };
        if !parent.is_null() || start == 0 || flags == 0 {
            continue;
        }
        // SAFETY: By the requirement of this function the device is valid.
        let device = unsafe { device::Device::<device::Normal>::from_raw(&raw mut (*dev).dev) };
        dev_info!(device, "claiming resource {}/{}\n", device.name(), index);
        // SAFETY: By the requirement of this function the device is valid; the index is below the
        // number of resources.
        if unsafe { k::pci_claim_resource(dev, index as c_int) } != 0 {
            dev_err!(
                device,
                "Could not claim resource {}/{}! Device offline. \
                 Try using e820_host=1 in the guest config.\n",
                device.name(),
                index
            );
        }
    }
    0
}

/// # Safety
///
/// To be called by the PCI core when the last reference to the bridge of a `RootBus` is put.
unsafe extern "C" fn release(bridge: *mut k::pci_host_bridge) {
    // SAFETY: `RootBus::new` stored a box, which is not used any more, since the bus does not exist
    // any more.
    drop(unsafe { KBox::from_raw((*bridge).release_data.cast::<BusData>()) });
    LIVE.sub(1);
}
