// SPDX-License-Identifier: GPL-2.0

//! What one lock protects: the references, the deferred grants, who waits for references, and the
//! size of the table. The lock is taken with interrupts disabled, in any context but an NMI.
//!
//! The table grows with the lock held: the hypervisor is called, and memory is allocated without
//! sleeping.

use core::{
    ptr,
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    }, //
};

use kernel::prelude::*;

use core_bindings as bindings;

use xen_core::{
    error::Error,
    irq_lock::IrqLock, //
};

use xen_grant::{
    deferred::Deferred,
    references::{
        Exhausted,
        References, //
    },
    Version, //
};

use crate::{
    deferred::Node,
    entries::{
        self,
        publish,
        Place, //
    },
    frames::{
        self,
        Mapping, //
    },
    report::Seldom,
    slots::KernelSlots, //
};

/// What the lock protects.
pub(crate) struct State {
    /// The references.
    pub(crate) references: References<KernelSlots>,
    /// Grants that could not be ended.
    pub(crate) deferred: Deferred<Node>,
    /// Whether the timer for these is to expire.
    pub(crate) is_timer_set: bool,
    /// Who waits for references: C's structures, each of which stays until it is taken off.
    waiting: *mut bindings::gnttab_free_callback,
    /// Where the table is, once it is set up.
    pub(crate) mapping: Mapping,
    /// Frames of entries that the table has.
    pub(crate) frames: u32,
}

// SAFETY: The pointer is to memory that any CPU may access while it holds the lock.
unsafe impl Send for State {}

static STATE: IrqLock<State> = {
    let state = State {
        references: References::new(KernelSlots),
        deferred: Deferred::new(),
        is_timer_set: false,
        waiting: ptr::null_mut(),
        mapping: Mapping::None,
        frames: 0,
    };
    // SAFETY: `init` initialises it before it is used.
    unsafe { IrqLock::new(state) }
};

/// How many references are free, to look at without the lock.
static FREE: AtomicU32 = AtomicU32::new(0);

/// Initialises the lock.
///
/// # Safety
///
/// To be called once, at boot, before any other function here.
pub(crate) unsafe fn init() {
    // SAFETY: By the requirements of this function.
    unsafe { STATE.init() };
}

/// Calls `with` with the lock held. Afterwards those who wait for references are called, if enough
/// of them are free.
#[inline]
pub(crate) fn with<R>(with: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(|state| {
        let result = with(state);
        if !state.waiting.is_null() {
            state.call_waiting();
        }
        FREE.store(state.references.free_count(), Relaxed);
        result
    })
}

/// How many references are free. Needs no lock.
pub(crate) fn free_count() -> u32 {
    FREE.load(Relaxed)
}

/// Why there are not enough references.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shortage {
    /// The table would have more frames than it may.
    Limit {
        /// Frames that it has.
        frames: u32,
        /// Frames that it would need besides.
        more: u32,
        /// Frames that it may have.
        max: u32,
    },
    /// There is no memory, the hypervisor has refused, or there is no table.
    Failed(Error),
}

impl Shortage {
    /// Writes a message if that tells somebody what to do. No lock is held.
    #[cold]
    pub(crate) fn say(self) {
        static SELDOM: Seldom = Seldom::new();

        match self {
            Self::Limit { frames, more, max } if SELDOM.is_due() => {
                pr_warn!(
                    "max_grant_frames reached cur={frames} extra={more} limit={max} \
                     gnttab_free_count={}\n",
                    free_count()
                );
            }
            Self::Failed(error) if SELDOM.is_due() => {
                let error = error.to_raw();
                pr_warn!("the grant table cannot grow: error {error}\n");
            }
            _ => {}
        }
    }
}

