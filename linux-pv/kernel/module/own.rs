// SPDX-License-Identifier: GPL-2.0

//! References to the module that this crate is part of, for what the kernel calls back at a time of its
//! own.
//!
//! Who drops a reference in such a callback runs in the module that may then be unloaded. So references
//! are put by a work item a moment later, for which unloading waits.

use core::{mem, ptr, time::Duration};

use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
};
use xen_bindings as bindings;

use crate::work::{
    new_worker,
    Job,
    Worker, //
};

/// When a reference is put after it was dropped: the callback has long returned by then.
const LATER: Duration = Duration::from_millis(1);

/// References that were dropped and not put.
static DROPPED: Atomic<usize> = Atomic::new(0);

/// What puts them, while the module is loaded.
static PUTTER: Atomic<*mut Worker<Put>> = Atomic::new(ptr::null_mut());

/// A reference to the module that this crate is part of, which stays loaded as long as this exists and a
/// moment longer. May be dropped in any context.
pub struct OwnModule(());

impl OwnModule {
    /// Takes a reference. To be called on behalf of a user of this crate: then the module is not being
    /// unloaded. Any context.
    pub fn get() -> Self {
        // SAFETY: The shim takes nothing. It cannot fail, since a user of the module is loaded.
        let _ = unsafe { bindings::xen_rs_module_get() };
        Self(())
    }

    /// Leaves the reference to a callback, which gets it by [`recall`](Self::recall).
    pub fn leave(self) {
        mem::forget(self);
    }

    /// The reference that was left to a callback.
    ///
    /// # Safety
    ///
    /// A reference was [left](Self::leave) and not recalled.
    pub unsafe fn recall() -> Self {
        Self(())
    }
}

impl Drop for OwnModule {
    fn drop(&mut self) {
        DROPPED.add(1, Relaxed);
        // SAFETY: The worker is there as long as the module is loaded, which it is until this
        // reference is put.
        let putter = unsafe { PUTTER.load(Acquire).as_ref() };
        if let Some(putter) = putter {
            // SAFETY: The worker was pinned before its address was published.
            unsafe { Pin::new_unchecked(putter) }.schedule_once(LATER);
        }
    }
}

struct Put;

impl Job for Put {
    fn run(&self) -> Option<Duration> {
        for _ in 0..DROPPED.xchg(0, Relaxed) {
            // SAFETY: An `OwnModule` has taken this reference. Before the module goes it waits for this
            // job.
            unsafe { bindings::xen_rs_module_put() };
        }
        None
    }
}

/// What puts references. To be kept by the module, and dropped when it is unloaded.
pub struct OwnModulePutter {
    _worker: Pin<KBox<Worker<Put>>>,
}

impl OwnModulePutter {
    /// To be called once, when the module is loaded. May sleep.
    pub fn start() -> Result<Self> {
        let worker = KBox::pin_init(new_worker!(Put), GFP_KERNEL)?;
        PUTTER.store(ptr::from_ref(&*worker).cast_mut(), Release);
        Ok(Self { _worker: worker })
    }
}

impl Drop for OwnModulePutter {
    fn drop(&mut self) {
        // Nobody has a reference. The field's drop waits for the job that has put the last one.
        PUTTER.store(ptr::null_mut(), Relaxed);
    }
}
