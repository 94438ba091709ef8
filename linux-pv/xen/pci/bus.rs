// SPDX-License-Identifier: GPL-2.0

//! Root buses: made and scanned, and what comes and goes on them.

use core::ptr::{self, NonNull};

use kernel::bindings as k;
use kernel::ffi::{c_int, c_void};
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::time::{delay::fsleep, Delta};
use kernel::types::Opaque;
use xen_bindings as bindings;
use xen_ring::pciif::{Address, Root};

use super::config::{Behind, OPS};
use super::Access;
use crate::bus::Device;
use crate::debug;

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

/// While this lives, no bus or device of PCI comes or goes but by whoever holds it.
struct Rescan;

impl Rescan {
    fn lock() -> Self {
        // SAFETY: May sleep; the callers have no other lock of the PCI core.
        unsafe { k::pci_lock_rescan_remove() };
        Self
    }
}

impl Drop for Rescan {
    fn drop(&mut self) {
        // SAFETY: It was locked, by this task.
        unsafe { k::pci_unlock_rescan_remove() };
    }
}

/// A root bus whose functions are another domain's. Dropping it removes its devices and the bus.
///
/// All functions here may sleep, and run the functions of devices' drivers.
///
/// # Invariants
///
/// `bus` is a root bus with our `OPS`, which nobody else removes. Its bridge has a reference of ours and releases what
/// is behind the bus.
pub struct RootBus {
    bus: NonNull<k::pci_bus>,
    at: Root,
}

// SAFETY: The PCI core has locks of its own, and a bus may be removed by any task.
unsafe impl Send for RootBus {}
// SAFETY: As above.
unsafe impl Sync for RootBus {}

impl RootBus {
    /// Makes a bus, looks for devices on it, and gives them to their drivers. `found` is told of each.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, which also stands for there being a bus of that number.
    pub fn new<Ctx>(
        parent: &Device<Ctx>,
        at: Root,
        access: Arc<dyn Access>,
        found: &mut dyn FnMut(Address),
    ) -> Result<Self> {
        // SAFETY: The shim reads a variable.
        let node = unsafe { bindings::xen_rs_first_online_node() };
        let behind = KBox::new(Behind::new(at.domain, node, access), GFP_KERNEL)?;
        let behind = KBox::into_raw(behind);
        let _rescan = Rescan::lock();
        // SAFETY: The parent is a device on the bus of Xen's devices, `behind` is what such a bus has to have.
        let Some(bus) = NonNull::new(unsafe { scan(parent.as_generic(), at.bus, behind) }) else {
            // SAFETY: It came from a box, and no bus has it.
            drop(unsafe { KBox::from_raw(behind) });
            return Err(ENOMEM);
        };
        debug::PCI_BUSES.add(1);
        // SAFETY: The bus is valid, as no one but us removes it; a root bus has a bridge.
        unsafe {
            let bridge = k::pci_find_host_bridge(bus.as_ptr());
            k::pci_set_host_bridge_release(bridge, Some(release), behind.cast());
        }
        // INVARIANT: The bus is ours; its bridge has the reference that making it left.
        let this = Self { bus, at };
        this.look(found);
        Ok(this)
    }

    /// Where it is.
    pub fn at(&self) -> Root {
        self.at
    }

    /// Looks for devices that were not there before.
    pub fn rescan(&self, found: &mut dyn FnMut(Address)) {
        let _rescan = Rescan::lock();
        self.look(found);
    }

    /// The caller holds the [`Rescan`] lock.
    fn look(&self, found: &mut dyn FnMut(Address)) {
        let bus = self.bus.as_ptr();
        // The core skips functions of devices that have no function 0, and a back end may well pass only others.
        for devfn in 0..=u8::MAX {
            // SAFETY: The bus is valid by the type invariant.
            let known = unsafe { k::pci_get_slot(bus, devfn.into()) };
            if !known.is_null() {
                // SAFETY: The call above returned a reference.
                unsafe { k::pci_dev_put(known) };
                continue;
            }
            // SAFETY: As above, and the lock is held.
            let new = unsafe { k::pci_scan_single_device(bus, devfn.into()) };
            if !new.is_null() {
                let root = self.at;
                found(Address { root, devfn });
            }
        }
        // SAFETY: As above; the callback gets devices of this bus.
        unsafe {
            k::pci_walk_bus(bus, Some(claim), ptr::null_mut());
            k::pci_bus_add_devices(bus);
        }
    }

    /// Takes a function away from its driver, and from the bus. Returns whether there was one.
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
        // SAFETY: The bus is valid by the type invariant.
        let device = unsafe { k::pci_get_slot(self.bus.as_ptr(), devfn.into()) };
        // INVARIANT: The call returned a reference.
        NonNull::new(device).map(HeldDevice)
    }
}

impl Drop for RootBus {
    fn drop(&mut self) {
        let bus = self.bus.as_ptr();
        let rescan = Rescan::lock();
        // SAFETY: By the type invariant; the bus is not used afterwards.
        let bridge = unsafe {
            let bridge = (*bus).bridge;
            k::pci_stop_root_bus(bus);
            k::pci_remove_root_bus(bus);
            bridge
        };
        drop(rescan);
        // SAFETY: By the type invariant this gives up our reference.
        unsafe { k::put_device(bridge) };
    }
}

/// A reference to a device.
///
/// # Invariants
///
/// It is one.
pub(super) struct HeldDevice(pub(super) NonNull<k::pci_dev>);

impl Drop for HeldDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { k::pci_dev_put(self.0.as_ptr()) };
    }
}

/// Makes a root bus and looks for devices on it.
///
/// # Safety
///
/// `parent` is a device, `behind` a box for the bus to have. The [`Rescan`] lock is held.
unsafe fn scan(parent: *mut k::device, number: u8, behind: *mut Behind) -> *mut k::pci_bus {
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
        let bus = k::pci_scan_root_bus(parent, number.into(), OPS.as_ptr(), behind.cast(), list);
        if bus.is_null() {
            k::pci_free_resource_list(list);
        }
        bus
    }
}

/// Takes the addresses a device has for its own, as they are: the back end lets nobody change them.
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
        let device = unsafe {
            kernel::device::Device::<kernel::device::Normal>::from_raw(&raw mut (*dev).dev)
        };
        dev_info!(device, "claiming resource {}/{}\n", device.name(), index);
        // SAFETY: As above.
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
    // SAFETY: `RootBus::new` has put a box there, and nothing reaches it through the bus any more.
    drop(unsafe { KBox::from_raw((*bridge).release_data.cast::<Behind>()) });
    debug::PCI_BUSES.sub(1);
}

/// Dropped, it waits until no bus is used any more: somebody may still have a device of a bus that was removed. Whoever
/// makes buses must not be unloaded before.
pub struct Users;

impl Drop for Users {
    fn drop(&mut self) {
        /// Milliseconds between two looks.
        const POLL: i64 = 10;
        /// Looks between two complaints.
        const COMPLAIN: u64 = 1000;
        let mut looks = 0_u64;
        while debug::PCI_BUSES.get() != 0 {
            fsleep(Delta::from_millis(POLL));
            looks += 1;
            if looks % COMPLAIN == 0 {
                pr_warn!(
                    "waiting for {} PCI buses that somebody still uses\n",
                    debug::PCI_BUSES.get()
                );
            }
        }
        // What counted down may still have to return.
        // SAFETY: May sleep.
        unsafe { k::synchronize_rcu() };
    }
}
