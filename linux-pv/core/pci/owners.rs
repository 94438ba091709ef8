// SPDX-License-Identifier: GPL-2.0

//! The domains that devices are passed to. pciback registers them; MSIs of such a device are mapped
//! for its owner.

use kernel::{
    bindings as k,
    ffi::c_int,
    prelude::*, //
};

use crate::device::Function;

/// The address of a device, which is only compared, and the domid of its owner.
type Owner = (usize, u16);

kernel::sync::global_lock! {
    // SAFETY: `init` is called before any device is found.
    unsafe(uninit) static OWNERS: SpinLock<KVec<Owner>> = KVec::new();
}

/// Initialises the list. To be called once, before any device is found.
pub(crate) fn init() {
    // SAFETY: Called once at boot, before anything else in this file.
    unsafe { OWNERS.init() };
}

/// The domid of a device's owner.
pub(crate) fn owner(of: Function<'_>) -> Option<u16> {
    let key = of.as_raw() as usize;
    let owners = OWNERS.lock();
    let found = owners.iter().find(|(device, _)| *device == key);
    found.map(|(_, domain)| *domain)
}

/// The domid of a device's owner, or `-ENODEV`.
///
/// # Safety
///
/// `dev` is a valid device.
#[no_mangle]
pub unsafe extern "C" fn xen_find_device_domain_owner(dev: *mut k::pci_dev) -> c_int {
    // SAFETY: By the requirement of this function.
    let owner = owner(unsafe { Function::from_raw(dev) });
    owner.map_or(-(k::ENODEV as c_int), c_int::from)
}

/// Registers the owner of a device. Returns `-EEXIST` if it has one, `-ENODEV` (as the C function)
/// if there is no memory.
///
/// # Safety
///
/// `dev` stays valid until its owner is unregistered.
#[no_mangle]
pub unsafe extern "C" fn xen_register_device_domain_owner(
    dev: *mut k::pci_dev,
    domain: u16,
) -> c_int {
    let key = dev as usize;
    let mut owners = OWNERS.lock();
    if owners.iter().any(|(device, _)| *device == key) {
        return -(k::EEXIST as c_int);
    }
    match owners.push((key, domain), GFP_ATOMIC) {
        Ok(()) => 0,
        Err(_) => -(k::ENODEV as c_int),
    }
}

/// Unregisters the owner of a device. Returns `-ENODEV` if it has none.
///
/// # Safety
///
/// None: the address is only compared.
#[no_mangle]
pub unsafe extern "C" fn xen_unregister_device_domain_owner(dev: *mut k::pci_dev) -> c_int {
    let key = dev as usize;
    let mut owners = OWNERS.lock();
    let Some(at) = owners.iter().position(|(device, _)| *device == key) else {
        return -(k::ENODEV as c_int);
    };
    let last = owners.len() - 1;
    owners.swap(at, last);
    owners.truncate(last);
    0
}
