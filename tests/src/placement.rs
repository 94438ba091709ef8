// SPDX-License-Identifier: GPL-2.0

//! Which processors of the machine a guest's virtual ones run on.
//!
//! QEMU's emulated SVM mixes up guest and host when two processors run hardware-assisted guests at the same time and
//! one of them changes from one virtual processor to another: the guest dies of a triple fault, within seconds if it
//! has four virtual processors on two. It never does when each has a processor for itself, so that is what they get.
//! PV guests know no such trouble and share the first processors with dom0.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::guest::Mode;

/// Processors for dom0 and PV guests: the first ones.
pub const SHARED: u32 = 2;

/// Hands out the processors of a machine.
pub struct Placement {
    /// Processors that PVH guests have for themselves.
    own: u32,
    /// How many of them were handed out; after the last one comes the first one again.
    taken: AtomicU32,
}

impl Placement {
    /// For a machine with `cpus` processors.
    pub fn new(cpus: u32) -> Self {
        Self {
            own: cpus.saturating_sub(SHARED),
            taken: AtomicU32::new(0),
        }
    }

    /// The line of xl's configuration that places a guest, empty if the machine has nothing to choose from.
    pub fn line(&self, mode: Mode, vcpus: u32) -> String {
        if self.own == 0 {
            return String::new();
        }
        match mode {
            Mode::Pv => format!("cpus = '0-{}'", SHARED - 1),
            Mode::Pvh => {
                let first = self.taken.fetch_add(vcpus, Ordering::Relaxed);
                let cpus: Vec<_> = (0..vcpus)
                    .map(|vcpu| format!("'{}'", SHARED + first.wrapping_add(vcpu) % self.own))
                    .collect();
                format!("cpus = [{}]", cpus.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_virtual_processor_of_a_pvh_guest_has_one_for_itself() {
        let placement = Placement::new(6);
        assert_eq!(placement.line(Mode::Pv, 4), "cpus = '0-1'");
        assert_eq!(placement.line(Mode::Pvh, 1), "cpus = ['2']");
        assert_eq!(
            placement.line(Mode::Pvh, 4),
            "cpus = ['3', '4', '5', '2']",
            "after the last processor comes the first"
        );
        assert_eq!(Placement::new(2).line(Mode::Pvh, 1), "");
    }
}
