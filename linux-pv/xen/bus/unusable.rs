// SPDX-License-Identifier: GPL-2.0

//! Devices that their driver has failed to use, and is unbound from.
//!
//! A bound device keeps its driver's module loaded. One that never worked would do so for nothing,
//! until it is detached.
//!
//! Unbinding holds the device's lock, and waits until the xenwatch thread is in none of the
//! device's watches. That thread waits for the lock when it removes a device that the toolstack
//! takes away. So nobody but the xenwatch thread itself can unbind without a moment in which the
//! two wait for each other for ever. It comes by here because a device to be unbound gets a watch
//! of its own: xenstored answers each new watch with an event.

use core::{
    ptr,
    time::Duration, //
};

use kernel::{
    bindings as k,
    ffi::c_char,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        }, //
    },
    types::Opaque, //
};

use kernel_ext::work::{
    new_worker,
    Job,
    Worker, //
};

use xen_bindings as bindings;

use super::Device;

/// A device to be unbound from its driver.
///
/// # Invariants
///
/// `watch` is registered from `unbind_later` until `Release` has taken the value from [`LIST`].
struct Unusable {
    watch: Opaque<bindings::xenbus_watch>,
    dev: ARef<Device>,
    /// The driver's module, which is referenced, or null.
    module: *mut k::module,
    /// Whether the first event has come.
    unbound: Atomic<bool>,
    /// The next one in the list, whose lock protects it.
    next: Atomic<*mut Unusable>,
}

/// Devices that are unbound, whose watches are to be unregistered, and what does that.
struct List {
    first: *mut Unusable,
    worker: Option<Pin<KBox<Worker<Release>>>>,
}

// SAFETY: The pointers own what they point to, the reference to a module may be put by any thread,
// and so may that to a device.
unsafe impl Send for List {}

kernel::sync::global_lock! {
    // SAFETY: `Unbinder::start` initialises it, which is called before anything is put in.
    unsafe(uninit) static LIST: Mutex<List> = List { first: ptr::null_mut(), worker: None };
}

/// Has the device unbound from its driver, which belongs to `module`. May sleep. If that is not
/// possible, the device stays bound.
///
/// # Safety
///
/// `module` is the driver's module, or null, and the caller runs in one of the driver's callbacks.
pub(super) unsafe fn unbind_later(dev: &Device, module: *mut k::module) {
    let watch = bindings::xenbus_watch {
        // The name lives as long as the device, to which there is a reference.
        node: dev.nodename().as_char_ptr(),
        callback: Some(unbind),
        ..Default::default()
    };
    let entry = Unusable {
        watch: Opaque::new(watch),
        dev: ARef::from(dev),
        module,
        unbound: Atomic::new(false),
        next: Atomic::new(ptr::null_mut()),
    };
    let Ok(entry) = KBox::new(entry, GFP_KERNEL) else {
        return;
    };
    // SAFETY: By the requirement of this function the module is loaded, since it is being called.
    if !unsafe { k::try_module_get(module) } {
        // It is being unloaded, which unbinds all devices.
        return;
    }
    let entry = KBox::into_raw(entry);
    // SAFETY: The watch is initialised, and stays where it is until it is unregistered. If it could
    // be registered, the entry may be gone already.
    let refused = unsafe { bindings::register_xenbus_watch((*entry).watch.get()) } != 0;
    if refused {
        // SAFETY: The pointer is from `into_raw`, and there is no event of a watch that was not
        // registered. The reference is from above.
        unsafe {
            drop(KBox::from_raw(entry));
            k::module_put(module);
        }
    }
}

/// An event of the watch.
///
/// # Safety
///
/// Called by the xenwatch thread with the watch of an [`Unusable`], while it is registered.
unsafe extern "C" fn unbind(
    watch: *mut bindings::xenbus_watch,
    _path: *const c_char,
    _token: *const c_char,
) {
    // SAFETY: By the requirement of this function. `Release` frees the entry once the watch is
    // unregistered, which waits for this.
    let (entry, this) = unsafe {
        let watch = Opaque::cast_from(watch);
        let entry = kernel::container_of!(watch, Unusable, watch).cast_mut();
        (entry, &*entry)
    };
    // Whatever changes in the device's folder is an event too.
    if this.unbound.xchg(true, Relaxed) {
        return;
    }
    this.dev.unbind();
    let mut list = LIST.lock();
    this.next.store(list.first, Relaxed);
    list.first = entry;
    if let Some(worker) = &list.worker {
        worker.as_ref().schedule(Duration::ZERO);
    }
}

/// Unregisters the watches and gives the references back. Not done in the xenwatch thread: when
/// this has waited for it there, it has left the code of this module, which may be unloaded.
struct Release;

impl Job for Release {
    fn run(&self) -> Option<Duration> {
        let mut first = core::mem::replace(&mut LIST.lock().first, ptr::null_mut());
        while !first.is_null() {
            // SAFETY: `unbind` has put the entry into the list, once. Its watch is registered, and
            // after that nothing has a pointer to it.
            let entry = unsafe {
                bindings::unregister_xenbus_watch((*first).watch.get());
                KBox::from_raw(first)
            };
            first = entry.next.load(Relaxed);
            let module = entry.module;
            drop(entry);
            // SAFETY: `unbind_later` got this reference.
            unsafe { k::module_put(module) };
        }
        None
    }
}

/// What releases devices that were unbound. Dropped, it stops. There is no such device left then:
/// drivers' modules, which each of them has referenced, keep this one loaded.
pub(crate) struct Unbinder(());

impl Unbinder {
    /// To be called once, when this module is loaded. May sleep.
    pub(crate) fn start() -> Result<Self> {
        // SAFETY: Called once, and before the lock is used.
        unsafe { LIST.init() };
        let worker = KBox::pin_init(new_worker!(Release), GFP_KERNEL)?;
        LIST.lock().worker = Some(worker);
        Ok(Self(()))
    }
}

impl Drop for Unbinder {
    fn drop(&mut self) {
        let worker = LIST.lock().worker.take();
        // This waits for the job, which takes the lock.
        drop(worker);
    }
}
