// SPDX-License-Identifier: GPL-2.0

//! Registering a driver with the bus, and the bus's callbacks, which call those of [`Driver`].

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::{
    error::{
        self,
        to_result, //
    },
    ffi::c_int,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

use kernel_ext::sync::NoIo;
use xen_bindings as bindings;

use crate::{
    debug,
    domain, //
};

use super::{
    driver::Borrowed,
    state_of,
    Bound,
    Device,
    DeviceId,
    Driver, //
};

/// A registered driver. Dropping it unregisters the driver and removes its devices.
///
/// # Examples
///
/// The frontend in [`FrontendDriver`](crate::bus::FrontendDriver#examples) is registered when its
/// module is loaded.
///
/// # Invariants
///
/// `raw` is registered, and does not move until it is unregistered.
#[pin_data(PinnedDrop)]
pub struct Registration<T: Driver> {
    #[pin]
    raw: Opaque<bindings::xenbus_driver>,
    _driver: PhantomData<T>,
}

// SAFETY: Any task may unregister a driver.
unsafe impl<T: Driver> Send for Registration<T> {}
// SAFETY: A reference gives access to nothing.
unsafe impl<T: Driver> Sync for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Registers the driver of a front end, which is then probed for all devices there are. `name`
    /// is the module's.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the kernel does not run on Xen, `EBUSY` if there is a driver of that name on the
    /// bus, such as the C one.
    pub fn new(name: &'static CStr) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            raw <- Opaque::try_ffi_init(move |raw: *mut bindings::xenbus_driver| {
                if !domain::is_xen() {
                    return Err(ENODEV);
                }
                // SAFETY: `raw` is valid for writes, and all zeroes is a valid driver.
                unsafe { raw.write_bytes(0, 1) };
                // SAFETY: `raw` is valid and initialised, and only used here yet.
                Self::fill(unsafe { &mut *raw });
                // SAFETY: `raw` is complete. It does not move, and is unregistered before it is
                // freed.
                to_result(unsafe {
                    bindings::__xenbus_register_frontend(raw, T::MODULE, name.as_char_ptr())
                })
            }),
            _driver: PhantomData,
        })
    }

    fn fill(raw: &mut bindings::xenbus_driver) {
        raw.name = T::NAME.map_or(ptr::null(), |name| name.as_char_ptr());
        raw.ids = T::IDS.as_ptr();
        raw.probe = Some(Self::probe);
        raw.otherend_changed = Some(Self::otherend_changed);
        raw.remove = Some(Self::remove);
        raw.resume = Some(Self::resume);
        raw.is_ready = Some(Self::is_ready);
    }

    extern "C" fn probe(
        raw: *mut bindings::xenbus_device,
        id: *const bindings::xenbus_device_id,
    ) -> c_int {
        // SAFETY: The bus calls this with a valid device whose other end it has just read, and
        // holds the device's lock until this returns.
        let dev = unsafe { Device::<Bound>::from_raw(raw) };
        // SAFETY: `id` is an entry of `T::IDS`, which are `DeviceId`s.
        let id = unsafe { &*id.cast::<DeviceId>() };
        error::from_result(|| {
            if !dev.has_valid_otherend() {
                return Err(EINVAL);
            }
            let data = T::probe(dev, id).map_err(|failure| {
                dev.answer(&failure);
                failure.errno()
            })?;
            debug::DEVICES.add(1);
            // SAFETY: The device is valid, and is bound to this driver, which owns its driver data.
            unsafe { kernel::bindings::dev_set_drvdata(&raw mut (*raw).dev, data.into_foreign()) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// A successful `probe` happened before, and no `remove` before `'a` ends.
    unsafe fn data<'a>(raw: *mut bindings::xenbus_device) -> Borrowed<'a, T> {
        // SAFETY: `probe` stored the data, which by the requirement of this function is not taken
        // out during `'a`.
        unsafe {
            let data = kernel::bindings::dev_get_drvdata(&raw mut (*raw).dev);
            <T::Data as ForeignOwnable>::borrow(data)
        }
    }

    extern "C" fn otherend_changed(
        raw: *mut bindings::xenbus_device,
        state: bindings::xenbus_state,
    ) {
        // SAFETY: The watch that calls this is registered after `probe` succeeded. Before `remove`
        // and before the other end is read again, it is unregistered, which waits for this call.
        let (dev, data) = unsafe { (Device::<Bound>::from_raw(raw), Self::data(raw)) };
        let _noio = NoIo::new();
        if let Err(failure) = T::otherend_changed(data, dev, state_of(state)) {
            dev.answer(&failure);
        }
    }

    extern "C" fn remove(raw: *mut bindings::xenbus_device) {
        // SAFETY: The bus calls this once after each successful `probe`, with the device's lock
        // held and while no other callback runs.
        let dev = unsafe { Device::<Bound>::from_raw(raw) };
        // SAFETY: A `probe` succeeded, and this is the only `remove` after it.
        T::remove(unsafe { Self::data(raw) }, dev);
        // SAFETY: `probe` stored the data, which is not borrowed any more. It is taken out once:
        // there is no callback after this one.
        let data = unsafe {
            let data = kernel::bindings::dev_get_drvdata(&raw mut (*raw).dev);
            kernel::bindings::dev_set_drvdata(&raw mut (*raw).dev, ptr::null_mut());
            T::Data::from_foreign(data)
        };
        debug::DEVICES.sub(1);
        drop(data);
    }

    extern "C" fn resume(raw: *mut bindings::xenbus_device) -> c_int {
        // SAFETY: The bus calls this for bound devices, under the device's lock, after it has read
        // the new other end.
        let (dev, data) = unsafe { (Device::<Bound>::from_raw(raw), Self::data(raw)) };
        let _noio = NoIo::new();
        error::from_result(|| {
            T::resume(data, dev).map_err(|failure| {
                dev.answer(&failure);
                failure.errno()
            })?;
            Ok(0)
        })
    }

    extern "C" fn is_ready(raw: *mut bindings::xenbus_device) -> c_int {
        // The bus calls this without a lock, so the device may be removed at the same time; its
        // lock keeps it bound. If the lock is held, the device is being probed or removed: not
        // ready.
        // SAFETY: The bus has a reference to the device; only an address is computed.
        let generic = unsafe { &raw mut (*raw).dev };
        // SAFETY: The bus has a reference to the device during this call.
        if !unsafe { bindings::xen_rs_device_trylock(generic) } {
            return 0;
        }
        // Meanwhile the device may have been bound to another driver, such as the C one.
        // SAFETY: The device is valid, and is not unbound while it is locked.
        let bound = unsafe {
            let driver = (*generic).driver;
            !driver.is_null()
                && (*driver).owner == T::MODULE
                && !kernel::bindings::dev_get_drvdata(generic).is_null()
        };
        let ready = bound && {
            // SAFETY: The device is bound to a driver of this module, which has only one for
            // devices of this type, and is not unbound while it is locked. `probe` stored its data.
            let (dev, data) = unsafe { (Device::<Bound>::from_raw(raw), Self::data(raw)) };
            T::is_ready(data, dev)
        };
        // SAFETY: The device was locked above.
        unsafe { bindings::xen_rs_device_unlock(generic) };
        ready.into()
    }
}

#[pinned_drop]
impl<T: Driver> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant `raw` is registered.
        unsafe { bindings::xenbus_unregister_driver(self.raw.get()) }
    }
}
