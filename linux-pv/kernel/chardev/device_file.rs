// SPDX-License-Identifier: GPL-2.0

//! A device file: a static with its callbacks, and its registration.

use core::{
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    ptr, //
};

use kernel::{
    bindings as k,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

use super::{
    operations::Callbacks,
    OpenFile, //
};

/// A device file, a static made by [`device_file!`](crate::device_file). It can be opened while a
/// [`Registration`] of it exists.
///
/// # Invariants
///
/// - `operations` is the first field and never changes: open files point to it, and so to this
///   value.
/// - `shared` is null, or made from an `Arc`. The thread that sets it to null drops the `Arc`,
///   after an RCU grace period.
#[repr(C)]
pub struct DeviceFile<T: OpenFile> {
    operations: k::file_operations,
    shared: Atomic<*mut T::Shared>,
}

// SAFETY: `operations` is only read; `shared` is atomic, and made from an `Arc` of a type that is
// `Send` and `Sync`.
unsafe impl<T: OpenFile> Sync for DeviceFile<T> {}

/// Makes a static [`DeviceFile`](crate::chardev::DeviceFile): `device_file!(static FILE:
/// OpenFile);`. With `device_file!(exported static symbol: OpenFile);` it has a C name, and is a
/// `struct file_operations` to C code, which a C file of the driver may export to other modules.
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
    /// For [`device_file!`](crate::device_file).
    #[doc(hidden)]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            operations: Callbacks::<T>::table(),
            shared: Atomic::new(ptr::null_mut()),
        }
    }

    /// The data that all open files share, while the device file is registered.
    pub(super) fn shared(&self) -> Option<Arc<T::Shared>> {
        let _guard = rcu::read_lock();
        let shared = self.shared.load(Acquire);
        if shared.is_null() {
            return None;
        }
        // SAFETY: By the type invariant the `Arc` is not dropped during this RCU read section.
        Some(unsafe { ArcBorrow::from_raw(shared) }.into())
    }

    fn publish(&self, shared: Arc<T::Shared>) -> Result {
        let new = Arc::into_raw(shared).cast_mut();
        let null = ptr::null_mut();
        // INVARIANT: The pointer is made from an `Arc`.
        let set = self.shared.cmpxchg(null, new, Release);
        if set.is_err() {
            // SAFETY: Made from an `Arc` above, and not published.
            drop(unsafe { Arc::from_raw(new) });
            return Err(EBUSY);
        }
        Ok(())
    }

    fn withdraw(&self) {
        let shared = self.shared.xchg(ptr::null_mut(), Relaxed);
        // SAFETY: May sleep, as registering and deregistering do.
        unsafe { k::synchronize_rcu() };
        if !shared.is_null() {
            // SAFETY: By the type invariant this is made from an `Arc`, which is to be dropped
            // here, after the grace period.
            drop(unsafe { Arc::from_raw(shared) });
        }
    }
}

/// A device file in `/dev`. Dropping this removes it; open files stay open.
///
/// # Invariants
///
/// This value has registered `device` and published `device_file`.
#[pin_data(PinnedDrop)]
pub struct Registration<T: OpenFile> {
    device_file: &'static DeviceFile<T>,
    #[pin]
    device: Opaque<k::miscdevice>,
    _file: PhantomData<T>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: Any task may deregister the device.
unsafe impl<T: OpenFile> Send for Registration<T> {}
// SAFETY: A reference gives access to nothing.
unsafe impl<T: OpenFile> Sync for Registration<T> {}

impl<T: OpenFile> Registration<T> {
    /// Makes the device file `/dev/NAME`, for root only, as a miscellaneous device. May sleep.
    /// `rival` is the module of the C driver that makes a file of the same name.
    ///
    /// # Errors
    ///
    /// `EBUSY` if this device file is registered already; `EEXIST` if another driver has one of
    /// this name, which is logged.
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
                // SAFETY: The device points to statics, and is itself pinned until it is
                // deregistered.
                let registered = to_result(unsafe { k::misc_register(slot) });
                if let Err(error) = registered {
                    device_file.withdraw();
                    if error == EEXIST {
                        let name = name.to_str().unwrap_or_default();
                        pr_err!(
                            "there is a /dev/{} already: is the C driver {} loaded?\n",
                            name,
                            rival
                        );
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
        // SAFETY: By the type invariant the device is registered.
        unsafe { k::misc_deregister(self.device.get()) };
        self.device_file.withdraw();
    }
}
