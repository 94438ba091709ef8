// SPDX-License-Identifier: GPL-2.0

//! Root buses: made and scanned, and devices added to and removed from them.

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

use super::config::{
    BusData,
    ConfigAccess,
    OPS, //
};
use super::LIVE;

/// The bus numbers below any of our bridges. The PCI core only reads it.
struct BusNumbers(k::resource);

// SAFETY: Never written to.
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

/// The lock under which PCI buses and devices are added and removed.
struct Rescan;

impl Rescan {
    fn lock() -> Self {
        // SAFETY: The callers may sleep, and hold no other lock of the PCI core.
        unsafe { k::pci_lock_rescan_remove() };
        Self
    }
}

impl Drop for Rescan {
    fn drop(&mut self) {
        // SAFETY: `lock` has locked it, in this task.
        unsafe { k::pci_unlock_rescan_remove() };
    }
}

/// A root bus. Dropping it removes its devices and the bus, and waits for accesses that are under way.
///
/// All functions here may sleep, and call functions of devices' drivers.
///
/// # Invariants
///
/// - `bus` is a root bus with our `OPS`, which nobody else removes.
/// - `data` is the bus's `sysdata`. It lives as long as the bridge, of which this has a reference, and
///   which frees it.
pub struct RootBus {
    bus: NonNull<k::pci_bus>,
    data: NonNull<BusData>,
}

// SAFETY: The PCI core has locks of its own, and a bus may be removed by any task.
unsafe impl Send for RootBus {}
// SAFETY: The PCI core has locks of its own, which the functions of `&RootBus` take.
unsafe impl Sync for RootBus {}

impl RootBus {
    /// Makes bus `number` of domain `domain` below `parent`, looks for devices on it, and binds them to
    /// their drivers. `found` is called with the `devfn` of each.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, which also stands for there being a bus of that number.
    pub fn new(
        parent: &device::Device,
        domain: u16,
        number: u8,
        access: Arc<dyn ConfigAccess>,
        found: &mut dyn FnMut(u8),
    ) -> Result<Self> {
        // SAFETY: The shim reads a variable.
        let node = unsafe { bindings::xen_rs_first_online_node() };
        let data = BusData::new(domain, node, access)?;
        // SAFETY: It stays where it is until `release`, or the drop below.
        let data = KBox::into_raw(unsafe { Pin::into_inner_unchecked(data) });
        // A transparent wrapper, which keeps this to itself.
        let parent = ptr::from_ref(parent).cast_mut().cast::<k::device>();
        let _rescan = Rescan::lock();
        // SAFETY: `parent` is a valid device, `data` is what a bus with our operations has to carry, and
        // the lock is held.
        let Some(bus) = NonNull::new(unsafe { scan(parent, number, data) }) else {
            // SAFETY: It came from a box, and no bus has it.
            drop(unsafe { KBox::from_raw(data) });
            return Err(ENOMEM);
        };
        LIVE.add(1);
        // SAFETY: The bus is valid, as nobody else removes it; a root bus has a bridge. The data came
        // from a box.
        let data = unsafe {
            let bridge = k::pci_find_host_bridge(bus.as_ptr());
            k::pci_set_host_bridge_release(bridge, Some(release), data.cast());
            NonNull::new_unchecked(data)
        };
        // INVARIANT: The bus is ours; its bridge has the reference that making it left, and `release`
        // frees the data.
        let this = Self { bus, data };
        this.look(found);
        Ok(this)
    }

    /// Looks for devices that were not there before.
    pub fn rescan(&self, found: &mut dyn FnMut(u8)) {
        let _rescan = Rescan::lock();
        self.look(found);
    }

    /// The caller holds the [`Rescan`] lock.
    fn look(&self, found: &mut dyn FnMut(u8)) {
        let bus = self.bus.as_ptr();
        // The core skips functions of devices that have no function 0, and a back end may well pass only others.
        for devfn in 0..=u8::MAX {
            // SAFETY: By the type invariant the bus is valid.
            let known = unsafe { k::pci_get_slot(bus, devfn.into()) };
            if !known.is_null() {
                // SAFETY: The call above returned a reference.
                unsafe { k::pci_dev_put(known) };
                continue;
            }
            // SAFETY: By the type invariant the bus is valid; the lock is held.
            let new = unsafe { k::pci_scan_single_device(bus, devfn.into()) };
            if !new.is_null() {
                found(devfn);
            }
        }
        // SAFETY: By the type invariant the bus is valid; the callback gets devices of this bus.
        unsafe {
            k::pci_walk_bus(bus, Some(claim), ptr::null_mut());
            k::pci_bus_add_devices(bus);
        }
    }

