// SPDX-License-Identifier: GPL-2.0

//! References to the module of this crate, for callbacks that the kernel calls at a time of its
//! own.
//!
//! A callback that puts the last reference may be running in a module that is being unloaded. So a
//! work item puts references a moment later, and unloading waits for it.

use core::{
    mem,
    ptr,
    time::Duration, //
};

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

/// Delay between dropping a reference and putting it, in which the callback returns.
const LATER: Duration = Duration::from_millis(1);

/// Number of references that were dropped and not put yet.
static DROPPED: Atomic<usize> = Atomic::new(0);

/// The worker that puts them, while the module is loaded.
static PUTTER: Atomic<*mut Worker<Put>> = Atomic::new(ptr::null_mut());

/// A reference to the module of this crate, which stays loaded as long as this exists. May be
/// dropped in any context.
pub struct OwnModule(());

impl OwnModule {
    /// Gets a reference. To be called for a user of this crate, so that the module is not being
    /// unloaded. Any context.
    pub fn get() -> Self {
        // SAFETY: The shim has no requirements. It cannot fail, since a user of the module exists.
        let _ = unsafe { bindings::xen_rs_module_get() };
        Self(())
    }

    /// Gives the reference to a callback, which takes it by [`recall`](Self::recall).
    pub fn leave(self) {
        mem::forget(self);
    }

    /// Takes a reference that was given to a callback.
    ///
    /// # Safety
    ///
    /// A reference was given by [`leave`](Self::leave) and not taken yet.
    pub unsafe fn recall() -> Self {
        Self(())
    }
}

impl Drop for OwnModule {
    fn drop(&mut self) {
        DROPPED.add(1, Relaxed);
        // SAFETY: The worker exists as long as the module is loaded, which it is until this
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
            // SAFETY: An `OwnModule` got this reference. The module waits for this job before it is
            // unloaded.
            unsafe { bindings::xen_rs_module_put() };
        }
        None
    }
}

/// Puts references. To be kept by the module, and dropped when it is unloaded.
pub struct OwnModulePutter {
    _worker: Pin<KBox<Worker<Put>>>,
}

impl OwnModulePutter {
    /// Starts the worker. To be called once, when the module is loaded. May sleep.
    pub fn start() -> Result<Self> {
        let worker = KBox::pin_init(new_worker!(Put), GFP_KERNEL)?;
        PUTTER.store(ptr::from_ref(&*worker).cast_mut(), Release);
        Ok(Self { _worker: worker })
    }
}

impl Drop for OwnModulePutter {
    fn drop(&mut self) {
        // There is no reference any more. Dropping the field waits for the job that put the last
        // one.
        PUTTER.store(ptr::null_mut(), Relaxed);
    }
}
