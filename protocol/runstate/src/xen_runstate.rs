// SPDX-License-Identifier: GPL-2.0

//! A vCPU's runstate area in shared memory, guest's half: reading what the hypervisor writes, and
//! the steal clock.
//!
//! A guest registers memory in which the hypervisor keeps a vCPU's runstate and the time that it
//! has spent in each (`VCPUOP_register_runstate_memory_area`, `struct vcpu_runstate_info`). *Steal
//! time* is the part in which the vCPU had no CPU although it could run, or was not let run.
//!
//! | module | concept |
//! |---|---|
//! | [`area`] | one read of an area, which an update may overtake |
//! | [`steal`] | the clock of steal time that never goes back, over save and restore |
//!
//! Everything here is pure logic over [`SharedWord`]s. It allocates nothing, waits for nobody, and
//! cannot panic: the kernel reads the steal clock with a run queue's lock held.
//!
//! What does not live here: hypercalls, per-CPU memory, the scheduler's hooks.
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod area;
pub mod steal;

pub use xen_shared::SharedWord;
