// SPDX-License-Identifier: GPL-2.0

//! Waiting for an event of a file, by sleeping, by `poll` or by a signal.

use core::{
    cell::UnsafeCell,
    marker::PhantomPinned,
    ptr, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::LockClassKey,
    task::TASK_INTERRUPTIBLE,
    types::Opaque, //
};

use super::Ready;

/// A queue of tasks that sleep, or wait by `poll` (`wait_queue_head_t`).
///
/// # Invariants
///
/// `head` is initialised and does not move. It has no entries when it is freed, and its lock is not
/// held: [`wait`](Self::wait) and [`wake`](Self::wake) borrow the queue, and entries of `poll` are
/// removed before the file is released, which the queue outlives (see
/// [`Poll::watch`](super::Poll::watch)).
#[pin_data]
pub struct WaitQueue {
    #[pin]
    head: Opaque<k::wait_queue_head>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The queue has a lock of its own.
unsafe impl Send for WaitQueue {}
// SAFETY: The queue has a lock of its own.
unsafe impl Sync for WaitQueue {}

/// Makes an initialiser of a [`WaitQueue`](crate::chardev::WaitQueue); every use is a lock class of
/// its own for lockdep.
#[macro_export]
macro_rules! new_wait_queue {
    ($name:literal) => {
        $crate::chardev::WaitQueue::new(
            ::kernel::optional_name!($name),
            ::kernel::static_lock_class!(),
        )
    };
}
pub use new_wait_queue;

impl WaitQueue {
    /// For [`new_wait_queue!`].
    #[doc(hidden)]
    pub fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            head <- Opaque::ffi_init(move |slot| {
                // SAFETY: The slot is valid for writes; name and key are static.
                unsafe { k::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr()) }
            }),
            _pin: PhantomPinned,
        })
    }

    /// Sleeps until `ready` returns true. `ready` is called each time the queue is woken, and must
    /// not sleep.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` if a signal arrives first.
    pub fn wait(&self, mut ready: impl FnMut() -> bool) -> Result {
        if ready() {
            return Ok(());
        }
        let entry = Opaque::<k::wait_queue_entry>::uninit();
        // SAFETY: The entry is a local, which is removed from the queue below.
        unsafe { k::init_wait_entry(entry.get(), 0) };
        let result = loop {
            // SAFETY: The head is initialised by the type invariant, the entry above.
            let signal = unsafe {
                k::prepare_to_wait_event(self.head.get(), entry.get(), TASK_INTERRUPTIBLE)
            };
            // A wake-up from here on wakes this task, which is on the queue; an earlier one made
            // the condition true.
            if ready() {
                break Ok(());
            }
            if signal != 0 {
                break Err(ERESTARTSYS);
            }
            // SAFETY: This function is called in a context that may sleep.
            unsafe { k::schedule() };
        };
        // SAFETY: The head is initialised by the type invariant, the entry above. The entry is not
        // on the queue afterwards.
        unsafe { k::finish_wait(self.head.get(), entry.get()) };
        result
    }

    /// Wakes all waiters; those that wait by `poll` get the events `ready`. Any context.
    #[inline]
    pub fn wake(&self, ready: Ready) {
        let key = ptr::without_provenance_mut::<c_void>(ready.mask() as usize);
        // SAFETY: By the type invariant the head is initialised; the key is a number that is passed
        // as a pointer.
        unsafe { k::__wake_up(self.head.get(), TASK_INTERRUPTIBLE as u32, 1, key) };
    }

    pub(super) fn as_raw(&self) -> *mut k::wait_queue_head {
        self.head.get()
    }
}

/// A queue of processes that get a signal when the file becomes readable (`O_ASYNC`,
/// `struct fasync_struct`).
///
/// # Invariants
///
/// The list is only changed by `fasync_helper`, which takes a lock. The last call of `fasync`,
/// before the file is released, empties it.
pub struct SignalQueue(UnsafeCell<*mut k::fasync_struct>);

// SAFETY: The list has locks of its own, and entries are freed after an RCU grace period.
unsafe impl Send for SignalQueue {}
// SAFETY: The list has locks of its own, and entries are freed after an RCU grace period.
unsafe impl Sync for SignalQueue {}

impl SignalQueue {
    /// An empty queue.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(ptr::null_mut()))
    }

    /// Sends `SIGIO`, or the signal that a process has selected, since the file is readable. Any
    /// context.
    #[inline]
    pub fn readable(&self) {
        // SAFETY: By the type invariant the list is valid; the function walks it under RCU.
        unsafe { k::kill_fasync(self.0.get(), k::SIGIO as c_int, k::POLL_IN as c_int) }
    }

    pub(super) fn as_raw(&self) -> *mut *mut k::fasync_struct {
        self.0.get()
    }
}