impl State {
    /// Takes references by `take`. If there are too few, the table grows, and it is called again.
    pub(crate) fn take<R>(
        &mut self,
        mut take: impl FnMut(&mut References<KernelSlots>) -> Result<R, Exhausted>,
    ) -> Result<R, Shortage> {
        let missing = match take(&mut self.references) {
            Ok(taken) => return Ok(taken),
            Err(Exhausted { missing }) => missing,
        };
        let version = entries::version();
        self.grow(version, version.frames_for(missing))?;
        take(&mut self.references).map_err(|_| Shortage::Failed(Error::ENOSPC))
    }

    /// Adds frames to the table.
    pub(crate) fn grow(&mut self, version: Version, more: u32) -> Result<(), Shortage> {
        let (frames, max) = (self.frames, frames::max());
        let all = frames.saturating_add(more);
        if all > max {
            return Err(Shortage::Limit { frames, more, max });
        }
        let size = version.entries(all);
        if !self.references.slots_mut().make_room(size) {
            return Err(Shortage::Failed(Error::ENOMEM));
        }
        let place = self
            .mapping
            .map(version, frames, all)
            .map_err(Shortage::Failed)?;
        // SAFETY: All frames are mapped there now, and stay. If the place is new or the version is
        // another one, this is the initialisation.
        unsafe { publish(version, place, size) };
        self.frames = all;
        let grown = size.saturating_sub(self.references.size());
        let result = self.references.grow(grown);
        result.map_err(|_| Shortage::Failed(Error::ENOMEM))
    }

    /// The table is gone, and nobody reads or writes where it was.
    ///
    /// # Safety
    ///
    /// No other code of this object runs.
    #[cfg(CONFIG_HIBERNATE_CALLBACKS)]
    pub(crate) unsafe fn lose(&mut self) {
        let nowhere = Place {
            entries: ptr::null_mut(),
            status: ptr::null_mut(),
        };
        // SAFETY: There are no entries. The rest is the caller's.
        unsafe { publish(entries::version(), nowhere, 0) };
        // Its memory cannot be freed here, where nothing may sleep.
        core::mem::forget(core::mem::replace(&mut self.mapping, Mapping::None));
    }

    /// Has a function called when there are references. The structure is not in the list.
    ///
    /// # Safety
    ///
    /// It stays valid until its function was called or [`forget`](Self::forget).
    pub(crate) unsafe fn wait(&mut self, callback: *mut bindings::gnttab_free_callback) {
        // SAFETY: By the requirement of this function.
        unsafe { (*callback).next = self.waiting };
        self.waiting = callback;
    }

    /// Whether a structure is in the list of those who wait.
    pub(crate) fn is_waiting(&self, callback: *const bindings::gnttab_free_callback) -> bool {
        let mut at = self.waiting;
        while !at.is_null() {
            if ptr::eq(at, callback) {
                return true;
            }
            // SAFETY: Those in the list are valid.
            at = unsafe { (*at).next };
        }
        false
    }

    /// Takes a structure off the list, if it is there.
    pub(crate) fn forget(&mut self, callback: *const bindings::gnttab_free_callback) {
        let mut link = &raw mut self.waiting;
        // SAFETY: `link` is the head or the link of a structure in the list, which is valid.
        unsafe {
            while !(*link).is_null() {
                if ptr::eq(*link, callback) {
                    *link = (**link).next;
                    return;
                }
                link = &raw mut (**link).next;
            }
        }
    }

    /// Calls those who wait for no more references than there are.
    #[cold]
    fn call_waiting(&mut self) {
        let mut next = core::mem::replace(&mut self.waiting, ptr::null_mut());
        while !next.is_null() {
            let callback = next;
            // SAFETY: Those in the list are valid, until the function is called. That is the
            // driver's, and takes this argument; it does not call functions of this object that
            // take the lock, as with C.
            unsafe {
                next = (*callback).next;
                if self.references.free_count() >= (*callback).count.into() {
                    (*callback).next = ptr::null_mut();
                    if let Some(function) = (*callback).fn_ {
                        function((*callback).arg);
                    }
                } else {
                    self.wait(callback);
                }
            }
        }
    }
}
