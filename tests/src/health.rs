// SPDX-License-Identifier: GPL-2.0

//! Whether a machine or a guest is still alive, and what its kernel complained about. Console watchers write
//! it, and each wait for an answer checks it: a guest that panicked does not cost a minute of waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};

use crate::fault::Fault;

/// Shared by all that belongs to one machine or guest.
#[derive(Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
    /// A guest is not better off than its machine.
    machine: Option<Arc<Health>>,
}

#[derive(Default)]
struct State {
    death: Option<String>,
    complaints: Vec<String>,
    /// A guest's domid, once it is known.
    domid: Option<u32>,
    /// A machine's domains that ended by a triple fault.
    lost: Vec<Fault>,
}

/// A domain ended by a triple fault, which can be the emulator's: see [`crate::fault`].
#[derive(Clone, Debug)]
pub struct Lost(pub Vec<Fault>);

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let faults: Vec<_> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&faults.join("; "))
    }
}

impl std::error::Error for Lost {}

impl Health {
    /// The health of something that runs on this machine.
    pub fn of_guest(&self) -> Self {
        Self {
            state: Arc::default(),
            machine: Some(Arc::new(self.clone())),
        }
    }

    /// Tells which domain this is the health of.
    pub fn is_domain(&self, domid: u32) {
        self.lock().domid = Some(domid);
    }

    /// Records a triple fault of a domain.
    pub fn lost(&self, fault: Fault) {
        self.lock().lost.push(fault);
    }

    /// Takes a line that may tell more of the last triple fault.
    pub fn read_of_fault(&self, line: &str) {
        if let Some(fault) = self.lock().lost.last_mut() {
            fault.read(line);
        }
    }

    /// The triple faults since the last call.
    pub fn take_lost(&self) -> Vec<Fault> {
        match &self.machine {
            Some(machine) => machine.take_lost(),
            None => std::mem::take(&mut self.lock().lost),
        }
    }

    /// Whether there is a triple fault to be taken.
    pub fn has_lost(&self) -> bool {
        match &self.machine {
            Some(machine) => machine.has_lost(),
            None => !self.lock().lost.is_empty(),
        }
    }

    /// What is to be said of a domain's triple fault, if it had one.
    fn fault_of(&self, domid: Option<u32>) -> Option<String> {
        let state = self.lock();
        let of = |fault: &&Fault| Some(fault.domid) == domid;
        state.lost.iter().find(of).map(Fault::to_string)
    }

    /// Records the end; the first reason stays.
    pub fn died(&self, why: impl Into<String>) {
        self.lock().death.get_or_insert(why.into());
    }

    /// Records something that must not happen but did not end everything, such as a kernel warning.
    pub fn complain(&self, what: impl Into<String>) {
        match &self.machine {
            Some(machine) => machine.complain(what),
            None => self.lock().complaints.push(what.into()),
        }
    }

    /// The complaints since the last call, the machine's and all guests'.
    pub fn take_complaints(&self) -> Vec<String> {
        match &self.machine {
            Some(machine) => machine.take_complaints(),
            None => std::mem::take(&mut self.lock().complaints),
        }
    }

    /// Why it is dead, if it is.
    pub fn death(&self) -> Option<String> {
        if let Some(machine) = &self.machine {
            let domid = self.lock().domid;
            if let Some(fault) = machine.fault_of(domid) {
                return Some(fault);
            }
            if let Some(why) = machine.death() {
                return Some(why);
            }
        }
        self.lock().death.clone()
    }

    /// An error if it is dead.
    pub fn check(&self) -> Result<()> {
        match self.death() {
            Some(why) => bail!(why),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_dies_with_its_machine_but_not_the_other_way_round() {
        let machine = Health::default();
        let guest = machine.of_guest();
        guest.died("panic");
        assert!(machine.check().is_ok() && guest.check().is_err());
        machine.died("first");
        machine.died("second");
        assert_eq!(machine.of_guest().death().as_deref(), Some("first"));
    }

    #[test]
    fn a_guest_with_a_triple_fault_is_dead_and_others_are_not() {
        let machine = Health::default();
        let (one, two) = (machine.of_guest(), machine.of_guest());
        one.is_domain(1);
        two.is_domain(2);
        machine.lost(Fault::of_line("(XEN) d2v0 Triple fault").unwrap());
        assert!(one.check().is_ok() && two.check().is_err() && machine.check().is_ok());
        assert!(one.has_lost() && one.take_lost().len() == 1 && !machine.has_lost());
    }

    #[test]
    fn complaints_are_collected_on_the_machine_and_taken_once() {
        let machine = Health::default();
        machine.of_guest().complain("WARNING");
        assert_eq!(machine.take_complaints(), ["WARNING"]);
        assert!(machine.take_complaints().is_empty());
    }
}
