// SPDX-License-Identifier: GPL-2.0

//! Registering a device.

use core::ops::Deref;

use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc, //
};

use xen_bindings as b;

use super::{
    Device,
    Operations, //
};

/// A registered device. Dropping this brings it down and unregisters it, which may sleep and takes
/// the RTNL lock.
///
/// # Invariants
///
/// This value has registered the device.
pub struct Registration<T: Operations>(Arc<Device<T>>);

impl<T: Operations> Registration<T> {
    /// Registers a device, with the next free name of the form `eth0`. May sleep; takes the RTNL
    /// lock.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the device is registered or was before; errors of `register_netdev`.
    pub fn new(dev: Arc<Device<T>>) -> Result<Self> {
        if dev.set_registered(true) {
            return Err(EBUSY);
        }
        // SAFETY: The device is valid by the invariant of `Device`, and was not registered before.
        let registered = to_result(unsafe { b::register_netdev(dev.as_ptr()) });
        if let Err(error) = registered {
            // SAFETY: The device is valid by the invariant of `Device`.
            let again = unsafe { b::xen_rs_netdev_is_new(dev.as_ptr()) };
            dev.set_registered(!again);
            return Err(error);
        }
        // INVARIANT: It is registered above.
        Ok(Self(dev))
    }
}

impl<T: Operations> Deref for Registration<T> {
    type Target = Arc<Device<T>>;

    fn deref(&self) -> &Arc<Device<T>> {
        &self.0
    }
}

impl<T: Operations> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the device is registered.
        unsafe { b::unregister_netdev(self.0.as_ptr()) }
    }
}
