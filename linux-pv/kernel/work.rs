// SPDX-License-Identifier: GPL-2.0

//! Work in process context that is over when its owner is gone.
//!
//! The kernel's own Rust work items keep their data alive while they are queued, but cannot be
//! cancelled or waited for, so a module could be unloaded under a running one. Here the owner decides:
//! dropping a [`Worker`] takes it off the queue and waits until it has returned.

use core::marker::PhantomPinned;
use core::time::Duration;
use kernel::bindings as k;
use kernel::prelude::*;
use kernel::sync::LockClassKey;
use kernel::time::msecs_to_jiffies;
use kernel::types::Opaque;

/// What a [`Worker`] does.
pub trait Job: Send + Sync + 'static {
    /// Runs in process context and may sleep; never more than once at a time. The result says after
    /// how long to run again, if at all.
    fn run(&self) -> Option<Duration>;
}

/// A [`Job`] that can be scheduled on the kernel's freezable work queue, whose work does not run while
/// the system is suspended.
///
/// # Invariants
///
/// `work` is initialised, calls `call`, and is idle when the value is dropped.
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
// SAFETY: As above.
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
                // SAFETY: The timer is that of a delayed work item, as its function requires.
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

    /// Runs the job after `delay`, or sooner if it was scheduled already. Any context.
    pub fn schedule(self: Pin<&Self>, delay: Duration) {
        // SAFETY: By the invariant the item is initialised; it is pinned, and idle before it goes.
        unsafe {
            k::mod_delayed_work_on(
                k::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                k::system_freezable_wq,
                self.work.get(),
                jiffies(delay),
            )
        };
    }

    /// Runs the job after `delay`, or when it was scheduled already. Any context.
    #[inline]
    pub fn schedule_once(self: Pin<&Self>, delay: Duration) {
        // SAFETY: As in `schedule`.
        unsafe {
            k::queue_delayed_work_on(
                k::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                k::system_freezable_wq,
                self.work.get(),
                jiffies(delay),
            )
        };
    }

    /// Takes the job off the queue and waits until it has returned. May sleep; not from the job itself.
    pub fn cancel(self: Pin<&Self>) {
        // SAFETY: By the invariant the item is initialised.
        unsafe { k::cancel_delayed_work_sync(self.work.get()) };
    }

    /// What it does.
    pub fn job(&self) -> &J {
        &self.job
    }

    extern "C" fn call(work: *mut k::work_struct) {
        // SAFETY: `new` set this function for the `work` field of the delayed work in a `Worker`, which
        // lives and is pinned while this runs.
        let this = unsafe {
            let delayed = kernel::container_of!(work, k::delayed_work, work);
            let this = kernel::container_of!(Opaque::cast_from(delayed), Self, work);
            Pin::new_unchecked(&*this)
        };
        if let Some(delay) = this.job.run() {
            // SAFETY: As in `schedule`. Does nothing while the item is being cancelled, and leaves an
            // earlier time alone.
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
