//! The hypervisor's decisions, without a machine: who owns which frame, what an event channel is bound to, what
//! a grant allows, which vCPU runs next, what a guest is told. Everything here is ordinary Rust that is tested
//! on the host; what touches the machine lives in `arch` and `boot` and nowhere else.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod acpi;
pub mod build_id;
pub mod bzimage;
pub mod console;
pub mod cpuid;
pub mod error;
pub mod event;
pub mod grant;
pub mod hypercall;
pub mod irq;
pub mod mem;
pub mod msi;
pub mod multiboot;
pub mod options;
pub mod pvclock;
pub mod sched;
pub mod strings;
pub mod symbols;
pub mod system;
pub mod trace;
