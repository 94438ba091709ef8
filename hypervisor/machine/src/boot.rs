// SPDX-License-Identifier: GPL-2.0

//! From the boot loader to [`crate::start`]: the assembly that reaches long mode and what the loader told.

mod entry;
mod multiboot;

pub use entry::image;
pub use multiboot::loader;
pub use paravane::multiboot::{BootInfo, Module};
