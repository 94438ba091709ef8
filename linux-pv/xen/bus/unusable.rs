// SPDX-License-Identifier: GPL-2.0

//! Devices that their driver has failed to use, and is unbound from.
//!
//! A bound device keeps its driver's module loaded. One that never worked would do so for nothing,
//! until it is detached. It is unbound by a work item of this module, since unbinding waits for the
//! driver's callbacks and work items.

use core::time::Duration;

use kernel::{
    bindings as k,
    prelude::*,
    sync::aref::ARef, //
};

use kernel_ext::work::{
    new_worker,
    Job,
    Worker, //
};

use super::Device;

/// A device to be unbound from its driver.
struct Unusable {
    dev: ARef<Device>,
    /// The driver's module, which is referenced, or null.
    module: *mut k::module,
    next: Option<KBox<Unusable>>,
}

// SAFETY: The reference to the module may be put by any thread.
unsafe impl Send for Unusable {}

/// The devices, and what unbinds them.
struct List {
    first: Option<KBox<Unusable>>,
    worker: Option<Pin<KBox<Worker<Unbind>>>>,
}

kernel::sync::global_lock! {
    // SAFETY: `Unbinder::start` initialises it, which is called before anything is put in.
    unsafe(uninit) static LIST: Mutex<List> = List { first: None, worker: None };
}

/// Has the device unbound from its driver, which belongs to `module`. May sleep. If that is not
/// possible, the device stays bound.
///
/// # Safety
///
/// `module` is the driver's module, or null, and the caller runs in one of the driver's callbacks.
pub(super) unsafe fn unbind_later(dev: &Device, module: *mut k::module) {
    let entry = Unusable {
        dev: ARef::from(dev),
        module,
        next: None,
    };
    let Ok(mut entry) = KBox::new(entry, GFP_KERNEL) else {
        return;
    };
    // SAFETY: By the requirement of this function the module is loaded, since it is being called.
    if !unsafe { k::try_module_get(module) } {
        // It is being unloaded, which unbinds all devices.
        return;
    }
    let mut list = LIST.lock();
    entry.next = list.first.take();
    list.first = Some(entry);
    if let Some(worker) = &list.worker {
        worker.as_ref().schedule(Duration::ZERO);
    }
}

struct Unbind;

impl Job for Unbind {
    fn run(&self) -> Option<Duration> {
        let mut all = LIST.lock().first.take();
        while let Some(mut entry) = all {
            all = entry.next.take();
            // Unbinding holds the device's lock and waits for the xenwatch thread. If that thread
            // removes the device at the same time, it waits for the lock: such a device must not be
            // unbound here.
            // FIXME: The folder may go right after this. To unbind in the xenwatch thread, by the
            // first event of a watch of its own, would leave no such moment.
            let exists = entry.dev.node().exists(c"state");
            if exists.is_ok_and(|exists| exists) {
                entry.dev.unbind();
            }
            // SAFETY: `unbind_later` got this reference.
            unsafe { k::module_put(entry.module) };
        }
        None
    }
}

/// What unbinds devices. Dropped, it stops. There is no device left then: drivers' modules, which
/// the devices in the list have referenced, keep this one loaded.
pub(crate) struct Unbinder(());

impl Unbinder {
    /// To be called once, when this module is loaded. May sleep.
    pub(crate) fn start() -> Result<Self> {
        // SAFETY: Called once, and before the lock is used.
        unsafe { LIST.init() };
        let worker = KBox::pin_init(new_worker!(Unbind), GFP_KERNEL)?;
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
