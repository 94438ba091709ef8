// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's logic, without a machine: ownership of frames, p2m, hypercalls, event channels, grants, virtual
//! interrupt controllers, CPUID and MSR policy, scheduling. All of it is safe Rust that is tested on the host; what
//! touches the machine is in the package `paravane-machine`.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod acpi;
pub mod asid;
pub mod bounce;
pub mod build_id;
pub mod byte_queue;
pub mod bzimage;
pub mod console;
pub mod control;
pub mod cpuid;
pub mod elf;
pub mod error;
pub mod event;
pub mod grant;
pub mod hypercall;
pub mod hypercall_counts;
pub mod irq;
pub mod layout;
pub mod lock_profile;
pub mod mem;
pub mod mistake;
pub mod msi;
pub mod msr;
pub mod multiboot;
pub mod options;
pub mod pvclock;
pub mod sched;
pub mod solo;
pub mod sorted_map;
pub mod start_state;
pub mod strings;
pub mod symbols;
pub mod system;
pub mod trace;
pub mod vcpu_run;
pub mod vmexit;
