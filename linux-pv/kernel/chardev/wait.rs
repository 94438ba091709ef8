// SPDX-License-Identifier: GPL-2.0

//! Programs that wait for something to happen to a file.

use core::cell::UnsafeCell;
use core::marker::PhantomPinned;
use core::ptr;

use kernel::bindings as k;
use kernel::ffi::{c_int, c_void};
use kernel::prelude::*;
use kernel::sync::LockClassKey;
use kernel::task::TASK_INTERRUPTIBLE;
use kernel::types::Opaque;

use super::Ready;

/// Tasks that sleep until something happens (`wait_queue_head_t`), and others that want to hear of it
/// through `poll`.
///
/// # Invariants
///
/// `head` is initialised and stays where it is. When the value is dropped, nobody is left on it.
#[pin_data(PinnedDrop)]
pub struct WaitQueue {
    #[pin]
    head: Opaque<k::wait_queue_head>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The queue has a lock of its own.
unsafe impl Send for WaitQueue {}
// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

/// Makes an initialiser of a [`WaitQueue`](crate::chardev::WaitQueue); every use is a lock class of its
/// own for lockdep.
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
    /// Used through [`new_wait_queue!`].
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

    /// Sleeps until `ready` says so, which is asked each time the queue is woken and must not sleep itself.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` if a signal came first.
    pub fn wait(&self, mut ready: impl FnMut() -> bool) -> Result {
        if ready() {
            return Ok(());
        }
        let entry = Opaque::<k::wait_queue_entry>::uninit();
        // SAFETY: The entry is a local, which leaves the queue below.
        unsafe { k::init_wait_entry(entry.get(), 0) };
        let result = loop {
            // SAFETY: Head and entry are initialised.
            let signal = unsafe {
                k::prepare_to_wait_event(self.head.get(), entry.get(), TASK_INTERRUPTIBLE)
            };
            // Whoever wakes the queue after this made it ready, or wakes this task now that it is on it.
            if ready() {
                break Ok(());
            }
            if signal != 0 {
                break Err(ERESTARTSYS);
            }
            // SAFETY: Called in process context without spin locks, as this function may sleep.
            unsafe { k::schedule() };
        };
        // SAFETY: As above; afterwards nothing points at the entry.
        unsafe { k::finish_wait(self.head.get(), entry.get()) };
        result
    }

    /// Wakes all who wait, telling those who poll what the file is now ready for. Any context.
    #[inline]
    pub fn wake(&self, ready: Ready) {
        let key = ptr::without_provenance_mut::<c_void>(ready.mask() as usize);
        // SAFETY: By the type invariant the head is initialised; the key is a number in a pointer's place.
        unsafe { k::__wake_up(self.head.get(), TASK_INTERRUPTIBLE as u32, 1, key) };
    }

    pub(super) fn as_raw(&self) -> *mut k::wait_queue_head {
        self.head.get()
    }
}

#[pinned_drop]
impl PinnedDrop for WaitQueue {
    fn drop(self: Pin<&mut Self>) {
        let head = self.head.get();
        // SAFETY: The head is initialised; only its own address and its first link are looked at.
        let empty = unsafe { ptr::eq((*head).head.next, &raw const (*head).head) };
        // A file's release comes after whoever polled it has left, so this is for a queue that its driver
        // drops earlier than that.
        if !empty {
            // SAFETY: The head is initialised. This takes pollers off the queue.
            unsafe { k::__wake_up_pollfree(head) };
            // SAFETY: May sleep. Pollers look at the head under RCU.
            unsafe { k::synchronize_rcu() };
        }
    }
}

/// Who wants a signal when the file becomes ready (`O_ASYNC`, `struct fasync_struct`).
///
/// # Invariants
///
/// The list is only changed by `fasync_helper`, which locks by itself, and is emptied by the last call of
/// `fasync` before the file is released.
pub struct SignalQueue(UnsafeCell<*mut k::fasync_struct>);

// SAFETY: The list has locks of its own, and entries are freed after an RCU grace period.
unsafe impl Send for SignalQueue {}
// SAFETY: As above.
unsafe impl Sync for SignalQueue {}

impl SignalQueue {
    /// Nobody yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(ptr::null_mut()))
    }

    /// Sends `SIGIO`, or what the program has chosen instead, for there is something to read. Any context.
    #[inline]
    pub fn readable(&self) {
        // SAFETY: By the type invariant the list is valid; it is walked under RCU.
        unsafe { k::kill_fasync(self.0.get(), k::SIGIO as c_int, k::POLL_IN as c_int) }
    }

    pub(super) fn as_raw(&self) -> *mut *mut k::fasync_struct {
        self.0.get()
    }
}
