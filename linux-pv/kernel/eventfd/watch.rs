// SPDX-License-Identifier: GPL-2.0

//! Being called when an eventfd is signalled.

use core::marker::PhantomPinned;
use core::ptr;

use kernel::bindings as k;
use kernel::ffi::{c_int, c_uint, c_void};
use kernel::prelude::*;
use kernel::types::Opaque;
use xen_bindings as bindings;

use super::{EventFd, OpenEventFd};

/// Called for an eventfd, with interrupts off and the lock of its queue held: so never by two CPUs at once, and it
/// must neither sleep nor do anything to an eventfd, nor drop the [`Watch`] it is called for.
pub trait Listener: Send + Sync + 'static {
    /// It was signalled, how often does not matter: the counter was taken and is zero again.
    fn signalled(&self);

    /// Its last file is closed: nothing comes any more. The [`Watch`] may be dropped, in other context.
    fn closed(&self);
}

/// A [`Listener`] on an eventfd. Dropped, it is called no more, and does not run.
///
/// # Invariants
///
/// - `entry` is on the queue of `eventfd` from the end of the initialisation on until the drop. The value is pinned.
/// - `listener` is initialised before that and dropped afterwards.
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

// SAFETY: The entry belongs to a queue that has a lock; `L` is `Send` and `Sync`.
unsafe impl<L: Listener> Send for Watch<L> {}
// SAFETY: As above.
unsafe impl<L: Listener> Sync for Watch<L> {}

impl<L: Listener> Watch<L> {
    /// Has `listener` called from now on, at once if the eventfd was signalled before. It comes before whoever else
    /// waits, and leaves nothing to read for them. May sleep.
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
                // SAFETY: The fields above are initialised, and the value is pinned.
                unsafe { Self::join(this.as_ptr(), opened)? };
                PhantomPinned
            },
        })
    }

    /// The eventfd.
    pub fn eventfd(&self) -> &EventFd {
        &self.eventfd
    }

    /// Who listens.
    pub fn listener(&self) -> &L {
        &self.listener
    }

    /// Puts the entry on the eventfd's queue. If this fails it is not there.
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
        // SAFETY: The file is open and its table of callbacks that of an eventfd.
        unsafe { bindings::xen_rs_vfs_poll(opened.file.as_ptr(), (&raw mut joining).cast()) };
        let head = joining.head;
        if head.is_null() {
            return Err(EINVAL);
        }
        // What was signalled before the entry was on the queue.
        // SAFETY: The queue is part of the eventfd, to which there is a reference.
        let lock = unsafe { &raw mut (*head).lock };
        // SAFETY: The lock is initialised as the queue is.
        let flags = unsafe { bindings::xen_rs_spin_lock_irqsave(lock) };
        // SAFETY: The lock is held.
        if unsafe { bindings::xen_rs_eventfd_take(opened.eventfd.ctx.as_ptr()) } != 0 {
            // SAFETY: The listener is initialised.
            unsafe { &(*this).listener }.signalled();
        }
        // SAFETY: Undoes the above.
        unsafe { bindings::xen_rs_spin_unlock_irqrestore(lock, flags) };
        Ok(())
    }

    /// # Safety
    ///
    /// To be called as the function of an entry in a [`Watch`] that is on its eventfd's queue, with that one's lock
    /// held.
    unsafe extern "C" fn on_wake(
        entry: *mut k::wait_queue_entry,
        _mode: c_uint,
        _flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        let entry = Opaque::cast_from(entry);
        // SAFETY: By the requirements of this function. The value may still be being initialised, so only parts of
        // it are referenced that are ready, by the type invariant.
        let (listener, eventfd) = unsafe {
            let this: *const Self = kernel::container_of!(entry, Self, entry);
            (&(*this).listener, &(*this).eventfd)
        };
        let what = key.addr() as u32;
        if what & bindings::XEN_RS_EVENTFD_SIGNALLED != 0 {
            // SAFETY: The lock is held, and there is a reference to the eventfd.
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
        // SAFETY: By the type invariant the entry is on the queue. The queue's lock is taken, which a listener that is
        // called runs under: afterwards it does not run, and is not called.
        unsafe { bindings::xen_rs_eventfd_leave(self.eventfd.ctx.as_ptr(), self.entry.get()) }
    }
}

/// An enquiry that does not want to know anything, but to be put on the queue that it would wait on.
#[repr(C)]
struct Joining {
    table: k::poll_table_struct,
    entry: *mut k::wait_queue_entry,
    head: *mut k::wait_queue_head,
}

/// # Safety
///
/// To be called for a table that is the first part of a [`Joining`].
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
    // SAFETY: As above.
    let entry = unsafe {
        (*joining).head = head;
        (*joining).entry
    };
    // SAFETY: The entry is initialised and on no queue.
    unsafe { k::add_wait_queue_priority(head, entry) }
}
