// SPDX-License-Identifier: GPL-2.0

//! Being called when an eventfd is signalled.

use core::{
    marker::PhantomPinned,
    ptr, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    types::Opaque, //
};

use xen_bindings as bindings;

use super::{
    EventFd,
    OpenEventFd, //
};

/// Callbacks for an eventfd. They are called with interrupts disabled and the lock of the wait
/// queue held, so not concurrently. They must not sleep, access an eventfd, or drop their
/// [`Watch`].
pub trait Listener: Send + Sync + 'static {
    /// The eventfd was signalled, once or several times. The count is zero again.
    fn signalled(&self);

    /// The last file of the eventfd was closed: it is not signalled any more. The [`Watch`] may be
    /// dropped, but not in this callback.
    fn closed(&self);
}

/// A [`Listener`] on an eventfd. When it is dropped, no callback is running, and none is called any
/// more.
///
/// # Invariants
///
/// - `entry` is on the queue of `eventfd` from the end of the initialisation until the drop, and
///   does not move.
/// - `listener` is initialised before `entry` is on the queue, and dropped after it was removed.
#[pin_data(PinnedDrop)]
pub struct Watch<L: Listener> {
    #[pin]
    listener: L,
    eventfd: EventFd,
    #[pin]
    entry: Opaque<k::wait_queue_entry>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The entry is protected by the lock of its queue; `L` is `Send` and `Sync`.
unsafe impl<L: Listener> Send for Watch<L> {}
// SAFETY: The entry is protected by the lock of its queue; `L` is `Send` and `Sync`.
unsafe impl<L: Listener> Sync for Watch<L> {}

impl<L: Listener> Watch<L> {
    /// Calls `listener` from now on; at once if the eventfd was signalled before. It is called
    /// before other waiters, and clears the count, so these read nothing. May sleep.
    pub fn new<'a, E>(
        opened: &'a OpenEventFd,
        listener: impl PinInit<L, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        Error: From<E>,
        E: 'a,
    {
        try_pin_init!(&this in Self {
            listener <- listener,
            eventfd: EventFd::of(&opened.file)?,
            entry <- Opaque::ffi_init(|slot: *mut k::wait_queue_entry| {
                let entry = k::wait_queue_entry {
                    func: Some(Self::on_wake),
                    ..pin_init::zeroed()
                };
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(entry) }
            }),
            _pin: {
                // SAFETY: All other fields are initialised, and the value is pinned.
                unsafe { Self::join(this.as_ptr(), opened)? };
                PhantomPinned
            },
        })
    }

    /// The eventfd.
    pub fn eventfd(&self) -> &EventFd {
        &self.eventfd
    }

    /// The listener.
    pub fn listener(&self) -> &L {
        &self.listener
    }

    /// Adds the entry to the eventfd's queue. If this fails, it is not on the queue.
    ///
    /// # Safety
    ///
    /// All fields of `this` but the marker are initialised, and it is pinned.
    unsafe fn join(this: *mut Self, opened: &OpenEventFd) -> Result {
        let mut joining = Joining {
            table: k::poll_table_struct {
                _qproc: Some(on_queue),
                _key: !0,
            },
            // SAFETY: Only the field's address is computed.
            entry: unsafe { Opaque::cast_into(&raw const (*this).entry) },
            head: ptr::null_mut(),
        };
        // SAFETY: The file is open, and an eventfd, so its `poll` calls `on_queue` at most once for
        // each wait queue.
        unsafe { bindings::xen_rs_vfs_poll(opened.file.as_ptr(), (&raw mut joining).cast()) };
        let head = joining.head;
        if head.is_null() {
            return Err(EINVAL);
        }
        // The eventfd may have been signalled before the entry was on the queue.
        // SAFETY: The queue is in the eventfd, to which there is a reference.
        let lock = unsafe { &raw mut (*head).lock };
        // SAFETY: The lock is that of an initialised queue.
        let flags = unsafe { bindings::xen_rs_spin_lock_irqsave(lock) };
        // SAFETY: The lock of the queue is held, as the function requires.
        if unsafe { bindings::xen_rs_eventfd_take(opened.eventfd.ctx.as_ptr()) } != 0 {
            // SAFETY: By the requirement of this function the listener is initialised.
            unsafe { &(*this).listener }.signalled();
        }
        // SAFETY: The lock was taken above, with these flags.
        unsafe { bindings::xen_rs_spin_unlock_irqrestore(lock, flags) };
        Ok(())
    }

    /// # Safety
    ///
    /// To be called as the function of an entry of a [`Watch`] that is on its eventfd's queue, with
    /// the lock of the queue held.
    unsafe extern "C" fn on_wake(
        entry: *mut k::wait_queue_entry,
        _mode: c_uint,
        _flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        let entry = Opaque::cast_from(entry);
        // SAFETY: By the requirements of this function. The initialisation of the value may not
        // have ended, so only fields that are initialised before the entry is on the queue are
        // referenced.
        let (listener, eventfd) = unsafe {
            let this: *const Self = kernel::container_of!(entry, Self, entry);
            (&(*this).listener, &(*this).eventfd)
        };
        let what = key.addr() as u32;
        if what & bindings::XEN_RS_EVENTFD_SIGNALLED != 0 {
            // SAFETY: By the requirements of this function the lock is held; there is a reference
            // to the eventfd.
            unsafe { bindings::xen_rs_eventfd_take(eventfd.ctx.as_ptr()) };
            listener.signalled();
        }
        if what & bindings::XEN_RS_EVENTFD_CLOSED != 0 {
            listener.closed();
        }
        0
    }
}

#[pinned_drop]
impl<L: Listener> PinnedDrop for Watch<L> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the entry is on the queue. The function takes the lock of
        // the queue, with which callbacks run: none is running afterwards, and none is called.
        unsafe { bindings::xen_rs_eventfd_leave(self.eventfd.ctx.as_ptr(), self.entry.get()) }
    }
}

/// A `poll` call that adds an entry to the wait queue.
#[repr(C)]
struct Joining {
    table: k::poll_table_struct,
    entry: *mut k::wait_queue_entry,
    head: *mut k::wait_queue_head,
}

/// # Safety
///
/// To be called for a table that is the first field of a [`Joining`].
unsafe extern "C" fn on_queue(
    _file: *mut k::file,
    head: *mut k::wait_queue_head,
    table: *mut k::poll_table_struct,
) {
    let joining = table.cast::<Joining>();
    // SAFETY: By the requirements of this function.
    let first = unsafe { (*joining).head.is_null() };
    if !first {
        return;
    }
    // SAFETY: By the requirements of this function.
    let entry = unsafe {
        (*joining).head = head;
        (*joining).entry
    };
    // SAFETY: The entry is initialised and on no queue.
    unsafe { k::add_wait_queue_priority(head, entry) }
}
