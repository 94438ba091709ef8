// SPDX-License-Identifier: GPL-2.0

//! The upcall flag: `evtchn_upcall_pending` of a vCPU's `vcpu_info`, which is set when there are
//! events to look for.
//!
//! The hypervisor sets the flag after it has marked the event, and interrupts the vCPU if the flag
//! was clear. The guest clears the flag *before* it takes the marks, by [`fifo`](crate::fifo) or
//! [`two_level`](crate::two_level), whose first step is an exchange and so a full barrier. Thus
//! an event is either found by that exchange, or the flag is set once more. A guest that clears
//! the flag behind it loses events, which the model in `tests/loom.rs` shows.

use xen_shared::SharedWord;

/// Hypervisor: sets the flag after an event was marked. Returns whether the vCPU has to be
/// interrupted.
#[inline]
pub fn set_pending(flag: &impl SharedWord<Value = u8>) -> bool {
    flag.swap(1) == 0
}

/// Guest: clears the flag, before it takes the events' marks.
#[inline]
pub fn clear_pending(flag: &impl SharedWord<Value = u8>) {
    flag.store(0);
}

/// Guest: whether there are events to look for.
#[inline]
pub fn is_pending(flag: &impl SharedWord<Value = u8>) -> bool {
    flag.load() != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU8;

    #[test]
    fn a_vcpu_is_interrupted_once_until_it_has_looked() {
        let flag = AtomicU8::new(0);
        assert!(!is_pending(&flag));
        assert!(set_pending(&flag) && is_pending(&flag));
        assert!(!set_pending(&flag));
        clear_pending(&flag);
        assert!(!is_pending(&flag) && set_pending(&flag));
    }
}
