// SPDX-License-Identifier: GPL-2.0

//! Which domain a device was given to: the back end says it, and messages are mapped for that domain then.

use kernel::bindings as k;
use kernel::ffi::c_int;
use kernel::prelude::*;

use crate::device::Function;

/// A device, by its address, which is only compared; and its owner's number.
type Owner = (usize, u16);

kernel::sync::global_lock! {
    // SAFETY: `init` is called before any device is found.
    unsafe(uninit) static OWNERS: SpinLock<KVec<Owner>> = KVec::new();
}

/// To be called once, before any device is found.
pub(crate) fn init() {
    // SAFETY: Called once, before anything else in this file.
    unsafe { OWNERS.init() };
}

/// The domain that a device was given to.
pub(crate) fn owner(of: Function<'_>) -> Option<u16> {
    let key = of.as_raw() as usize;
    let owners = OWNERS.lock();
    let found = owners.iter().find(|(device, _)| *device == key);
    found.map(|(_, domain)| *domain)
}

/// The number of the domain that a device was given to, or `-ENODEV`.
///
/// # Safety
///
/// `dev` is a valid device.
#[no_mangle]
pub unsafe extern "C" fn xen_find_device_domain_owner(dev: *mut k::pci_dev) -> c_int {
    // SAFETY: The caller's promise.
    let owner = owner(unsafe { Function::from_raw(dev) });
    owner.map_or(-(k::ENODEV as c_int), c_int::from)
}

/// Gives a device to a domain. `-EEXIST` if it has been given away; `-ENODEV`, as ever, if there is no memory to note it.
///
/// # Safety
///
/// `dev` stays valid until it is taken back.
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

/// Takes a device back. `-ENODEV` if it was not given away.
///
/// # Safety
///
/// `dev` is a device; it is only compared.
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
