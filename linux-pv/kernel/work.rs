// SPDX-License-Identifier: GPL-2.0

//! Work items that end with their owner.
//!
//! The kernel's own Rust work items keep their data alive while they are queued, but cannot be
//! cancelled or waited for, so a module could be unloaded while one runs. Dropping a [`Worker`]
//! cancels its work item and waits until it has returned.

use core::{
    marker::PhantomPinned,
    time::Duration, //
};

use kernel::{
    bindings as k,
    prelude::*,
    sync::LockClassKey,
    time::msecs_to_jiffies,
    types::Opaque, //
};

/// The function of a [`Worker`].
pub trait Job: Send + Sync + 'static {
    /// Runs in process context, and not concurrently with itself. May sleep. Returns the delay
    /// after which it runs again, if it is to.
    fn run(&self) -> Option<Duration>;
}

/// A [`Job`] that can be scheduled on the kernel's freezable work queue, which is stopped while the
/// system is suspended.
///
/// # Invariants
///
/// `work` is initialised with the function `call`, does not move, and is idle when it is freed.
#[pin_data(PinnedDrop)]
pub struct Worker<J: Job> {
    #[pin]
    work: Opaque<k::delayed_work>,
    job: J,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: Work items may be used from any task; `J` is `Send` and `Sync`.
unsafe impl<J: Job> Send for Worker<J> {}
// SAFETY: Work items may be used from any task; `J` is `Send` and `Sync`.
unsafe impl<J: Job> Sync for Worker<J> {}

/// Makes an initialiser of a [`Worker`](crate::work::Worker); every use is a lock class of its own.
#[macro_export]
macro_rules! new_worker {
    ($job:expr) => {
        $crate::work::Worker::new(
            $job,
            ::kernel::static_lock_class!(),
            ::kernel::static_lock_class!(),
        )
    };
}
pub use new_worker;

impl<J: Job> Worker<J> {
    /// Used through [`new_worker!`].
    #[doc(hidden)]
    pub fn new(
        job: J,
        work_key: Pin<&'static LockClassKey>,
        timer_key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            work <- Opaque::ffi_init(move |slot: *mut k::delayed_work| {
                // SAFETY: `slot` is valid for writes; only addresses of fields are computed.
                let (work, timer) = unsafe { (&raw mut (*slot).work, &raw mut (*slot).timer) };
                // SAFETY: The field is valid for writes, and the key is static.
                unsafe {
                    k::init_work_with_key(
                        work,
                        Some(Self::call),
                        false,
                        c"xen::work".as_char_ptr(),
                        work_key.as_ptr(),
                    )
                };
                // SAFETY: The field is valid for writes, the key is static, and the timer is in a
                // delayed work item, as its function requires.
                unsafe {
                    k::timer_init_key(
                        timer,
                        Some(k::delayed_work_timer_fn),
                        k::TIMER_IRQSAFE,
                        c"xen::work timer".as_char_ptr(),
                        timer_key.as_ptr(),
                    )
                };
            }),
            job,
            _pin: PhantomPinned,
        })
    }

    /// Schedules the job after `delay`; changes the time if it was scheduled already. Any context.
    pub fn schedule(self: Pin<&Self>, delay: Duration) {
        // SAFETY: By the type invariant the item is initialised, does not move, and is idle when it
        // is freed.
        unsafe {
            k::mod_delayed_work_on(
                k::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                k::system_freezable_wq,
                self.work.get(),
                jiffies(delay),
            )
        };
    }

    /// Schedules the job after `delay`, unless it was scheduled already. Any context.
    #[inline]
    pub fn schedule_once(self: Pin<&Self>, delay: Duration) {
        // SAFETY: By the type invariant the item is initialised, does not move, and is idle when it
        // is freed.
        unsafe {
            k::queue_delayed_work_on(
                k::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                k::system_freezable_wq,
                self.work.get(),
                jiffies(delay),
            )
        };
    }

    /// Cancels the job and waits until it has returned. May sleep. Not to be called by the job
    /// itself.
    pub fn cancel(self: Pin<&Self>) {
        // SAFETY: By the type invariant the item is initialised.
        unsafe { k::cancel_delayed_work_sync(self.work.get()) };
    }

    /// The job.
    pub fn job(&self) -> &J {
        &self.job
    }

    extern "C" fn call(work: *mut k::work_struct) {
        // SAFETY: `new` set this function for the `work` field of the delayed work in a `Worker`,
        // which lives and is pinned while this runs.
        let this = unsafe {
            let delayed = kernel::container_of!(work, k::delayed_work, work);
            let this = kernel::container_of!(Opaque::cast_from(delayed), Self, work);
            Pin::new_unchecked(&*this)
        };
        if let Some(delay) = this.job.run() {
            // SAFETY: By the type invariant the item is initialised, does not move, and is idle
            // when it is freed: while it is being cancelled this does nothing.
            unsafe {
                k::queue_delayed_work_on(
                    k::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                    k::system_freezable_wq,
                    this.work.get(),
                    jiffies(delay),
                )
            };
        }
    }
}

fn jiffies(delay: Duration) -> usize {
    msecs_to_jiffies(delay.as_millis().try_into().unwrap_or(u32::MAX))
}

#[pinned_drop]
impl<J: Job> PinnedDrop for Worker<J> {
    fn drop(self: Pin<&mut Self>) {
        self.into_ref().cancel();
    }
}
