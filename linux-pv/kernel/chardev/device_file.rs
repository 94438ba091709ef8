// SPDX-License-Identifier: GPL-2.0

//! The device file itself: a static with the callbacks, and its registration.

use core::marker::{PhantomData, PhantomPinned};
use core::ptr;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::atomic::{Acquire, Atomic, Relaxed, Release};
use kernel::sync::{rcu, Arc, ArcBorrow};
use kernel::types::Opaque;

use super::operations::Callbacks;
use super::OpenFile;

/// A device file, as a static that [`device_file!`](crate::device_file) makes. It can be opened while a
/// [`Registration`] of it exists.
///
/// # Invariants
///
/// - `operations` come first and never change: an open file points there, and so to this value.
/// - `shared` is null, or made from an `Arc` that whoever sets it to null drops, after all RCU readers who
///   may have seen it are done.
#[repr(C)]
pub struct DeviceFile<T: OpenFile> {
    operations: k::file_operations,
    shared: Atomic<*mut T::Shared>,
}

// SAFETY: `operations` are only read; the rest is atomic, and leads to an `Arc` of what is `Send` and
// `Sync`.
unsafe impl<T: OpenFile> Sync for DeviceFile<T> {}

/// Makes a static [`DeviceFile`](crate::chardev::DeviceFile): `device_file!(static FILE: OpenFile);`.
/// With `device_file!(exported static symbol: OpenFile);` it has a C name, a `struct file_operations` to
/// C code, which a C file of the driver may export to other modules.
#[macro_export]
macro_rules! device_file {
    (static $name:ident: $file:ty) => {
        $crate::in_module!($file);
        static $name: $crate::chardev::DeviceFile<$file> = $crate::chardev::DeviceFile::new();
    };
    (exported static $name:ident: $file:ty) => {
        $crate::in_module!($file);
        #[no_mangle]
        #[allow(non_upper_case_globals)]
        pub(crate) static $name: $crate::chardev::DeviceFile<$file> =
            $crate::chardev::DeviceFile::new();
    };
}

impl<T: OpenFile> DeviceFile<T> {
    /// Used through [`device_file!`](crate::device_file).
    #[doc(hidden)]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            operations: Callbacks::<T>::table(),
            shared: Atomic::new(ptr::null_mut()),
        }
    }

    /// What the files share, while the device file is registered.
    pub(super) fn shared(&self) -> Option<Arc<T::Shared>> {
        let _guard = rcu::read_lock();
        let shared = self.shared.load(Acquire);
        if shared.is_null() {
            return None;
        }
        // SAFETY: By the type invariant the `Arc` is not dropped before this RCU reader is done.
        Some(unsafe { ArcBorrow::from_raw(shared) }.into())
    }

    fn publish(&self, shared: Arc<T::Shared>) -> Result {
        let new = Arc::into_raw(shared).cast_mut();
        let null = ptr::null_mut();
        // INVARIANT: The pointer is made from an `Arc`.
        let set = self.shared.cmpxchg(null, new, Release);
        if set.is_err() {
            // SAFETY: Made from an `Arc` above, and nobody else has seen it.
            drop(unsafe { Arc::from_raw(new) });
            return Err(EBUSY);
        }
        Ok(())
    }

    fn withdraw(&self) {
        let shared = self.shared.xchg(ptr::null_mut(), Relaxed);
        // SAFETY: May sleep; drivers register and deregister in process context.
        unsafe { k::synchronize_rcu() };
        if !shared.is_null() {
            // SAFETY: By the type invariant this is ours to drop, and all readers are done.
            drop(unsafe { Arc::from_raw(shared) });
        }
    }
}

/// A device file that exists in `/dev`. Dropping this removes it; files that are open stay so.
///
/// # Invariants
///
/// `device` is registered and `device_file` published by this value.
#[pin_data(PinnedDrop)]
pub struct Registration<T: OpenFile> {
    device_file: &'static DeviceFile<T>,
    #[pin]
    device: Opaque<k::miscdevice>,
    _file: PhantomData<T>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: Deregistering may be done by any task, and nothing else is.
unsafe impl<T: OpenFile> Send for Registration<T> {}
// SAFETY: There is nothing to do with a reference.
unsafe impl<T: OpenFile> Sync for Registration<T> {}

impl<T: OpenFile> Registration<T> {
    /// Makes the device file `/dev/NAME`, for root only, as a miscellaneous device. May sleep. `rival` is the module of the C driver
    /// that makes a file of the same name.
    ///
    /// # Errors
    ///
    /// `EBUSY` if this device file is registered already, `EEXIST` if another driver has one of this name, which the log says.
    pub fn new(
        device_file: &'static DeviceFile<T>,
        name: &'static CStr,
        rival: &'static str,
        shared: Arc<T::Shared>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            device_file,
            device <- Opaque::try_ffi_init(move |slot: *mut k::miscdevice| {
                device_file.publish(shared)?;
                let device = k::miscdevice {
                    minor: k::MISC_DYNAMIC_MINOR as i32,
                    name: name.as_char_ptr(),
                    fops: &raw const device_file.operations,
                    ..pin_init::zeroed()
                };
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(device) };
                // SAFETY: What the device points at is static, and the device itself pinned until it is
                // deregistered.
                let registered = to_result(unsafe { k::misc_register(slot) });
                if let Err(error) = registered {
                    device_file.withdraw();
                    if error == EEXIST {
                        let name = name.to_str().unwrap_or_default();
                        pr_err!("there is a /dev/{} already: is the C driver {} loaded?\n", name, rival);
                    }
                }
                registered
            }),
            _file: PhantomData,
            _pin: PhantomPinned,
        })
    }
}

#[pinned_drop]
impl<T: OpenFile> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered.
        unsafe { k::misc_deregister(self.device.get()) };
        self.device_file.withdraw();
    }
}
