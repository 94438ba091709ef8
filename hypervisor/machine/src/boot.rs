// SPDX-License-Identifier: GPL-2.0

//! From the boot loader to [`crate::start`]: the assembly that enters long mode, and the loader's boot information.

mod entry;
mod multiboot;

pub use multiboot::loader;
pub use paravane::multiboot::{BootInfo, Module};