    /// Unbinds a function from its driver and removes it from the bus. Returns whether there was one.
    pub fn remove(&self, devfn: u8) -> bool {
        let _rescan = Rescan::lock();
        let Some(device) = self.device(devfn) else {
            return false;
        };
        // SAFETY: The device is valid, the lock is held.
        unsafe { k::pci_stop_and_remove_bus_device(device.0.as_ptr()) };
        true
    }

    /// The function, if it is there.
    pub(super) fn device(&self, devfn: u8) -> Option<HeldDevice> {
        // SAFETY: By the type invariant the bus is valid.
        let device = unsafe { k::pci_get_slot(self.bus.as_ptr(), devfn.into()) };
        // INVARIANT: The call returned a reference.
        NonNull::new(device).map(HeldDevice)
    }
}

impl Drop for RootBus {
    fn drop(&mut self) {
        let bus = self.bus.as_ptr();
        let rescan = Rescan::lock();
        // SAFETY: By the type invariant the bus is valid, and ours to remove; it is not used afterwards.
        let bridge = unsafe {
            let bridge = (*bus).bridge;
            k::pci_stop_root_bus(bus);
            k::pci_remove_root_bus(bus);
            bridge
        };
        drop(rescan);
        // Who has a device of the bus may still access it, and finds nothing from here on.
        // SAFETY: By the type invariant the data lives as long as the bridge, of which this has a reference.
        drop(unsafe { self.data.as_ref() }.access.close());
        // SAFETY: By the type invariant there is a reference to put.
        unsafe { k::put_device(bridge) };
    }
}

/// A reference to a device.
///
/// # Invariants
///
/// `0` is a valid device, of which this owns a reference.
pub(super) struct HeldDevice(pub(super) NonNull<k::pci_dev>);

impl Drop for HeldDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to put.
        unsafe { k::pci_dev_put(self.0.as_ptr()) };
    }
}

/// Makes a root bus and looks for devices on it.
///
/// # Safety
///
/// `parent` is a device, `data` is valid as long as the bus is. The [`Rescan`] lock is held.
unsafe fn scan(parent: *mut k::device, number: u8, data: *mut BusData) -> *mut k::pci_bus {
    let windows = Opaque::<k::list_head>::uninit();
    let list = windows.get();
    // SAFETY: The list is a local, and made an empty one here. What is put into it is static, and the PCI core only
    // reads it, or is what all root buses have there. If there is no bus, the list is emptied again.
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

/// Claims the addresses that a device has, as they are: nobody may change them.
///
/// # Safety
///
/// Called by `pci_walk_bus` for a device of the bus.
unsafe extern "C" fn claim(dev: *mut k::pci_dev, _data: *mut c_void) -> c_int {
    // SAFETY: The device is valid; no reference to the resources is kept while they are claimed.
    let wanted = unsafe { &raw const (*dev).resource };
    for index in 0..k::DEVICE_COUNT_RESOURCE as usize {
        // SAFETY: The index is below the number of resources, and the core changes them under the lock that is held.
        let (parent, start, flags) = unsafe {
            let resource = &raw const (*wanted)[index];
            ((*resource).parent, (*resource).start, (*resource).flags)
        };
        if !parent.is_null() || start == 0 || flags == 0 {
            continue;
        }
        // SAFETY: The device is valid as long as this runs.
        let device = unsafe { device::Device::<device::Normal>::from_raw(&raw mut (*dev).dev) };
        dev_info!(device, "claiming resource {}/{}\n", device.name(), index);
        // SAFETY: The device is valid, and the index below the number of resources.
        if unsafe { k::pci_claim_resource(dev, index as c_int) } != 0 {
            dev_err!(
                device,
                "Could not claim resource {}/{}! Device offline. Try using e820_host=1 in the guest config.\n",
                device.name(),
                index
            );
        }
    }
    0
}

/// # Safety
///
/// Called by the PCI core when the last reference to a bridge of ours is gone.
unsafe extern "C" fn release(bridge: *mut k::pci_host_bridge) {
    // SAFETY: `RootBus::new` has put a pinned box there, and nothing reaches it through the bus any more.
    drop(unsafe { KBox::from_raw((*bridge).release_data.cast::<BusData>()) });
    LIVE.sub(1);
}
