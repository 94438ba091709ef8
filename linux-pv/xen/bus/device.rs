// SPDX-License-Identifier: GPL-2.0

//! Devices on the xenbus.

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
    time::Duration, //
};

use kernel::{
    ffi::c_void,
    fmt,
    prelude::*,
    sync::aref::AlwaysRefCounted,
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

use xen_bindings as bindings;

use crate::domain::DomId;

use super::{
    state_of,
    Answer,
    Dir,
    Failure,
    State, //
};

/// Context of a device that exists: there is a reference to it.
pub struct Normal;

/// Context of a device in one of its driver's callbacks: the driver is bound, and the bus does not
/// change the other end.
pub struct Bound;

/// The frontend of a device on the xenbus (`struct xenbus_device`).
///
/// `ARef<Device>` keeps one for longer than a callback. What a [`Device<Bound>`] can do beyond that
/// needs to be in a callback of the driver.
///
/// # Invariants
///
/// The value is a `struct xenbus_device` that the bus has initialised, and that lives as long as it
/// has a reference.
#[repr(transparent)]
pub struct Device<Ctx = Normal>(Opaque<bindings::xenbus_device>, PhantomData<fn() -> Ctx>);

// SAFETY: A device is reference-counted, and may be released by any thread.
unsafe impl<Ctx> Send for Device<Ctx> {}
// SAFETY: What is reachable through a shared reference is either constant or protected by C.
unsafe impl<Ctx> Sync for Device<Ctx> {}

// SAFETY: The embedded `struct device` counts the references, and frees the device with the last.
unsafe impl AlwaysRefCounted for Device {
    fn inc_ref(&self) {
        // SAFETY: The existence of `&self` shows that there is a reference.
        unsafe { kernel::bindings::get_device(self.generic()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference, so the device is valid.
        unsafe {
            let generic = &raw mut (*obj.cast::<bindings::xenbus_device>().as_ptr()).dev;
            kernel::bindings::put_device(generic);
        }
    }
}

impl Deref for Device<Bound> {
    type Target = Device;

    fn deref(&self) -> &Device {
        // SAFETY: The layout is the same, and `Normal` promises less.
        unsafe { &*ptr::from_ref(self).cast::<Device>() }
    }
}

impl<Ctx> AsRef<kernel::device::Device> for Device<Ctx> {
    fn as_ref(&self) -> &kernel::device::Device {
        // SAFETY: The embedded device lives as long as `self`.
        unsafe { kernel::device::Device::from_raw(self.generic()) }
    }
}

impl<Ctx> Device<Ctx> {
    /// # Safety
    ///
    /// `raw` is a valid device of the bus for as long as `'a`, and what `Ctx` promises holds.
    pub(super) unsafe fn from_raw<'a>(raw: *mut bindings::xenbus_device) -> &'a Self {
        // SAFETY: By the requirements of this function; the type is transparent.
        unsafe { &*raw.cast::<Self>() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::xenbus_device {
        self.0.get()
    }

    fn generic(&self) -> *mut kernel::bindings::device {
        // SAFETY: By the type invariant the device is valid; only an address is computed.
        unsafe { &raw mut (*self.as_raw()).dev }
    }

    /// Our folder in the xenstore, relative to our domain's: `device/vbd/51712`.
    pub fn nodename(&self) -> &CStr {
        // SAFETY: By the type invariant the device is valid. The name is in the same allocation,
        // and does not change.
        unsafe { CStr::from_char_ptr((*self.as_raw()).nodename) }
    }

    /// Our folder in the xenstore.
    pub fn node(&self) -> Dir<'_> {
        Dir::new(self.nodename())
    }

    /// The device's number among those of its kind in the domain, if its folder is called like one.
    pub fn number(&self) -> Option<u64> {
        let name = self
            .nodename()
            .to_bytes()
            .rsplit(|byte| *byte == b'/')
            .next();
        name.and_then(xen_ring::xenstore::number::decimal)
    }

    /// The state we have published last.
    pub fn state(&self) -> State {
        // SAFETY: By the type invariant the device is valid. The access is volatile, since the bus
        // changes the field without a lock.
        state_of(unsafe { (&raw const (*self.as_raw()).state).read_volatile() })
    }

    /// Publishes a state, unless it is the present one. May sleep. Trouble with the xenstore shows
    /// in the log and there; C does not report it either.
    pub fn switch_state(&self, state: State) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { bindings::xenbus_switch_state(self.as_raw(), state.number()) };
    }

    /// Publishes that we are closed, and lets shutdown go on that waits for it. May sleep.
    pub fn frontend_closed(&self) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { bindings::xenbus_frontend_closed(self.as_raw()) };
    }

    /// Unbinds the device from its driver, if it has one. May sleep; not in a callback of the
    /// driver.
    pub(super) fn unbind(&self) {
        // SAFETY: By the type invariant the device is valid. The function takes its lock.
        unsafe { kernel::bindings::device_release_driver(self.generic()) };
    }

    /// Whether the device's folder was removed under us (`xl block-detach --force`, or by mistake).
    pub fn has_vanished(&self) -> bool {
        // SAFETY: By the type invariant the device is valid. The access is volatile, since the bus
        // sets the field, a C `bool`, without a lock.
        unsafe { (&raw const (*self.as_raw()).vanished).read_volatile() }
    }

    /// Logs a message and puts it into the xenstore. May sleep.
    pub fn error(&self, errno: Error, message: fmt::Arguments<'_>) {
        // SAFETY: By the type invariant the device is valid. `%pA` is the conversion for a pointer
        // to `fmt::Arguments`.
        unsafe {
            bindings::xenbus_dev_error(
                self.as_raw(),
                errno.to_errno(),
                c"%pA".as_char_ptr(),
                ptr::from_ref(&message).cast::<c_void>(),
            )
        }
    }

    /// Logs a message, puts it into the xenstore and the device into state Closing. May sleep.
    pub fn fatal(&self, errno: Error, message: fmt::Arguments<'_>) {
        // SAFETY: By the type invariant the device is valid. `%pA` is the conversion for a pointer
        // to `fmt::Arguments`.
        unsafe {
            bindings::xenbus_dev_fatal(
                self.as_raw(),
                errno.to_errno(),
                c"%pA".as_char_ptr(),
                ptr::from_ref(&message).cast::<c_void>(),
            )
        }
    }

    /// Gives the answer that a failure calls for. May sleep.
    pub fn answer(&self, failure: &Failure) {
        match failure.answer() {
            Answer::Silent => (),
            Answer::Error => self.error(failure.errno(), fmt!("{}", failure)),
            Answer::Fatal => self.fatal(failure.errno(), fmt!("{}", failure)),
        }
    }
}

impl Device<Bound> {
    /// The domain of the other end.
    pub fn otherend_id(&self) -> DomId {
        // SAFETY: By the type invariant the device is valid. The field is only written while no
        // callback runs. It fits: `probe` is not called unless it is the number of a domain.
        DomId::new(unsafe { (*self.as_raw()).otherend_id } as u16)
    }

    /// The other end's folder in the xenstore: `/local/domain/0/backend/vbd/1/51712`. Empty if the
    /// bus could not find it after the domain was restored; the device can only be removed then.
    pub fn otherend(&self) -> &CStr {
        // SAFETY: By the type invariant the device is valid. The pointer is only written while no
        // callback runs.
        let path = unsafe { (*self.as_raw()).otherend };
        if path.is_null() {
            return c"";
        }
        // SAFETY: The path is a string, which is not freed while a callback runs.
        unsafe { CStr::from_char_ptr(path) }
    }

    /// The other end's folder in the xenstore.
    pub fn otherend_node(&self) -> Dir<'_> {
        Dir::new(self.otherend())
    }

    /// The other end's state. May sleep.
    pub fn otherend_state(&self) -> State {
        // SAFETY: By the type invariant the device is valid; the path is a string.
        let state = unsafe {
            bindings::xenbus_read_driver_state(self.as_raw(), self.otherend().as_char_ptr())
        };
        state_of(state)
    }

    /// Waits while `busy` returns `true` for the other end's state, at most for `timeout`. Sleeps.
    pub(super) fn wait_while(&self, timeout: Duration, busy: impl Fn(State) -> bool) {
        const POLL_INTERVAL: Duration = Duration::from_millis(10);
        let mut left = timeout;
        while busy(self.otherend_state()) && !left.is_zero() {
            fsleep(Delta::from_millis(POLL_INTERVAL.as_millis() as i64));
            left = left.saturating_sub(POLL_INTERVAL);
        }
    }

    /// Whether the other end's id is the number of a domain.
    pub(super) fn has_valid_otherend(&self) -> bool {
        const FIRST_RESERVED: i32 = 0x7ff0;
        // SAFETY: By the type invariant the device is valid. The field is only written while no
        // callback runs.
        (0..FIRST_RESERVED).contains(&unsafe { (*self.as_raw()).otherend_id })
    }
}
