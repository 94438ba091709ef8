// SPDX-License-Identifier: GPL-2.0

//! Drivers on the xenbus and their registration.

use core::marker::PhantomData;
use core::ptr;
use kernel::error::{to_result, VTABLE_DEFAULT_ERROR};
use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::types::{ForeignOwnable, Opaque};
use kernel::{build_error, error};
use xen_bindings as bindings;

use super::device::{Bound, Device};
use super::{Failure, State};
use crate::debug;
use crate::domain;
use crate::sync::NoIo;

/// The data of driver `T`, borrowed during a callback: `ArcBorrow<'_, X>` if it is an `Arc<X>`.
type Borrowed<'a, T> = <<T as Driver>::Data as ForeignOwnable>::Borrowed<'a>;

/// A driver of a kind of devices.
///
/// All callbacks may sleep. The bus calls `probe` and `remove` once a device, with nothing else
/// running for it; `otherend_changed` runs in the xenwatch thread, never twice at a time. While one of
/// `otherend_changed`, `suspend` and `resume` runs, allocations start no I/O (see [`NoIo`]).
#[vtable]
pub trait Driver: 'static {
    /// What is kept for a device from `probe` to `remove`, mostly an `Arc`.
    type Data: ForeignOwnable + Send + Sync;

    /// The kinds of devices.
    const IDS: IdTable;

    /// The driver's name on the bus; the first kind of device if none is given.
    const NAME: Option<&'static CStr> = None;

    /// Whether a device can be bound again after it was unbound, so that it must not be published as
    /// closed then.
    const ALLOW_REBIND: bool = false;

    /// Whether booting goes on while such a device is not connected.
    const NOT_ESSENTIAL: bool = false;

    /// Starts driving a device. The other end is known, but its changes are not reported until this
    /// has returned. May be called with `Device::state` of an earlier life (see
    /// `xl save`/`restore` and rebinding).
    fn probe(dev: &Device<Bound>, id: &DeviceId) -> Result<Self::Data, Failure>;

    /// The other end has changed its state.
    fn otherend_changed(
        data: Borrowed<'_, Self>,
        dev: &Device<Bound>,
        state: State,
    ) -> Result<(), Failure>;

    /// The device goes away, or the driver. Nothing may use the device when this returns; `data` is
    /// released right after it. [`Device::has_vanished`] tells whether the other end is gone already.
    fn remove(data: Borrowed<'_, Self>, dev: &Device<Bound>) {
        let _ = (data, dev);
    }

    /// The domain is about to be saved or migrated.
    fn suspend(data: Borrowed<'_, Self>, dev: &Device<Bound>) -> Result {
        let _ = (data, dev);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The domain was restored, possibly elsewhere: the other end is another one, and all grants and
    /// event channels are gone.
    fn resume(data: Borrowed<'_, Self>, dev: &Device<Bound>) -> Result<(), Failure> {
        let _ = (data, dev);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Whether the device, being connected, can be used; booting waits for it.
    fn is_ready(data: Borrowed<'_, Self>, dev: &Device<Bound>) -> bool {
        let _ = (data, dev);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Memory is short: give back what is only cached. For back ends.
    fn reclaim_memory(data: Borrowed<'_, Self>, dev: &Device) {
        let _ = (data, dev);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A kind of device.
#[repr(transparent)]
pub struct DeviceId(bindings::xenbus_device_id);

impl DeviceId {
    const END: Self = Self::new(c"");

    /// The kind with this name, at most 31 bytes: `vbd`.
    pub const fn new(devicetype: &CStr) -> Self {
        let bytes = devicetype.to_bytes();
        let mut id = bindings::xenbus_device_id {
            devicetype: [0; 32],
        };
        assert!(bytes.len() < id.devicetype.len());
        let mut i = 0;
        while i < bytes.len() {
            id.devicetype[i] = bytes[i];
            i += 1;
        }
        Self(id)
    }

    /// The kind's name.
    pub fn devicetype(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0.devicetype).unwrap_or_default()
    }
}

/// The kinds of devices of a driver: `IdTable::new(&Ids::new([DeviceId::new(c"vbd")]))`, or shorter
/// `device_ids![c"vbd"]`.
///
/// # Invariants
///
/// Points to the first of a list of ids, of which only the last is empty.
#[derive(Clone, Copy)]
pub struct IdTable(&'static DeviceId);

impl IdTable {
    /// The table of a list.
    pub const fn new<const N: usize>(ids: &'static Ids<N>) -> Self {
        // INVARIANT: An `Ids` ends with an empty one and has no other. The reference is to the whole
        // of the list, as C wants it.
        // SAFETY: `Ids<N>` starts with an array of `DeviceId`, or with the end mark if that is empty.
        Self(unsafe { &*ptr::from_ref(ids).cast::<DeviceId>() })
    }
}

/// A list of ids for [`IdTable::new`].
#[repr(C)]
pub struct Ids<const N: usize> {
    ids: [DeviceId; N],
    end: DeviceId,
}

impl<const N: usize> Ids<N> {
    /// A list of these ids, none of which may be empty.
    pub const fn new(ids: [DeviceId; N]) -> Self {
        let mut i = 0;
        while i < N {
            assert!(ids[i].0.devicetype[0] != 0);
            i += 1;
        }
        Self {
            ids,
            end: DeviceId::END,
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        let _ = &self.end;
        self.ids.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        N == 0
    }
}

/// Makes the [`IdTable`] of a driver: `const IDS: IdTable = device_ids![c"vbd"];`
#[macro_export]
macro_rules! device_ids {
    ($($name:expr),+ $(,)?) => {
        $crate::bus::IdTable::new(const {
            &$crate::bus::Ids::new([$($crate::bus::DeviceId::new($name)),+])
        })
    };
}

/// Which end of devices a driver is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The front end: the user of the device.
    Front,
    /// The back end: its provider.
    Back,
}

/// A registered driver; it is unregistered, and all its devices removed, when this is dropped.
///
/// # Invariants
///
/// `raw` is registered, and stays where it is until it is unregistered.
#[pin_data(PinnedDrop)]
pub struct Registration<T: Driver> {
    #[pin]
    raw: Opaque<bindings::xenbus_driver>,
    _driver: PhantomData<T>,
}

// SAFETY: A registration gives no access to anything; the bus has its own locks.
unsafe impl<T: Driver> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: Driver> Sync for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Registers the driver, which is then probed for all devices there are. `name` is the module's.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the kernel does not run on Xen, `EBUSY` if there is a driver of that name on the
    /// bus, such as the C one.
    pub fn new(
        side: Side,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            raw <- Opaque::try_ffi_init(move |raw: *mut bindings::xenbus_driver| {
                if !domain::is_xen() {
                    return Err(ENODEV);
                }
                // SAFETY: `raw` is valid for writes, and all zeroes is a valid driver.
                unsafe { raw.write_bytes(0, 1) };
                // SAFETY: `raw` is valid and was just initialised, and is known to nobody yet.
                Self::fill(unsafe { &mut *raw });
                // SAFETY: `raw` is complete. It is pinned, and dropping it unregisters it.
                to_result(unsafe {
                    match side {
                        Side::Front => bindings::__xenbus_register_frontend(
                            raw, module.as_ptr(), name.as_char_ptr()),
                        Side::Back => bindings::__xenbus_register_backend(
                            raw, module.as_ptr(), name.as_char_ptr()),
                    }
                })
            }),
            _driver: PhantomData,
        })
    }

    fn fill(raw: &mut bindings::xenbus_driver) {
        raw.name = T::NAME.map_or(ptr::null(), |name| name.as_char_ptr());
        raw.ids = ptr::from_ref(T::IDS.0).cast();
        raw.allow_rebind = T::ALLOW_REBIND;
        raw.not_essential = T::NOT_ESSENTIAL;
        raw.probe = Some(Self::probe);
        raw.otherend_changed = Some(Self::otherend_changed);
        raw.remove = Some(Self::remove);
        raw.suspend = T::HAS_SUSPEND.then_some(Self::suspend);
        raw.resume = T::HAS_RESUME.then_some(Self::resume);
        raw.is_ready = T::HAS_IS_READY.then_some(Self::is_ready);
        raw.reclaim_memory = T::HAS_RECLAIM_MEMORY.then_some(Self::reclaim_memory);
    }

    unsafe extern "C" fn probe(
        raw: *mut bindings::xenbus_device,
        id: *const bindings::xenbus_device_id,
    ) -> c_int {
        // SAFETY: The bus calls this with a valid device whose other end it has just read, and holds
        // the device's lock until this returns.
        let dev = unsafe { Device::<Bound>::from_raw(raw) };
        // SAFETY: It is one of the ids in our table.
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
            // SAFETY: The device is ours from now on; its data is the driver's to set.
            unsafe { kernel::bindings::dev_set_drvdata(&raw mut (*raw).dev, data.into_foreign()) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// A successful `probe` happened before, and no `remove` before `'a` ends.
    unsafe fn data<'a>(raw: *mut bindings::xenbus_device) -> Borrowed<'a, T> {
        // SAFETY: `probe` has set it, and it stays by the requirement of this function.
        unsafe {
            let data = kernel::bindings::dev_get_drvdata(&raw mut (*raw).dev);
            <T::Data as ForeignOwnable>::borrow(data)
        }
    }

    unsafe extern "C" fn otherend_changed(
        raw: *mut bindings::xenbus_device,
        state: bindings::xenbus_state,
    ) {
        // SAFETY: The watch that gets us here is set after `probe` succeeded, and taken back (with a
        // wait for us) before `remove` and before the other end is read anew.
        let (dev, data) = unsafe { (Device::<Bound>::from_raw(raw), Self::data(raw)) };
        let _noio = NoIo::new();
        if let Err(failure) = T::otherend_changed(data, dev, State::from_number(state)) {
            dev.answer(&failure);
        }
    }

    unsafe extern "C" fn remove(raw: *mut bindings::xenbus_device) {
        // SAFETY: The bus calls this once after each successful `probe`, and no other callback is
        // running or will be.
        let dev = unsafe { Device::<Bound>::from_raw(raw) };
        // SAFETY: As above.
        T::remove(unsafe { Self::data(raw) }, dev);
        // SAFETY: As above; the data is taken out before anything could borrow it again.
        let data = unsafe {
            let data = kernel::bindings::dev_get_drvdata(&raw mut (*raw).dev);
            kernel::bindings::dev_set_drvdata(&raw mut (*raw).dev, ptr::null_mut());
            T::Data::from_foreign(data)
        };
        debug::DEVICES.sub(1);
        drop(data);
    }

    unsafe extern "C" fn suspend(raw: *mut bindings::xenbus_device) -> c_int {
        // SAFETY: The bus calls this for bound devices, under the device's lock.
        let (dev, data) = unsafe { (Device::<Bound>::from_raw(raw), Self::data(raw)) };
        let _noio = NoIo::new();
        error::from_result(|| T::suspend(data, dev).map(|()| 0))
    }

    unsafe extern "C" fn resume(raw: *mut bindings::xenbus_device) -> c_int {
        // SAFETY: As for `suspend`; the bus has read the new other end before.
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

    unsafe extern "C" fn is_ready(raw: *mut bindings::xenbus_device) -> c_int {
        // The bus asks without a lock, so the device might be removed at the same time; its lock
        // keeps it bound. Whoever holds the lock now is probing or removing: not ready.
        // SAFETY: The bus holds a reference to the device.
        let generic = unsafe { &raw mut (*raw).dev };
        // SAFETY: As above.
        if !unsafe { bindings::xen_rs_device_trylock(generic) } {
            return 0;
        }
        // SAFETY: As above. Data is set while the device is bound to this driver.
        let bound = unsafe {
            !kernel::bindings::dev_get_drvdata(generic).is_null() && !(*generic).driver.is_null()
        };
        let ready = bound && {
            // SAFETY: The device is bound, and stays so while it is locked.
            let (dev, data) = unsafe { (Device::<Bound>::from_raw(raw), Self::data(raw)) };
            T::is_ready(data, dev)
        };
        // SAFETY: It was locked above.
        unsafe { bindings::xen_rs_device_unlock(generic) };
        ready.into()
    }

    unsafe extern "C" fn reclaim_memory(raw: *mut bindings::xenbus_device) {
        // SAFETY: The bus calls this with a reference to the device, and with the semaphore held that
        // it also holds around `probe` and `remove`; only the data may be missing.
        let (dev, data) = unsafe {
            let data = kernel::bindings::dev_get_drvdata(&raw mut (*raw).dev);
            (Device::from_raw(raw), data)
        };
        if !data.is_null() {
            // SAFETY: `probe` has set it, and `remove` takes it out before it releases it.
            T::reclaim_memory(unsafe { <T::Data as ForeignOwnable>::borrow(data) }, dev);
        }
    }
}

#[pinned_drop]
impl<T: Driver> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant.
        unsafe { bindings::xenbus_unregister_driver(self.raw.get()) }
    }
}

/// Makes a module of a front-end driver: takes `type:` the driver, and the other fields of `module!`.
#[macro_export]
macro_rules! module_xenbus_frontend {
    (type: $type:ty, $($fields:tt)*) => {
        #[::kernel::prelude::pin_data]
        struct DriverModule {
            #[pin]
            _driver: $crate::bus::Registration<$type>,
        }

        impl ::kernel::InPlaceModule for DriverModule {
            fn init(
                module: &'static ::kernel::ThisModule,
            ) -> impl ::pin_init::PinInit<Self, ::kernel::error::Error> {
                ::kernel::try_pin_init!(Self {
                    _driver <- $crate::bus::Registration::new(
                        $crate::bus::Side::Front,
                        <Self as ::kernel::ModuleMetadata>::NAME,
                        module,
                    ),
                })
            }
        }

        ::kernel::prelude::module! {
            type: DriverModule,
            $($fields)*
        }
    };
}
