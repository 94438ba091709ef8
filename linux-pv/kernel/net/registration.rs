// SPDX-License-Identifier: GPL-2.0

//! Making a device known to the kernel.

use core::ops::Deref;

use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::Arc;
use xen_bindings as b;

use super::{Device, Operations};

/// A device that users can see and use; dropping this brings it down and unregisters it, which may sleep and
/// takes the RTNL lock.
///
/// # Invariants
///
/// The device was registered by this, and not unregistered.
pub struct Registration<T: Operations>(Arc<Device<T>>);

impl<T: Operations> Registration<T> {
    /// Registers a device, under the next free name of the form `eth0`. May sleep; takes the RTNL lock.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the device is registered or was before; what the kernel says.
    pub fn new(dev: Arc<Device<T>>) -> Result<Self> {
        if dev.set_registered(true) {
            return Err(EBUSY);
        }
        // SAFETY: The device is complete. Nobody has registered it before, nor does so now.
        let registered = to_result(unsafe { b::register_netdev(dev.as_ptr()) });
        if let Err(error) = registered {
            // SAFETY: The device is valid, and nobody else registers it.
            let again = unsafe { b::xen_rs_netdev_is_new(dev.as_ptr()) };
            dev.set_registered(!again);
            return Err(error);
        }
        // INVARIANT: Just registered.
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
        // SAFETY: By the type invariant.
        unsafe { b::unregister_netdev(self.0.as_ptr()) }
    }
}
