// SPDX-License-Identifier: GPL-2.0

//! Printing types of crates that do not depend on the kernel.

/// Wraps a `core::fmt::Display` value for the kernel's `fmt!` and `pr_*!`:
/// `pr_warn!("{}\n", Show(corrupt))`.
pub struct Show<T>(pub T);

impl<T: core::fmt::Display> kernel::fmt::Display for Show<T> {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        self.0.fmt(f)
    }
}
