// SPDX-License-Identifier: GPL-2.0

//! The safe API of built-in objects, which take the place of C objects of the kernel.
//!
//! | module | concept |
//! |---|---|
//! | [`dma_ops`] | DMA operations: a trait, and the table of C functions |
//! | [`device`] | DMA masks and addresses of a device |
//! | [`p2m`] | the domain's table from pfn to mfn |
//! | [`pages`] | pages that can be exchanged for memory contiguous in the machine |
//! | [`pool`] | bounce buffers of the kernel's pool (swiotlb) |
//! | [`pool_memory`] | exchanging the memory of that pool |
//! | [`large_bounce`] | bounce buffers that are too large for the pool |
//! | [`per_cpu`] | per-CPU variables, ours and C's |
//! | [`shared_word`] | words that the hypervisor changes too |
//! | [`shared_page`] | a page that the other side changes too |
//! | [`irq_lock`] | spin locks in statics, from early at boot on |
//! | [`domain`] | what kind of domain this is |
//! | [`hypercall_instruction`] | the hypercall instruction |
//! | [`call_counts`] | how often each hypercall was made |
//! | [`pv_irqs`] | whether interrupts are disabled on this CPU of a PV domain |
//! | [`static_call`] | replacing the function of a static call |
//! | [`boot`] | parameters of the command line that are read early, and initcalls |
//! | [`debugfs`] | the folder in debugfs that modules use too, and files that stay in it |
//! | [`error`] | error numbers as C's functions return them |
//!
//! Unlike crate `xen`, this one is never in a module: many functions that it calls are not
//! exported.

pub mod boot;
pub mod call_counts;
pub mod debugfs;
pub mod device;
pub mod dma_ops;
pub mod domain;
pub mod error;
pub mod hypercall_instruction;
pub mod irq_lock;
pub mod large_bounce;
pub mod p2m;
pub mod pages;
pub mod per_cpu;
pub mod pool;
pub mod pool_memory;
pub mod pv_irqs;
mod series;
pub mod shared_page;
pub mod shared_word;
pub mod static_call;

/// Prefix of this crate's messages in the log.
const __LOG_PREFIX: &[u8] = b"xen\0";

/// Asserts at compile time that a function has the type that a C header declares.
#[macro_export]
macro_rules! declared_in_c {
    ($($function:ident: $type:ty;)*) => {
        $(const _: fn() = || {
            let _: [$type; 2] = [$function, core_bindings::$function];
        };)*
    };
}
